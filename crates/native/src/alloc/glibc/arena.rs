//! Which rows of chunks belong to an arena, and do they add up to what it took from the kernel?
//!
//! Main arena grows by `brk`, other arenas by heaps of at most 64 MiB, aligned to that, each with
//! a pointer to the one before. Source: `malloc/arena.c`, `heap_info`, `new_heap`, `heap_max_size`,
//! `sysmalloc`.

use super::chunk::{Chunk, End, Headers, walk_row};
use super::find::Found;
use super::layout::{FLAGS, HEADER, HEAP_MAX, HEAP_MAX_PAGES, PREV_INUSE};
use memwhy_model::{Addr, AddrRange, ArenaFacts, Bytes, ProblemKind, Problems};
use memwhy_target::{Mapping, MemoryExt, View};

/// An arena may have so many heaps: 64 TiB.
const MOST_HEAPS: usize = 1 << 20;

/// A stretch of memory that an arena manages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// From its first byte, headers too, to its last.
    pub range: AddrRange,
    /// Index of the arena, 0 for main arena.
    pub arena: usize,
}

/// Walks one arena; its chunks go to `chunks`, its regions to `regions`.
pub(super) fn walk(
    view: &View,
    found: &Found,
    addr: Addr,
    index: usize,
    chunks: &mut Vec<Chunk>,
    regions: &mut Vec<Region>,
    problems: &mut Problems,
) -> ArenaFacts {
    let layout = &found.layout;
    let word = |offset: u64| view.u64(addr.at(offset)).unwrap_or(0);
    let mut facts = ArenaFacts {
        addr,
        main: index == 0,
        attached_threads: layout.attached.and_then(|at| view.u64(addr.at(at)).ok()),
        system: Bytes(word(layout.system_mem)),
        ..ArenaFacts::default()
    };
    let top = Addr(word(layout.top));
    let first = chunks.len();
    let walked = if facts.main {
        let walked = Walked { bytes: 0, complete: false };
        let headers = Headers::new(view);
        MainWalk { view, headers, top, chunks, regions, walked }.run(found, facts.system)
    } else {
        walk_heaps(view, found, addr, top, index, chunks, regions)
    };
    facts.walked = Bytes(walked.bytes);
    facts.complete = walked.complete && facts.walked == facts.system;
    if !facts.complete {
        problems.note(ProblemKind::BrokenMallocHeap, || {
            format!("arena {addr}: {} of {} walked", facts.walked, facts.system)
        });
    }
    let used = chunks.get(first..).unwrap_or_default();
    facts.last_in_use =
        used.iter().rev().find(|c| c.in_use()).map(|c| (c.memory(), Bytes(c.size())));
    facts
}

struct Walked {
    bytes: u64,
    complete: bool,
}

/// Main arena: one row from `sbrk_base` to top, or several with fences between them where
/// something else moved the break or the break could not grow; those may be in any order.
struct MainWalk<'a> {
    view: &'a View,
    headers: Headers<'a>,
    top: Addr,
    chunks: &'a mut Vec<Chunk>,
    regions: &'a mut Vec<Region>,
    walked: Walked,
}

impl MainWalk<'_> {
    fn run(mut self, found: &Found, system: Bytes) -> Walked {
        // Before its first use top points into the arena itself.
        if system.0 == 0 {
            return Walked { bytes: 0, complete: true };
        }
        let maps = self.view.maps();
        let heap = maps.0.iter().find(|m| m.facts.name == "[heap]").map(Mapping::range);
        if let Some(heap) = heap {
            let base = found.params.map(|params| params.sbrk_base);
            let start = base.filter(|base| heap.contains(*base)).unwrap_or(heap.start);
            self.rows(start, maps.run_end(start));
        }
        // Until all is found that the arena took: memory mapped where the break could not grow, or
        // where huge pages were asked for (`sysmalloc_mmap_fallback`).
        let mapped = maps.0.iter().filter(|m| m.anonymous() && m.writable() && m.private());
        for range in mapped.filter(|m| m.facts.name.is_empty()).map(Mapping::range) {
            let mut at = range.start;
            while self.walked.bytes < system.0 {
                let filled = self.view.pages().filled_from(at).filter(|page| *page < range.end);
                let Some(page) = filled else { break };
                at = self.mapped_row(page, maps.run_end(page)).unwrap_or(page.at(4096));
            }
        }
        self.walked
    }

    /// Walks the row that begins with the page `start`, if one does, and says where it ends: whole
    /// pages up to top or to a fence of two chunks, which nothing else looks like.
    fn mapped_row(&mut self, start: Addr, limit: Addr) -> Option<Addr> {
        if let Some(known) = self.regions.iter().find(|region| region.range.contains(start)) {
            return Some(known.range.end);
        }
        let size = self.headers.word(start.at(8)).ok()?;
        if size & FLAGS != PREV_INUSE {
            return None;
        }
        let before = self.chunks.len();
        let (chunks, top) = (&mut *self.chunks, Some(self.top));
        let end = walk_row(&mut self.headers, start, top, limit.at(1), &mut |c| chunks.push(c));
        let until = match end {
            End::Top => self.chunks.last().map(|top| top.range().end),
            // The first of the two knows whether the chunk before is free, the second nothing.
            End::Fence(fence) => {
                let mut size = |at: u64| self.headers.word(fence.at(at + 8));
                let is_fence = size(0).is_ok_and(|size| size & !FLAGS == HEADER)
                    && size(HEADER) == Ok(HEADER | PREV_INUSE);
                is_fence.then(|| fence.at(2 * HEADER))
            }
            End::Broken(_) => None,
        };
        let Some(until) = until.filter(|until| until.is_aligned(4096)) else {
            self.chunks.truncate(before);
            return None;
        };
        self.add(start, until);
        self.walked.complete |= end == End::Top;
        Some(until)
    }

    fn add(&mut self, start: Addr, until: Addr) {
        self.walked.bytes += until.0.saturating_sub(start.0);
        self.regions.push(Region { range: AddrRange::new(start, until), arena: 0 });
    }

    /// Walks the rows from `start` to `limit`, each up to top or to a fence.
    fn rows(&mut self, mut start: Addr, limit: Addr) {
        while start < limit {
            let before = self.chunks.len();
            let (chunks, top) = (&mut *self.chunks, Some(self.top));
            let first = start.align_up(16);
            let end = walk_row(&mut self.headers, first, top, limit.at(1), &mut |c| chunks.push(c));
            let until = match end {
                End::Top => self.chunks.last().map_or(first, |top| top.range().end),
                // Two fence chunks, then perhaps memory of whoever moved the break, then ours.
                End::Fence(fence) => fence.at(2 * HEADER),
                // Chunks before the break in the row are right, but nothing proves it.
                End::Broken(_) => return self.chunks.truncate(before),
            };
            self.add(start, until);
            if end == End::Top {
                self.walked.complete = true;
                return;
            }
            start = next_row(self.view, until, limit);
        }
    }
}

/// After a fence: the first page where a chunk with `PREV_INUSE` begins again.
fn next_row(view: &View, after: Addr, limit: Addr) -> Addr {
    let mut at = after.align_up(16);
    while at < limit {
        let size = view.u64(at.at(8)).unwrap_or(0);
        if size & 7 == 1 && size > 32 && at.at(size & !7) <= limit {
            return at;
        }
        at = at.at(16);
        // Nobody moves the break by less than a page and uses it for more than a few.
        if at.0.saturating_sub(after.0) > 1 << 20 {
            break;
        }
    }
    limit
}

/// The sizes that heaps may be aligned to: four huge pages where 2.35 to 2.41 are told to use them
/// (`glibc.malloc.hugetlb=2`), whether or not the kernel has any; otherwise, and again from 2.42 on,
/// 64 MiB. `mp_` is the same in both, so where top lies tells.
fn heap_sizes(found: &Found) -> impl Iterator<Item = u64> + Clone {
    let huge = found.params.map_or(0, |params| params.huge_page.saturating_mul(HEAP_MAX_PAGES));
    [huge, HEAP_MAX].into_iter().filter(|size| *size > 0)
}

/// Another arena: its heaps from the newest, which has top, back to the first, which has the arena.
fn walk_heaps(
    view: &View,
    found: &Found,
    arena: Addr,
    top: Addr,
    index: usize,
    chunks: &mut Vec<Chunk>,
    regions: &mut Vec<Region>,
) -> Walked {
    // `heap_info` is followed by the arena in the first heap: its size is told by the address.
    let info_size = arena.0 & 0xfff;
    let sizes = heap_sizes(found);
    let largest = sizes.clone().max().unwrap_or(HEAP_MAX);
    let mut starts = sizes.map(|size| top.align_down(size));
    let leads = |heap: &Addr| view.u64(*heap) == Ok(arena.0);
    let mut heap = starts.find(leads).unwrap_or(top.align_down(HEAP_MAX));
    let mut walked = Walked { bytes: 0, complete: true };
    let mut headers = Headers::new(view);
    for _ in 0..MOST_HEAPS {
        let (owner, previous, size) = (view.u64(heap), view.ptr(heap.at(8)), view.u64(heap.at(16)));
        let (Ok(owner), Ok(previous), Ok(size)) = (owner, previous, size) else {
            walked.complete = false;
            break;
        };
        if owner != arena.0 || size > largest || size % 4096 != 0 {
            walked.complete = false;
            break;
        }
        let first_heap = heap == arena.align_down(4096);
        let start = if first_heap {
            arena.at(found.layout.size).align_up(16)
        } else {
            heap.at(info_size).align_up(16)
        };
        let range = AddrRange::sized(heap, size);
        let here = Some(top).filter(|top| range.contains(*top));
        let limit = range.end.at(1);
        match walk_row(&mut headers, start, here, limit, &mut |chunk| chunks.push(chunk)) {
            End::Top | End::Fence(_) => walked.bytes += size,
            End::Broken(at) => {
                walked.bytes += at.0.saturating_sub(heap.0);
                walked.complete = false;
            }
        }
        regions.push(Region { range, arena: index });
        match previous {
            Some(previous) if previous != heap => heap = previous,
            _ => break,
        }
        if first_heap {
            break;
        }
    }
    walked
}
