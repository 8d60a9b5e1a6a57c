//! Which blocks of mimalloc are in use, and what do its segments keep free?
//!
//! A segment is 32 MiB (64 in 2.0.6) aligned to as much, in slices of 64 KiB; its first slices describe the rest.
//! A run of slices is a page of blocks of one size, or free. A page has three chains of free
//! blocks: to hand out next, freed by its own thread, freed by other threads; a heap has one more,
//! of blocks that other threads freed and its owner has not looked at yet.
//!
//! Segments are found by their place and by what must hold in each: their slices add up, as many
//! pages are in use as they say, and all have the same cookie. That also finds those of threads
//! that are gone. In each page, blocks in use and free ones must add up to its capacity.
//!
//! Source: `include/mimalloc/types.h`, `src/segment.c`, `src/page.c`, `src/alloc.c` of mimalloc 2.1
//! to 2.5, as CPython 3.13 to 3.15 has them in `Objects/mimalloc`.

mod arena;
mod layout;
mod segment;
mod whose;

pub(super) use arena::arenas;
pub(super) use whose::segments;

use layout::{LAYOUTS, Layout, PageLayout, Start};
use memwhy_model::{
    Addr, AddrRange, Bytes, Layer, MimallocFacts, Owner, PageState, Partition, ProblemKind,
    Problems, PymallocClass,
};
use memwhy_target::{Mapping, Memory, MemoryExt, View};
use rustc_hash::{FxHashMap, FxHashSet};
use segment::{SEGMENT, SLICE, Segment};
use std::collections::BTreeMap;

/// Pages are read at once up to the size of a medium one, `MI_MEDIUM_PAGE_SIZE`.
const READ_WHOLE: u64 = 512 << 10;
/// Below this share of its blocks in use a page is sparse: one in eight, as with pools.
const SPARSE: u64 = 8;

/// A run of slices that is cut into blocks of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where its first block begins.
    pub start: Addr,
    /// Bytes of one block.
    pub block: u64,
    /// Blocks that may be handed out: those after are untouched.
    pub blocks: u32,
    /// Blocks in use.
    pub used: u32,
    /// What its heap is for, by the number that the heap was given.
    pub tag: u8,
    /// The heap that it belongs to; none once the heap's thread is gone.
    pub heap: Option<Addr>,
    /// Its slices.
    range: AddrRange,
    /// Index of its first word in [`Mimalloc::live`].
    bits: usize,
}

impl Page {
    /// Where the block number `index` begins.
    #[must_use]
    pub fn block_addr(&self, index: u32) -> Addr {
        self.start.at(u64::from(index).saturating_mul(self.block))
    }

    /// Whether most of it is free.
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        self.used > 0 && u64::from(self.used) * SPARSE < u64::from(self.blocks)
    }

    /// The block that begins at `addr`.
    fn index_of(&self, addr: Addr) -> Option<u32> {
        let offset = addr.checked_since(self.start)?;
        let index = u32::try_from(offset / self.block.max(1)).ok()?;
        (offset % self.block.max(1) == 0 && index < self.blocks).then_some(index)
    }
}

/// mimalloc in one process.
#[derive(Debug, Default)]
pub struct Mimalloc {
    /// Pages with blocks in use, ascending.
    pub pages: Vec<Page>,
    /// Totals.
    pub facts: MimallocFacts,
    /// Segments, ascending.
    segments: Vec<AddrRange>,
    /// Slices that describe their segment.
    own: Vec<AddrRange>,
    /// Pages whose counts and chains disagree.
    torn: Vec<AddrRange>,
    live: Vec<u64>,
    /// From the number of a slice to the page that it is of.
    by_slice: FxHashMap<u64, u32>,
}

impl Mimalloc {
    /// Walks the segments that begin at some of `places`, ascending addresses: of several mimallocs
    /// those of the one that has most.
    #[must_use]
    pub fn at(memory: &dyn Memory, places: &[Addr], problems: &mut Problems) -> Option<Self> {
        // The layout is the one in which most segments are sound. Where layouts differ in where
        // blocks begin only, it is the one in which pages are.
        let sound = |layout| (layout, segment::sound(memory, layout, places));
        let fits: Vec<(&Layout, Vec<Segment>)> = LAYOUTS
            .iter()
            .map(sound)
            .filter(|(_, segments)| segments.iter().any(|segment| !segment.pages.is_empty()))
            .collect();
        let most = fits.iter().map(|(_, segments)| segments.len()).max()?;
        let mut best: Option<(Self, Problems)> = None;
        for (layout, segments) in fits.iter().filter(|(_, segments)| segments.len() == most) {
            let mut found = Problems::default();
            let walk = Self::walk_as(memory, layout, segments, &mut found);
            let torn = walk.facts.torn_pages;
            if best.as_ref().is_none_or(|(best, _)| torn < best.facts.torn_pages) {
                best = Some((walk, found));
            }
            if torn == 0 {
                break;
            }
        }
        let (walk, found) = best?;
        problems.absorb(found);
        Some(walk)
    }

    fn walk_as(
        memory: &dyn Memory,
        layout: &Layout,
        segments: &[Segment],
        problems: &mut Problems,
    ) -> Self {
        let mut walk = Self::default();
        layout.releases.clone_into(&mut walk.facts.release);
        for segment in segments {
            walk.segment(memory, &layout.page, segment, problems);
        }
        walk.pages.sort_unstable_by_key(|page| page.start);
        for (page, number) in walk.pages.iter().zip(0u32..) {
            let slices = page.range.start.0 / SLICE..page.range.end.0.div_ceil(SLICE);
            walk.by_slice.extend(slices.map(|slice| (slice, number)));
        }
        walk.delayed(memory, layout, problems);
        walk.sum();
        walk
    }

    fn segment(
        &mut self,
        memory: &dyn Memory,
        layout: &PageLayout,
        segment: &Segment,
        problems: &mut Problems,
    ) {
        self.segments.push(segment.range);
        self.own.push(segment.own);
        self.facts.segments += 1;
        self.facts.reserved += Bytes(segment.range.len());
        self.facts.overhead += Bytes(segment.own.len());
        self.facts.abandoned_segments += u64::from(segment.abandoned);
        let mut taken = segment.own.len();
        for (range, head) in &segment.pages {
            taken += range.len();
            if let Some(page) = self.page(memory, layout, *range, head) {
                self.pages.push(page);
            } else {
                self.facts.torn_pages += 1;
                self.torn.push(*range);
                let name = || format!("mimalloc's page at {}", range.start);
                problems.note(ProblemKind::TornPool, name);
            }
        }
        self.facts.free_in_segments += Bytes(segment.range.len().saturating_sub(taken));
    }

    /// Reads one page; `None` if its counts and its chains of free blocks disagree.
    fn page(
        &mut self,
        memory: &dyn Memory,
        layout: &PageLayout,
        range: AddrRange,
        head: &[u8],
    ) -> Option<Page> {
        let stated = layout.block_size.from(head)?;
        let block = if stated >= layout::HUGE { range.len() } else { stated };
        let start = match layout.start {
            Start::Computed if block <= 64 => range.start.at(3 * block),
            Start::Computed if block <= 512 => range.start.at(block),
            Start::After(by, most) if (8..=most).contains(&block) => range.start.at(by),
            Start::Computed | Start::After(..) => range.start,
            Start::Stated(field) => Addr(field.from(head)?),
        };
        let blocks = layout.capacity.from(head)?;
        let len = blocks.checked_mul(block)?;
        let sane = block >= 8
            && block.is_multiple_of(8)
            && range.contains(start)
            && range.end.checked_since(start)? >= len;
        if !sane {
            return None;
        }
        let bits = self.live.len();
        self.live.resize(bits + usize::try_from(blocks).ok()?.div_ceil(64), u64::MAX);
        let whole = if len <= READ_WHOLE { memory.bytes(start, len, 512 << 10).ok() } else { None };
        let live = self.live.get_mut(bits..)?;
        let mut chains = Chains { memory, start, block, blocks, bytes: whole, live };
        let mut chain = |head: Option<u64>| chains.strike(Addr(head? & !3));
        let free = chain(layout.free.from(head));
        let local = chain(layout.local_free.from(head));
        let foreign = chain(layout.thread_free.from(head));
        let used = layout.used.from(head)?;
        let agree = match (free, local, foreign) {
            (Some(free), Some(local), Some(foreign)) => {
                (used.checked_add(free + local) == Some(blocks) && foreign <= used)
                    .then(|| used - foreign)
            }
            _ => None,
        };
        let Some(used) = agree else {
            self.live.truncate(bits);
            return None;
        };
        Some(Page {
            start,
            block,
            blocks: u32::try_from(blocks).ok()?,
            used: u32::try_from(used).ok()?,
            tag: u8::try_from(layout.tag.from(head)?).ok()?,
            heap: layout.heap.from(head).map(Addr).filter(|heap| heap.0 != 0),
            range,
            bits,
        })
    }

    /// Blocks that other threads freed count as used until the heap's own thread looks at them.
    fn delayed(&mut self, memory: &dyn Memory, layout: &Layout, problems: &mut Problems) {
        let heaps: FxHashSet<Addr> = self.pages.iter().filter_map(|page| page.heap).collect();
        self.facts.heaps = heaps.len() as u64;
        for heap in heaps {
            let mut at = memory.ptr(heap.at(layout.delayed)).ok().flatten();
            while let Some(block) = at {
                // What is struck once is not found again: a chain that closes ends here.
                if !self.strike(block) {
                    let name = || format!("blocks that other threads freed to the heap at {heap}");
                    problems.note(ProblemKind::BrokenList, name);
                    break;
                }
                self.facts.delayed += 1;
                at = memory.ptr(block).ok().flatten();
            }
        }
    }

    /// Makes the block that begins at `addr` a free one; whether it was one in use.
    fn strike(&mut self, addr: Addr) -> bool {
        let number = self.by_slice.get(&(addr.0 / SLICE)).copied();
        let page = number.and_then(|number| self.pages.get_mut(number as usize));
        let Some(page) = page else { return false };
        let Some(index) = page.index_of(addr) else { return false };
        let Some(word) = self.live.get_mut(page.bits + index as usize / 64) else { return false };
        let bit = 1u64 << (index % 64);
        let was = *word & bit != 0;
        *word &= !bit;
        page.used = page.used.saturating_sub(u32::from(was));
        was
    }

    fn sum(&mut self) {
        let mut classes: BTreeMap<u64, PymallocClass> = BTreeMap::new();
        for page in &self.pages {
            let (used, all) = (u64::from(page.used), page.range.len() / page.block.max(1));
            let free = all.saturating_sub(used);
            let class = PymallocClass { block: page.block, ..PymallocClass::default() };
            let class = classes.entry(page.block).or_insert(class);
            class.pools += 1;
            class.used += used;
            class.free += free;
            let facts = &mut self.facts;
            let bytes = Bytes(used * page.block);
            facts.pages += 1;
            facts.blocks += used;
            facts.allocated += bytes;
            facts.free_in_pages += Bytes(page.range.len().saturating_sub(bytes.0));
            facts.abandoned_pages += u64::from(page.heap.is_none());
            if page.is_sparse() {
                facts.sparse_pages.0 += 1;
                facts.sparse_pages.1 += bytes;
            }
        }
        self.facts.classes = classes.into_values().collect();
    }

    /// Whether the block number `index` of `page` is in use.
    #[must_use]
    pub fn is_live(&self, page: &Page, index: u32) -> bool {
        let word = self.live.get(page.bits + index as usize / 64);
        index < page.blocks && word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Where the blocks in use of `page` begin.
    pub fn in_use<'a>(&'a self, page: &'a Page) -> impl Iterator<Item = Addr> + 'a {
        let live = (0..page.blocks).filter(|index| self.is_live(page, *index));
        live.map(|index| page.block_addr(index))
    }

    /// The blocks in use of `page`.
    pub(super) fn blocks_in_use<'a>(
        &'a self,
        page: &'a Page,
    ) -> impl Iterator<Item = AddrRange> + 'a {
        self.in_use(page).map(|addr| AddrRange::sized(addr, page.block))
    }

    /// Its segments.
    pub fn segments(&self) -> impl Iterator<Item = AddrRange> + '_ {
        self.segments.iter().copied()
    }

    /// What describes them.
    pub(super) fn own(&self) -> impl Iterator<Item = AddrRange> + '_ {
        self.own.iter().copied()
    }

    /// How large the block in use is that begins at `addr`, if there is one.
    #[must_use]
    pub fn block_at(&self, addr: Addr) -> Option<u64> {
        let page = self.pages.get(*self.by_slice.get(&(addr.0 / SLICE))? as usize)?;
        let index = page.index_of(addr)?;
        self.is_live(page, index).then_some(page.block)
    }

    /// Whether `addr` lies in a segment.
    #[must_use]
    pub fn covers(&self, addr: Addr) -> bool {
        let after = self.segments.partition_point(|segment| segment.start <= addr);
        after.checked_sub(1).and_then(|i| self.segments.get(i)).is_some_and(|s| s.contains(addr))
    }

    /// Gives every segment to its owners: blocks in use to whom `owner` says.
    pub fn claim(&self, claims: &mut Partition, mut owner: impl FnMut(&Page, Addr) -> Owner) {
        for segment in &self.segments {
            claims.claim(Layer::Chunk, *segment, Owner::MimallocFree);
        }
        for own in &self.own {
            claims.claim(Layer::Block, *own, Owner::PythonRuntime);
        }
        for page in &self.pages {
            for addr in self.in_use(page) {
                claims.claim(Layer::Block, AddrRange::sized(addr, page.block), owner(page, addr));
            }
        }
    }
}

/// Where segments may begin, ascending: pages with content. In a core of a terabyte the others are
/// not read.
fn places(view: &View) -> Vec<Addr> {
    let anonymous = view.maps().0.iter().filter(|m| m.anonymous() && m.writable());
    let places = anonymous.map(Mapping::range).flat_map(|range| {
        let first = range.start.align_up(SEGMENT);
        let count = range.end.0.saturating_sub(first.0).div_ceil(SEGMENT);
        (0..count).map(move |index| first.at(index * SEGMENT))
    });
    places.filter(|at| view.pages().state(*at) == Some(PageState::Anon)).collect()
}

/// The chains of free blocks of one page.
struct Chains<'a> {
    memory: &'a dyn Memory,
    start: Addr,
    block: u64,
    blocks: u64,
    /// The page, where it is small enough to be read at once.
    bytes: Option<Vec<u8>>,
    /// A bit for each block, set while it may be in use.
    live: &'a mut [u64],
}

impl Chains<'_> {
    /// Clears the bits of a chain's blocks; how many, `None` if one is no free block of the page.
    fn strike(&mut self, head: Addr) -> Option<u64> {
        let (mut at, mut count) = (head, 0);
        while at.0 != 0 {
            let offset = at.checked_since(self.start)?;
            let index = offset / self.block;
            let word = self.live.get_mut(usize::try_from(index / 64).ok()?)?;
            let bit = 1u64 << (index % 64);
            if !offset.is_multiple_of(self.block) || index >= self.blocks || *word & bit == 0 {
                return None;
            }
            *word &= !bit;
            count += 1;
            at = match &self.bytes {
                Some(bytes) => {
                    let link = bytes.get(usize::try_from(offset).ok()?..)?.first_chunk::<8>()?;
                    Addr(u64::from_le_bytes(*link))
                }
                None => Addr(self.memory.u64(at).ok()?),
            };
        }
        Some(count)
    }
}
