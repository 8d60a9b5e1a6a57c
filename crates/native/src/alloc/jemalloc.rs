//! Which extents does jemalloc have, and how much of each is in use?
//!
//! A tree in two levels leads from every page at an end of an extent (of one that is cut into small
//! regions, from every page of it) to its `edata_t`. Its root is an array of 2 MiB among the
//! variables of the image, without a name in stripped files: it is known by what it leads to, extents
//! that say that they cover the very pages that one came from. One that does so is no proof: of a
//! hundred million words in a process some fit.
//!
//! What is in caches of threads counts as in use here, as it does in jemalloc's own statistics.
//!
//! Source: `rtree.h`, `edata.h`, `sc.h` of jemalloc 5.3, with pages of 4 KiB and 48 bits of address.

use super::carried::{Extent, Use};
use crate::image::Image;
use memwhy_model::{Addr, AddrRange, PageState};
use memwhy_target::{MemoryExt, View};

const PAGE: u64 = 4096;
/// `rtree_levels`: 18 bits each.
const ENTRIES: u64 = 1 << 18;
/// Of an array of either level.
const ARRAY: u64 = ENTRIES * 8;
/// Words of an entry that are an address; `EDATA_ALIGNMENT` is 128.
const EDATA: u64 = 0x0000_ffff_ffff_ff80;
/// Words among the variables that are tried as a leaf of the tree.
const MOST_CANDIDATES: usize = 1 << 14;
/// `extent_state_active`.
const ACTIVE: u64 = 0;
/// Entries of a leaf that are looked at to tell whether it is one: those that lead somewhere.
const LOOKED_AT: usize = 256;
/// Of these, so many in a hundred lead to extents that cover their pages; all, but for a process that
/// was stopped while it changed some.
const FIT: usize = 90;
/// Words that are read at once.
const PIECE: usize = 1 << 13;
/// More extents than a process can have mappings and slabs for.
const MOST_EXTENTS: usize = 1 << 24;

/// The first words of `edata_t`.
struct Edata {
    bits: u64,
    addr: u64,
    size: u64,
}

impl Edata {
    fn read(view: &View, entry: u64) -> Option<Self> {
        let at = entry & EDATA;
        let words = (at != 0).then(|| view.words(Addr(at), 3, 3).ok()).flatten()?;
        let [bits, addr, size] = *words.first_chunk::<3>()?;
        Some(Self { bits, addr, size: size & !(PAGE - 1) })
    }

    /// Whether this is what `entry` for the page at `page` leads to at the beginning of an extent:
    /// both say the same of its place and state, and while it is in use of its size class, which stays
    /// in the entry of a large one that was freed.
    const fn begins_at(&self, page: u64, entry: u64) -> bool {
        self.addr & !(PAGE - 1) == page
            && self.size > 0
            && self.state() == entry >> 2 & 7
            && (self.state() != ACTIVE || self.class() == entry >> 48 & 0xff)
    }

    /// Whether the page at `page` is of this extent.
    fn covers(&self, page: u64) -> bool {
        let start = self.addr & !(PAGE - 1);
        page.checked_sub(start).is_some_and(|offset| offset < self.size)
    }

    /// `extent_state_t`: active, dirty, muzzy, retained, and some while it changes.
    const fn state(&self) -> u64 {
        self.bits >> 17 & 7
    }

    /// `szind_t`.
    const fn class(&self) -> u64 {
        self.bits >> 20 & 0xff
    }

    const fn is_slab(&self) -> bool {
        self.bits >> 12 & 1 == 1
    }

    /// Free regions of a slab.
    const fn free(&self) -> u64 {
        self.bits >> 28 & 0x3ff
    }

    /// Bytes handed out of an active extent.
    fn used(&self) -> u64 {
        let size = size_of_class(self.class()).min(self.size);
        if !self.is_slab() {
            return size;
        }
        let regions = self.size.checked_div(size).unwrap_or(0);
        regions.saturating_sub(self.free()).saturating_mul(size)
    }
}

/// `sz_index2size_compute`: 8, 16, 32, 48, 64, 80, and so on, four classes to each doubling.
const fn size_of_class(class: u64) -> u64 {
    let Some(reduced) = class.checked_sub(1) else { return 8 };
    let (group, step) = (reduced >> 2, (reduced & 3) + 1);
    if group > 57 {
        return u64::MAX;
    }
    let (base, lg_step) = if group == 0 { (0, 4) } else { (32 << group, group + 3) };
    base + (step << lg_step)
}

/// The extents of the jemalloc in `image`, ascending; `None` if there is none with this layout.
#[must_use]
pub fn extents(view: &View, image: &Image) -> Option<Vec<Extent>> {
    let root = image.data.iter().filter(|data| data.len() >= ARRAY).find_map(|data| {
        let mut left = MOST_CANDIDATES;
        let mut parts = view.pages().present(&[*data]).into_iter();
        parts.find_map(|part| root_in(view, *data, part, &mut left))
    })?;
    let mut extents = Vec::new();
    for (high, leaf) in entries(view, root) {
        if !is_leaf_place(view, leaf) {
            continue;
        }
        for (low, entry) in entries(view, Addr(leaf)) {
            let page = (high << 18 | low) * PAGE;
            let Some(edata) = Edata::read(view, entry).filter(|e| e.begins_at(page, entry)) else {
                continue;
            };
            let range = AddrRange::sized(Addr(page), edata.size);
            let (of, used) = match edata.state() {
                ACTIVE => (Use::HandedOut, edata.used()),
                1 | 2 => (Use::Kept, 0),
                _ => (Use::Returned, 0),
            };
            extents.push(Extent { range, of, used });
            if extents.len() >= MOST_EXTENTS {
                return None;
            }
        }
    }
    extents.sort_unstable_by_key(|extent| extent.range.start);
    // Extents lie beside each other.
    let apart = extents.windows(2).all(|pair| match pair {
        [a, b] => a.range.end <= b.range.start,
        _ => true,
    });
    (apart && !extents.is_empty()).then_some(extents)
}

/// Whether a leaf may lie at `at`: it is 64-aligned, in memory that the process has for itself.
fn is_leaf_place(view: &View, at: u64) -> bool {
    at.is_multiple_of(64)
        && view.maps().find(Addr(at)).is_some_and(|mapping| {
            mapping.anonymous() && mapping.writable() && Addr(at).at(ARRAY) <= mapping.range().end
        })
}

/// The root, if a word of `part` leads to a leaf of its tree.
fn root_in(view: &View, data: AddrRange, part: AddrRange, left: &mut usize) -> Option<Addr> {
    let words = view.words(part.start, part.len() / 8, 1 << 20).ok()?;
    for (index, word) in (0u64..).zip(words) {
        // Leaves are mapped; that variables lead to each other is usual.
        if word == 0 || data.contains(Addr(word)) || !is_leaf_place(view, word) {
            continue;
        }
        *left = left.checked_sub(1)?;
        let place = part.start.at(index * 8).0;
        let root = first_page(view, Addr(word))
            .and_then(|first| place.checked_sub((first >> 18) * 8))
            .map(Addr)
            .filter(|root| data.covers(AddrRange::sized(*root, ARRAY)));
        if root.is_some() {
            return root;
        }
    }
    None
}

/// The number of the page that the first entry of the array at `leaf` is of, if it is a leaf of a
/// tree.
fn first_page(view: &View, leaf: Addr) -> Option<u64> {
    let leading = entries(view, leaf).filter(|(_, entry)| entry & EDATA != 0);
    let looked_at: Vec<(u64, u64)> = leading.take(LOOKED_AT).collect();
    let read: Vec<(u64, u64, Edata)> = looked_at
        .iter()
        .filter_map(|(low, entry)| Some((*low, *entry, Edata::read(view, *entry)?)))
        .collect();
    let first = read.iter().find_map(|(low, entry, edata)| {
        let number = edata.addr / PAGE;
        let same = number & (ENTRIES - 1) == *low && edata.begins_at(number * PAGE, *entry);
        same.then_some(number & !(ENTRIES - 1))
    })?;
    let fit = read.iter().filter(|(low, _, edata)| edata.covers((first | low) * PAGE)).count();
    (fit * 100 >= looked_at.len() * FIT).then_some(first)
}

/// Entries that are set of an array of either level, with their numbers.
fn entries(view: &View, array: Addr) -> impl Iterator<Item = (u64, u64)> + '_ {
    let runs = view.pages().within(AddrRange::sized(array, ARRAY));
    let runs: Vec<AddrRange> =
        runs.filter(|run| run.state == PageState::Anon).map(|run| run.range).collect();
    let pieces = runs.into_iter().flat_map(|run| {
        let starts = (run.start.0..run.end.0).step_by(PIECE * 8);
        let end = move |start: Addr| run.end.min(start.at(PIECE as u64 * 8));
        starts.map(move |start| AddrRange::new(Addr(start), end(Addr(start))))
    });
    pieces.flat_map(move |piece| {
        let words = view.words(piece.start, piece.len() / 8, PIECE).unwrap_or_default();
        let first = (piece.start.0 - array.0) / 8;
        (first..).zip(words).filter(|(_, word)| *word != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::{Edata, size_of_class};

    #[test]
    fn classes_are_four_to_each_doubling() {
        let sizes = [8, 16, 32, 48, 64, 80, 96, 112, 128, 160];
        assert!((0..).zip(sizes).all(|(class, size)| size_of_class(class) == size));
        assert_eq!([size_of_class(35), size_of_class(231)], [14336, 7 << 60]);
        assert_eq!([236, 255].map(size_of_class), [u64::MAX; 2]);
    }

    #[test]
    fn an_extent_is_what_its_entry_says_of_it() {
        // Seen in a process: 0x101000 bytes in use, of a request of 1 MiB.
        let edata = Edata { bits: 0x3c0_a000, addr: 0x7fae_4df0_1b80, size: 0x10_1000 };
        let entry = 0x003c_7fae_8643_5880;
        assert!(edata.begins_at(0x7fae_4df0_1000, entry));
        assert!(!edata.begins_at(0x7fae_4df0_2000, entry));
        assert!(!edata.begins_at(0x7fae_4df0_1000, entry | 1 << 2));
        assert_eq!((edata.state(), edata.used()), (0, 1 << 20));
        // Seen where it had been freed.
        let freed = Edata { bits: 0x1000_0e86_a000, addr: 0x7f6c_8cc0_0000, size: 0x20_1000 };
        assert!(freed.begins_at(0x7f6c_8cc0_0000, 0x0040_7f6c_9e21_7a0e));
        let slab = Edata { bits: 100 << 28 | 2 << 20 | 1 << 12, addr: 0, size: 4096 };
        assert_eq!(slab.used(), 28 * 32);
    }
}
