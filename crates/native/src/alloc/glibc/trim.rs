//! What would `malloc_trim(0)` give back, and what holds the rest?
//!
//! A model of `mtrim` and `systrim` (`malloc/malloc.c`, the same since 2.8): fastbins are merged
//! into their neighbours; of every free chunk the whole pages behind its first 48 bytes go; of
//! main arena's top all whole pages but one. Tops of other arenas and the caches of threads stay.

use super::arena::Region;
use super::chunk::{Chunk, State};
use memwhy_model::{Addr, AddrRange, Bytes, PinFacts, Residency};
use std::collections::BTreeMap;

const PAGE: u64 = 4096;
/// `sizeof (struct malloc_chunk)`: links that a free chunk keeps in its first page.
const FREE_HEADER: u64 = 48;
/// Chunks remembered that each hold a page alone: enough for a table by type.
const MOST_LONE: usize = 1 << 20;

/// What a trim would do to one region.
#[derive(Debug, Default)]
pub(super) struct Trim {
    /// Resident bytes that would be given back.
    pub(super) returned: u64,
    /// The pages that would be given back, ascending.
    pub(super) pages: Vec<AddrRange>,
}

/// Predicts the trim of `region`, whose chunks are `chunks` in address order.
pub(super) fn predict(region: Region, chunks: &[Chunk], pages: &Residency) -> Trim {
    let mut trim = Trim::default();
    let mut give = |from: Addr, to: Addr| {
        let range = AddrRange::new(from.align_up(PAGE), to.align_down(PAGE));
        let resident = pages.resident(range);
        if resident > 0 {
            trim.returned += resident;
            trim.pages.push(range);
        }
    };
    let mut index = 0;
    while let Some(chunk) = chunks.get(index) {
        index += 1;
        if !mergeable(*chunk) {
            continue;
        }
        let mut end = chunk.range().end;
        let mut reached_top = chunk.state() == State::Top;
        while let Some(next) = chunks.get(index).filter(|next| mergeable(**next)) {
            reached_top |= next.state() == State::Top;
            end = next.range().end;
            index += 1;
        }
        if !reached_top {
            give(chunk.addr().at(FREE_HEADER), end);
        } else if region.arena == 0 {
            // systrim(0): top keeps MINSIZE + 1 bytes, and goes down by whole pages from the end.
            let size = end.0.saturating_sub(chunk.addr().0);
            let extra = size.saturating_sub(33) & !(PAGE - 1);
            give(end.before(extra), end);
        }
    }
    trim
}

const fn mergeable(chunk: Chunk) -> bool {
    matches!(chunk.state(), State::Free | State::Fast | State::Top)
}

/// Resident pages that stay though less than half of each is in use, and who is on them.
#[derive(Debug, Default)]
pub(super) struct Pins {
    pages: u64,
    free: u64,
    by_size: BTreeMap<u64, u64>,
    pub(super) lone: Vec<Addr>,
}

impl Pins {
    /// Adds the pages of `region` that `trim` leaves.
    pub(super) fn add(&mut self, region: Region, chunks: &[Chunk], pages: &Residency, trim: &Trim) {
        let mut index = 0;
        for run in pages.within(region.range) {
            let mut page = run.range.start;
            while page < run.range.end {
                let range = AddrRange::sized(page, PAGE);
                page = range.end;
                if returned(trim, range) {
                    continue;
                }
                while chunks.get(index).is_some_and(|chunk| chunk.range().end <= range.start) {
                    index += 1;
                }
                self.look(range, chunks.get(index..).unwrap_or_default());
            }
        }
    }

    fn look(&mut self, page: AddrRange, from: &[Chunk]) {
        let (mut used, mut free, mut count) = (0, 0, 0u32);
        let mut alone = None;
        for chunk in from.iter().take_while(|chunk| chunk.addr() < page.end) {
            let here = chunk.range().overlap(page).len();
            if matches!(chunk.state(), State::InUse | State::Mmapped) {
                used += here;
                count += 1;
                alone = Some(*chunk);
            } else if chunk.state() != State::Top {
                free += here;
            }
        }
        if used >= PAGE / 2 || free < PAGE / 2 {
            return;
        }
        self.pages += 1;
        self.free += free;
        if let (1, Some(chunk)) = (count, alone) {
            *self.by_size.entry(chunk.size()).or_default() += 1;
            if self.lone.len() < MOST_LONE {
                self.lone.push(chunk.memory());
            }
        }
    }

    pub(super) fn facts(&self) -> PinFacts {
        let mut lone_by_size: Vec<(u64, u64)> =
            self.by_size.iter().map(|(size, pages)| (*size, *pages)).collect();
        lone_by_size.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
        lone_by_size.truncate(8);
        PinFacts {
            pages: self.pages,
            free: Bytes(self.free),
            lone_by_size,
            lone_by_type: Vec::new(),
        }
    }
}

fn returned(trim: &Trim, page: AddrRange) -> bool {
    let after = trim.pages.partition_point(|range| range.start <= page.start);
    after.checked_sub(1).and_then(|i| trim.pages.get(i)).is_some_and(|range| range.covers(page))
}

#[cfg(test)]
mod tests {
    use super::{Pins, predict};
    use crate::alloc::glibc::arena::Region;
    use crate::alloc::glibc::chunk::{Chunk, State};
    use memwhy_model::{Addr, AddrRange, PageRun, PageState, Residency};

    const BASE: u64 = 0x10_0000;

    fn row(sizes: &[(u64, State)]) -> Vec<Chunk> {
        let mut at = BASE;
        let mut chunks = Vec::new();
        for (size, state) in sizes {
            chunks.push(Chunk::new(Addr(at), *size, *state));
            at += size;
        }
        chunks
    }

    fn all_resident() -> Residency {
        let range = AddrRange::sized(Addr(BASE), 0x10_0000);
        Residency::new([PageRun { range, state: PageState::Anon }])
    }

    fn region(arena: usize) -> Region {
        Region { range: AddrRange::sized(Addr(BASE), 0x10_0000), arena }
    }

    #[test]
    fn whole_pages_of_free_chunks_go_and_the_first_48_bytes_stay() {
        let chunks = row(&[(0x4000, State::Free), (0x20, State::InUse), (0x1000, State::Top)]);
        assert_eq!(predict(region(1), &chunks, &all_resident()).returned, 0x3000);
    }

    #[test]
    fn fastbins_merge_with_their_neighbours_and_caches_do_not() {
        let merged = row(&[(0x1800, State::Free), (0x20, State::Fast), (0x2000, State::Free)]);
        let split = row(&[(0x1800, State::Free), (0x20, State::Cached), (0x2000, State::Free)]);
        assert_eq!(predict(region(1), &merged, &all_resident()).returned, 0x2000);
        assert_eq!(predict(region(1), &split, &all_resident()).returned, 0x1000);
    }

    #[test]
    fn only_the_top_of_main_arena_shrinks() {
        let chunks = row(&[(0x1000, State::InUse), (0x4000, State::Top)]);
        assert_eq!(predict(region(1), &chunks, &all_resident()).returned, 0);
        assert_eq!(predict(region(0), &chunks, &all_resident()).returned, 0x3000);
    }

    #[test]
    fn a_small_chunk_alone_on_a_page_pins_it() {
        let chunks = row(&[(0x1100, State::InUse), (0xff0, State::Free), (0x1f10, State::InUse)]);
        let trim = predict(region(1), &chunks, &all_resident());
        let mut pins = Pins::default();
        let pages = Residency::new([PageRun {
            range: AddrRange::sized(Addr(BASE), 0x4000),
            state: PageState::Anon,
        }]);
        pins.add(region(1), &chunks, &pages, &trim);
        let facts = pins.facts();
        assert_eq!(facts.pages, 1);
        assert!(facts.free.0 >= 0xf00);
    }
}
