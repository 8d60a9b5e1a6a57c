//! Which chunk does an address belong to, quickly?
//!
//! Nearly every word of a process is asked about. Stretches of neighbouring chunks are few; within
//! one, a number for each page says which chunk the page begins in, so that a search is over the
//! chunks of one page.

use super::chunk::Chunk;

const PAGE: u32 = 12;
/// From this size on a chunk is a stretch of its own: it may be terabytes that nobody has touched.
const ALONE: u64 = 1 << 20;
/// Gaps up to this many bytes do not end a stretch.
const GAP: u64 = 1 << 20;

/// Chunks that are near each other.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    start: u64,
    /// One past the last address that may belong to the last chunk.
    end: u64,
    /// Where the numbers of its pages begin.
    pages: usize,
    first: u32,
    last: u32,
}

/// From addresses to chunks.
#[derive(Debug)]
pub(super) struct ChunkIndex<'a> {
    chunks: &'a [Chunk],
    stretches: Vec<Stretch>,
    /// For each page of each stretch the last chunk that begins at or before its start.
    pages: Vec<u32>,
    low: u64,
    length: u64,
}

impl<'a> ChunkIndex<'a> {
    /// Takes chunks in ascending order.
    pub(super) fn of(chunks: &'a [Chunk]) -> Self {
        let mut index =
            Self { chunks, stretches: Vec::new(), pages: Vec::new(), low: 0, length: 0 };
        let mut open: Option<Stretch> = None;
        for (chunk, number) in chunks.iter().zip(0u32..) {
            let (start, end) = (chunk.memory().0, chunk.reach());
            if chunk.usable() >= ALONE {
                if let Some(done) = open.take() {
                    index.close(done);
                }
                let alone = Stretch { start, end, pages: 0, first: number, last: number };
                index.stretches.push(alone);
                continue;
            }
            let joins = |stretch: &Stretch| start <= stretch.end.saturating_add(GAP);
            if let Some(stretch) = open.as_mut().filter(|stretch| joins(stretch)) {
                index.begin_pages(stretch, start, number);
                (stretch.end, stretch.last) = (stretch.end.max(end), number);
                continue;
            }
            if let Some(done) = open.take() {
                index.close(done);
            }
            index.pages.push(number);
            let pages = index.pages.len() - 1;
            open = Some(Stretch { start, end, pages, first: number, last: number });
        }
        if let Some(done) = open {
            index.close(done);
        }
        index.low = index.stretches.first().map_or(0, |stretch| stretch.start);
        index.length = index.stretches.last().map_or(0, |last| last.end - index.low);
        index
    }

    /// Numbers the pages up to the one that `start`, where `number` begins, is in.
    fn begin_pages(&mut self, stretch: &Stretch, start: u64, number: u32) {
        let page = start >> PAGE;
        let known = (stretch.start >> PAGE) + (self.pages.len() - stretch.pages) as u64;
        let before = number.saturating_sub(1).max(stretch.first);
        for next in known..=page {
            self.pages.push(if start == next << PAGE { number } else { before });
        }
    }

    fn close(&mut self, stretch: Stretch) {
        self.begin_pages(&stretch, stretch.end, stretch.last.saturating_add(1));
        self.stretches.push(stretch);
    }

    /// The chunk that the memory at `word` belongs to, one past its end included where it has a
    /// header: `hint` is the stretch that was hit last.
    #[inline]
    pub(super) fn find(&self, word: u64, hint: &mut usize) -> Option<u32> {
        if word.wrapping_sub(self.low) >= self.length {
            return None;
        }
        let covers = |stretch: &&Stretch| (stretch.start..stretch.end).contains(&word);
        let stretch = if let Some(stretch) = self.stretches.get(*hint).filter(covers) {
            stretch
        } else {
            let after = self.stretches.partition_point(|stretch| stretch.start <= word);
            *hint = after.checked_sub(1)?;
            self.stretches.get(*hint).filter(covers)?
        };
        let number = self.within(stretch, word)?;
        (word < self.chunks.get(number as usize)?.reach()).then_some(number)
    }
}

impl ChunkIndex<'_> {
    /// The last chunk of a stretch that begins at or before `word`.
    fn within(&self, stretch: &Stretch, word: u64) -> Option<u32> {
        if stretch.first == stretch.last {
            return Some(stretch.first);
        }
        let page = usize::try_from((word >> PAGE) - (stretch.start >> PAGE)).ok()?;
        let at = stretch.pages + page;
        let low = *self.pages.get(at)?;
        // The next page's number may be that of another stretch.
        let high = self.pages.get(at + 1).map_or(stretch.last, |next| (*next).min(stretch.last));
        let part = self.chunks.get(low as usize..=high.max(low) as usize)?;
        let after = part.partition_point(|chunk| chunk.memory().0 <= word);
        low.checked_add(u32::try_from(after.checked_sub(1)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunk, ChunkIndex};
    use crate::alloc::glibc::{self, State};
    use memwhy_model::{Addr, AddrRange};

    fn chunk(addr: u64, size: u64) -> Chunk {
        Chunk::glibc(glibc::Chunk::new(Addr(addr), size, State::InUse))
    }

    /// Three neighbours, one after a gap in the same stretch, and one far away.
    fn chunks() -> Vec<Chunk> {
        [(0x1000, 0x20), (0x1020, 0x4000), (0x5020, 0x30), (0x9000, 0x40), (0x7000_0010, 0x2ff0)]
            .map(|(addr, size)| chunk(addr, size))
            .into()
    }

    #[test]
    fn an_address_belongs_to_the_chunk_whose_memory_it_is_in() {
        let chunks = chunks();
        let index = ChunkIndex::of(&chunks);
        let find = |word| index.find(word, &mut 0);
        assert_eq!([0x1010, 0x101f, 0x1030, 0x3000, 0x5030].map(find), [0, 0, 1, 1, 2].map(Some));
        assert_eq!([0x9010, 0x7000_0020, 0x7000_2fff].map(find), [3, 4, 4].map(Some));
        assert_eq!([0, 0x8000, 0xa000, 0x6fff_0000, u64::MAX].map(find), [None; 5]);
    }

    #[test]
    fn the_end_of_a_chunk_is_its_own_and_a_header_is_nobodys() {
        let chunks = chunks();
        let index = ChunkIndex::of(&chunks);
        let find = |word| index.find(word, &mut 0);
        // `usable()` ends 8 bytes into the next chunk.
        assert_eq!([0x1020, 0x1028, 0x5050, 0x5058].map(find), [0, 0, 2, 2].map(Some));
        assert_eq!([0x1029, 0x102f, 0x5059, 0x9000, 0x9008].map(find), [None; 5]);
        assert_eq!(find(0x7000_3000), Some(4));
    }

    #[test]
    fn the_end_of_a_block_is_where_the_next_one_begins() {
        let blocks =
            [0x1000, 0x1030, 0x1090].map(|start| Chunk::block(AddrRange::sized(Addr(start), 0x30)));
        let index = ChunkIndex::of(&blocks);
        let find = |word| index.find(word, &mut 0);
        assert_eq!([0x1000, 0x102f, 0x1030, 0x1090].map(find), [0, 0, 1, 2].map(Some));
        // The one behind it is free.
        assert_eq!([0xfff, 0x1060, 0x108f, 0x10c0].map(find), [None; 4]);
    }

    #[test]
    fn a_chunk_of_terabytes_costs_no_more_than_a_small_one() {
        let mut at = 0x1000;
        let chunks: Vec<Chunk> = [0x40, 1 << 42, 0x60, 0x30]
            .map(|size| {
                let chunk = chunk(at, size);
                at += size;
                chunk
            })
            .into();
        let index = ChunkIndex::of(&chunks);
        assert!(index.pages.len() < 10);
        for (chunk, number) in chunks.iter().zip(0u32..) {
            for word in [chunk.memory().0, chunk.range().end.0 - 8, chunk.range().end.0 + 8] {
                assert_eq!(index.find(word, &mut 0), Some(number));
            }
        }
    }

    #[test]
    fn every_address_of_many_chunks_is_found_whatever_was_found_before() {
        let mut at = 0x55_0000u64;
        let mut chunks = Vec::new();
        for n in 0..5000u64 {
            let size = 32 + n * 7919 % 700 / 16 * 16;
            chunks.push(chunk(at, size));
            at += size + if n % 1000 == 999 { 3 << 20 } else { 0 };
        }
        let index = ChunkIndex::of(&chunks);
        let mut hint = 0;
        for (chunk, number) in chunks.iter().zip(0u32..) {
            for word in [chunk.memory().0, chunk.memory().0 + chunk.usable() - 9] {
                assert_eq!(index.find(word, &mut hint), Some(number));
            }
        }
    }
}
