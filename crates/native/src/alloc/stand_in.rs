//! What does an allocator keep that stands in for glibc's?
//!
//! Whatever its structures are, what it has comes to blocks in use, memory that it manages, and
//! sums. Which objects of Python are in the blocks is found out elsewhere.

use super::carried::{self, Use};
use super::mimalloc::Mimalloc;
use super::{jemalloc, musl, tcmalloc};
use crate::image::{Image, Images};
use memwhy_model::{
    Addr, AddrRange, Bytes, ClassFacts, Layer, Owner, Partition, Problems, StandIn,
};
use memwhy_target::View;

/// A heap, walked.
#[derive(Debug, Default)]
pub struct Walked {
    /// Blocks in use, ascending.
    pub used: Vec<AddrRange>,
    /// What it manages, and whose it is where no block in use lies.
    pub(crate) regions: Vec<(AddrRange, Owner)>,
    /// Ends of runs of blocks that are too small for one.
    pub(super) tails: Vec<AddrRange>,
    /// Sums.
    pub facts: StandIn,
}

impl Walked {
    /// Walks the heap of `name`, found in `image`; one that cannot be walked has sums that say so.
    #[must_use]
    pub fn of(
        view: &View,
        images: &Images,
        name: &str,
        image: &str,
        problems: &mut Problems,
    ) -> Self {
        let walked = match name {
            "tcmalloc" => tcmalloc::walk(view, images, problems),
            "mimalloc" => {
                Mimalloc::walk(view, images, image, problems).map(|heap| of_mimalloc(&heap))
            }
            "musl" => images.by_path(image).and_then(|image| musl::walk(view, image, problems)),
            "jemalloc" => images.by_path(image).and_then(|image| of_jemalloc(view, image)),
            _ => None,
        };
        let mut walked = walked.unwrap_or_default();
        name.clone_into(&mut walked.facts.name);
        image.clone_into(&mut walked.facts.image);
        walked.used.sort_unstable();
        walked
    }

    /// Whether every block in use is known.
    #[must_use]
    pub const fn complete(&self) -> bool {
        self.facts.walked
    }

    /// The block in use that begins at `addr`.
    #[must_use]
    pub fn block_at(&self, addr: Addr) -> Option<AddrRange> {
        let index = self.used.binary_search_by_key(&addr, |block| block.start).ok()?;
        self.used.get(index).copied()
    }

    /// Gives its memory to its owners; `owner` says whose a block in use is, if it is Python's.
    pub fn claim(&self, claims: &mut Partition, owner: impl Fn(AddrRange) -> Option<Owner>) {
        for (range, owner) in &self.regions {
            claims.claim(Layer::Chunk, *range, *owner);
        }
        for tail in &self.tails {
            claims.claim(Layer::Block, *tail, Owner::MallocOverhead);
        }
        for block in &self.used {
            claims.claim(Layer::Block, *block, owner(*block).unwrap_or(Owner::MallocNative));
        }
    }
}

/// Its sums: which regions of a slab are in caches of threads is not known, and so not each block.
fn of_jemalloc(view: &View, image: &Image) -> Option<Walked> {
    let extents = jemalloc::extents(view, image)?;
    let sum = carried::sum(view, &extents);
    let returned = extents.iter().filter(|extent| extent.of == Use::Returned);
    let facts = StandIn {
        release: "jemalloc 5.3".into(),
        used: sum.used,
        free_blocks: sum.active.minus(sum.used),
        free_pages: sum.kept,
        returned: returned.map(|extent| Bytes(extent.range.len())).sum(),
        reserved: sum.reserved,
        ..StandIn::default()
    };
    let owner = |of: Use| match of {
        Use::Kept | Use::Returned => Owner::MallocFree,
        Use::HandedOut | Use::Own => Owner::OtherAllocator,
    };
    let regions = extents.iter().map(|extent| (extent.range, owner(extent.of))).collect();
    Some(Walked { regions, facts, ..Walked::default() })
}

fn of_mimalloc(heap: &Mimalloc) -> Walked {
    let facts = &heap.facts;
    let mut walked = Walked {
        used: heap.pages.iter().flat_map(|page| heap.blocks_in_use(page)).collect(),
        regions: heap.segments().map(|range| (range, Owner::MallocFree)).collect(),
        tails: heap.own().collect(),
        facts: StandIn {
            release: facts.release.clone(),
            walked: facts.torn_pages == 0,
            blocks: facts.blocks,
            used: facts.allocated,
            free_blocks: facts.free_in_pages,
            free_pages: facts.free_in_segments,
            overhead: facts.overhead,
            reserved: facts.reserved,
            caches: facts.heaps,
            ..StandIn::default()
        },
    };
    walked.facts.classes = facts
        .classes
        .iter()
        .map(|class| ClassFacts { block: class.block, used: class.used, free: class.free })
        .collect();
    walked
}

/// A run of blocks of one size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) start: Addr,
    pub(super) size: u64,
    pub(super) count: u64,
    word: usize,
}

/// A bit for each block of many runs, set while it is in use.
#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// A new run, all of it in use.
    pub(super) fn add(&mut self, start: Addr, size: u64, count: u64) -> Held {
        let word = self.0.len();
        let words = usize::try_from(count.div_ceil(64)).unwrap_or(0);
        self.0.resize(word.saturating_add(words), u64::MAX);
        Held { start, size, count, word }
    }

    /// Makes the block that begins at `at` a free one; whether it was one in use.
    pub(super) fn strike(&mut self, held: &Held, at: Addr) -> bool {
        let Some(offset) = at.checked_since(held.start) else { return false };
        let Some(index) = offset.checked_div(held.size) else { return false };
        if offset % held.size != 0 || index >= held.count {
            return false;
        }
        let word = usize::try_from(index / 64).ok().and_then(|at| self.0.get_mut(held.word + at));
        let Some(word) = word else { return false };
        let bit = 1u64 << (index % 64);
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    /// The blocks of a run that are in use.
    pub(super) fn used<'a>(&'a self, held: &'a Held) -> impl Iterator<Item = AddrRange> + 'a {
        (0..held.count).filter_map(|index| {
            let word = self.0.get(held.word.checked_add(usize::try_from(index / 64).ok()?)?)?;
            let used = word >> (index % 64) & 1 == 1;
            used.then(|| AddrRange::sized(held.start.at(index * held.size), held.size))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;
    use memwhy_model::Addr;

    #[test]
    fn a_block_is_struck_once_and_only_where_it_begins() {
        let mut bits = Bits::default();
        let _other = bits.add(Addr(0x100), 8, 70);
        let held = bits.add(Addr(0x1000), 48, 100);
        assert!(bits.strike(&held, Addr(0x1000 + 48 * 65)));
        assert!(!bits.strike(&held, Addr(0x1000 + 48 * 65)));
        assert!(!bits.strike(&held, Addr(0x1008)));
        assert!(!bits.strike(&held, Addr(0x1000 + 48 * 100)));
        assert_eq!(bits.used(&held).count(), 99);
    }
}
