//! Where are `main_arena` and `mp_`, without symbols?
//!
//! Two independent ways, which must agree:
//!
//! * **relocation**: `main_arena.next` is initialised to `&main_arena`, so libc has exactly one
//!   relative relocation whose place lies a known distance after its target (the trick is known
//!   from debuggers' heap commands);
//! * **memory**: in libc's writable data there is one run of 127 list heads of which each points
//!   to itself or to a chunk that points back.
//!
//! `mp_` is in the same data: the one place where its counters are consistent with each other and
//! with the `[heap]` mapping.

use super::layout::{
    ARENA_LAYOUTS, ARENA_MAX, ARENA_TEST, ArenaLayout, BIN_POINTERS, MMAP_THRESHOLD,
    PARAMS_LAYOUTS, ParamsLayout, TRIM_THRESHOLD,
};
use crate::image::Image;
use memwhy_model::{Addr, AddrRange, Bytes};
use memwhy_target::{Mapping, Memory, MemoryExt, View};

/// `R_X86_64_RELATIVE`.
const RELATIVE: u64 = 8;
/// libc's writable data has some 70 KiB; a static program may carry libc's within its own.
const MAX_DATA: u64 = 64 << 20;

/// x86-64 has pages of 1 GiB, and no larger ones.
const LARGEST_PAGE: u64 = 1 << 30;

/// Where malloc's global state is.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `main_arena`.
    pub main_arena: Addr,
    /// The class of its layout.
    pub layout: ArenaLayout,
    /// `relocation and memory`, or the one that worked.
    pub by: &'static str,
    /// `mp_`, if it was found.
    pub params: Option<Params>,
}

/// What `mp_` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Where it is.
    pub addr: Addr,
    /// The class of its layout.
    pub layout: ParamsLayout,
    /// `trim_threshold` in force.
    pub trim_threshold: Bytes,
    /// `mmap_threshold` in force.
    pub mmap_threshold: Bytes,
    /// Whether the thresholds follow what is freed.
    pub dynamic: bool,
    /// `arena_max`, 0 for none.
    pub arena_max: u64,
    /// `hp_pagesize`, 0 where malloc asks for no huge pages.
    pub huge_page: u64,
    /// Chunks in mappings of their own.
    pub n_mmaps: u64,
    /// Their bytes.
    pub mmapped_mem: u64,
    /// Where the heap began.
    pub sbrk_base: Addr,
}

/// Looks for malloc's state in the image of libc.
#[must_use]
pub fn find(view: &View, libc: &Image) -> Option<Found> {
    let by_file = by_relocation(libc).filter(|(main, layout)| plausible(view, *main, layout));
    let by_memory = by_memory(view, libc);
    let (main_arena, layout, by) = match (by_file, by_memory) {
        (Some((a, _)), Some((b, layout))) if a == b => (a, layout, "relocation and memory"),
        // They disagree: memory is the truth of this process, and was checked link by link.
        (_, Some((main, layout))) => (main, layout, "memory"),
        (Some((main, layout)), None) => (main, layout, "relocation"),
        (None, None) => return None,
    };
    let params = find_params(view, libc);
    Some(Found { main_arena, layout, by, params })
}

/// The relocation that points from `main_arena.next` to `main_arena`.
fn by_relocation(libc: &Image) -> Option<(Addr, ArenaLayout)> {
    let mut hits: Vec<(u64, ArenaLayout)> = Vec::new();
    let mut consider = |place: u64, target: u64| {
        let distance = place.wrapping_sub(target);
        if let Some(layout) = ARENA_LAYOUTS.iter().find(|layout| layout.next == distance) {
            hits.push((target, *layout));
        }
    };
    let rela = libc.section_bytes(".rela.dyn").unwrap_or_default();
    for entry in rela.as_chunks::<24>().0 {
        let (words, _) = entry.as_chunks::<8>();
        let [place, info, addend] = words else { continue };
        if u64::from_le_bytes(*info) == RELATIVE {
            consider(u64::from_le_bytes(*place), u64::from_le_bytes(*addend));
        }
    }
    // RELR keeps the addend in the place itself, so the file's data has it.
    for place in relr_places(&libc.section_bytes(".relr.dyn").unwrap_or_default()) {
        if let Some(target) = libc.file_word(place) {
            consider(place, target);
        }
    }
    match hits.as_slice() {
        [(target, layout)] => Some((libc.place(*target), *layout)),
        _ => None,
    }
}

/// Expands a RELR table: an even word is a place, an odd one a bitmap of the 63 words after.
fn relr_places(table: &[u8]) -> Vec<u64> {
    let mut places = Vec::new();
    let mut next = 0u64;
    for word in table.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*word);
        if word & 1 == 0 {
            places.push(word);
            next = word.saturating_add(8);
        } else {
            let set = (0..63u64).filter(|bit| word >> (bit + 1) & 1 == 1);
            places.extend(set.map(|bit| next.saturating_add(bit * 8)));
            next = next.saturating_add(63 * 8);
        }
    }
    places
}

/// Whether `main` looks like an arena: its ring of arenas closes within a sane number of steps.
fn plausible(view: &View, main: Addr, layout: &ArenaLayout) -> bool {
    ring(view, main, layout).is_some()
}

/// The arenas, main arena first; `None` if the ring does not close.
pub(super) fn ring(memory: &dyn Memory, main: Addr, layout: &ArenaLayout) -> Option<Vec<Addr>> {
    /// `arena_max` defaults to eight a core; nobody has a hundred thousand.
    const MOST: usize = 100_000;
    let mut arenas = vec![main];
    let mut at = memory.ptr(main.at(layout.next)).ok()??;
    while at != main {
        if arenas.len() >= MOST || !at.is_aligned(8) {
            return None;
        }
        arenas.push(at);
        at = memory.ptr(at.at(layout.next)).ok()??;
    }
    Some(arenas)
}

/// The run of bins: 127 pairs (fd, bk), each pointing to its own pseudo chunk or to a chunk whose
/// links point back.
fn by_memory(view: &View, libc: &Image) -> Option<(Addr, ArenaLayout)> {
    let pairs = BIN_POINTERS / 2;
    for data in &libc.data {
        for range in present_parts(view, *data) {
            let Ok(words) = view.words(range.start, range.len() / 8, 8 << 20) else { continue };
            let mut good = 0u64;
            let mut index = 0usize;
            while let Some([fd, bk]) = words.get(index..).and_then(<[u64]>::first_chunk::<2>) {
                let here = range.start.at(index as u64 * 8);
                if is_bin(view, here, Addr(*fd), Addr(*bk)) {
                    good += 1;
                    index += 2;
                } else {
                    // Pairs are 16 bytes long but need not be 16-aligned.
                    index = if good > 0 { index } else { index + 1 };
                    good = 0;
                    continue;
                }
                if good < pairs {
                    continue;
                }
                let bins = here.before((pairs - 1) * 16);
                let arena = ARENA_LAYOUTS.iter().find_map(|layout| {
                    let main = bins.before(layout.bins);
                    let closes = layout.next == layout.bins + (BIN_POINTERS * 8) + 16;
                    (closes && plausible(view, main, layout) && sane_sizes(view, main, layout))
                        .then_some((main, *layout))
                });
                if arena.is_some() {
                    return arena;
                }
                good = 0;
            }
        }
    }
    None
}

/// `system_mem` is not more than the peak that follows it, and no more threads are attached than there
/// may be. That tells classes apart that differ by one word. It is whole pages only where nobody moved
/// the break before: loaders up to 2.34 do for `GLIBC_TUNABLES` (`tunables_strdup`).
fn sane_sizes(view: &View, main: Addr, layout: &ArenaLayout) -> bool {
    /// The kernel's `PID_MAX_LIMIT`.
    const MOST_THREADS: u64 = 4 << 20;
    let word = |offset: u64| view.u64(main.at(offset)).ok();
    let attached = layout.attached.map_or(Some(0), word);
    attached.is_some_and(|threads| threads <= MOST_THREADS)
        && word(layout.system_mem)
            .zip(word(layout.system_mem + 8))
            .is_some_and(|(system, peak)| system <= peak)
}

fn is_bin(view: &View, here: Addr, fd: Addr, bk: Addr) -> bool {
    // A bin is the fd and bk of a chunk that would begin 16 bytes before.
    let own = here.before(16);
    if fd == own && bk == own {
        return true;
    }
    let (Addr(a), Addr(b)) = (fd, bk);
    if a == 0 || b == 0 || a % 16 != 0 || b % 16 != 0 {
        return false;
    }
    view.u64(fd.at(24)) == Ok(own.0) && view.u64(bk.at(16)) == Ok(own.0)
}

fn find_params(view: &View, libc: &Image) -> Option<Params> {
    let maps = view.maps();
    let heap = maps.0.iter().find(|m| m.facts.name == "[heap]").map(Mapping::range);
    // It is where the kernel put the heap, up to some pages of random distance, or, where the break
    // could not grow from the start, in memory that was mapped. 0 where main arena was never used.
    let may_be_base = |base: Addr| {
        let near = |heap: AddrRange| AddrRange::sized(heap.start, 2 << 20).contains(base);
        let mapped = |m: &Mapping| m.anonymous() && m.writable() && m.private();
        base.0 == 0
            || heap.is_some_and(near)
            || (base.is_aligned(4096) && maps.find(base).is_some_and(mapped))
    };
    let mut hits = Vec::new();
    for data in &libc.data {
        for range in present_parts(view, *data) {
            let Ok(bytes) = view.bytes(range.start, range.len(), 64 << 20) else { continue };
            for at in (0..bytes.len()).step_by(8) {
                let Some(window) = bytes.get(at..at + 112) else { break };
                let here = range.start.at(at as u64);
                let params = PARAMS_LAYOUTS.iter();
                let read = params.filter_map(|layout| read_params(window, here, *layout));
                hits.extend(read.filter(|params| may_be_base(params.sbrk_base)));
            }
        }
    }
    // A quiet process fits several layouts at once (all counters zero): the newest is listed
    // first, and the fields that differ between them are then zero in each.
    // Where the break was used, `sbrk_base` tells the real one from rows of zeroes that fit.
    if hits.iter().any(|hit| hit.sbrk_base.0 != 0) {
        hits.retain(|hit| hit.sbrk_base.0 != 0);
    }
    match hits.as_slice() {
        [] => None,
        [first, rest @ ..] => rest.iter().all(|hit| hit.addr == first.addr).then_some(*first),
    }
}

fn read_params(bytes: &[u8], addr: Addr, layout: ParamsLayout) -> Option<Params> {
    let word = |offset: u64| {
        let at = usize::try_from(offset).ok()?;
        bytes.get(at..)?.first_chunk::<8>().map(|word| u64::from_le_bytes(*word))
    };
    let half = |offset: u64| {
        let at = usize::try_from(offset).ok()?;
        bytes.get(at..)?.first_chunk::<4>().map(|word| u32::from_le_bytes(*word))
    };
    let n_mmaps = half(layout.n_mmaps)?;
    let (most, peak) = (half(layout.n_mmaps + 4)?, half(layout.n_mmaps + 8)?);
    let fixed = half(layout.n_mmaps + 12)?;
    let (mmapped, mmapped_peak) = (word(layout.mmapped_mem)?, word(layout.mmapped_mem + 8)?);
    let (trim, mmap) = (word(TRIM_THRESHOLD)?, word(MMAP_THRESHOLD)?);
    let (test, max) = (word(ARENA_TEST)?, word(ARENA_MAX)?);
    let base = word(layout.sbrk_base)?;
    let huge_page = layout.hp_pagesize.map_or(Some(0), word)?;
    let fits = n_mmaps <= peak
        && (peak <= most || most == 0)
        && most <= 1 << 30
        && fixed <= 1
        && mmapped <= mmapped_peak
        && mmapped % 16 == 0
        && (1..=1024).contains(&test)
        && max <= 1 << 20
        && (64..=1 << 40).contains(&mmap)
        && trim >= 4096
        && (huge_page == 0 || (huge_page.is_power_of_two() && huge_page <= LARGEST_PAGE))
        && (n_mmaps == 0) == (mmapped == 0);
    fits.then_some(Params {
        addr,
        layout,
        trim_threshold: Bytes(trim),
        mmap_threshold: Bytes(mmap),
        dynamic: fixed == 0,
        arena_max: max,
        huge_page,
        n_mmaps: u64::from(n_mmaps),
        mmapped_mem: mmapped,
        sbrk_base: Addr(base),
    })
}

/// The parts of an image's data that are present, each readable in one piece.
fn present_parts(view: &View, data: AddrRange) -> Vec<AddrRange> {
    // The cap counts from the first whole word.
    let start = data.start.align_up(8);
    view.pages().present(&[AddrRange::sized(start, data.len().min(MAX_DATA))])
}

#[cfg(test)]
mod tests {
    use super::relr_places;

    #[test]
    fn a_relr_bitmap_counts_from_the_word_after_its_place() {
        let mut table = Vec::new();
        table.extend_from_slice(&0x1000u64.to_le_bytes());
        table.extend_from_slice(&(1u64 | 1 << 1 | 1 << 3).to_le_bytes());
        assert_eq!(relr_places(&table), [0x1000, 0x1008, 0x1018]);
    }
}
