//! What has the program from malloc, whoever serves it?
//!
//! The search asks of an allocator no more than what it handed out and where its heaps are: chunks
//! of glibc, blocks of one that stands in for it.

use crate::alloc::glibc::{self, Glibc, State};
use crate::alloc::stand_in::Walked;
use memwhy_model::{Addr, AddrRange};

/// Page of the kernel: a chunk with a mapping of its own begins with one.
const PAGE: u64 = 4096;
/// What is before the memory of a chunk of glibc.
const HEADER: u64 = 16;
/// Up to so many bytes the memory of a chunk of glibc goes on into the next one's header.
const LENT: u64 = 8;

/// What is around the memory that the program got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Around {
    /// Nothing: a block of an allocator that keeps its notes elsewhere.
    Nothing = 0,
    /// A header.
    Header = 1,
    /// A header, and the mapping's first page before it.
    Mapping = 2,
}

/// A chunk in use, in 16 bytes: there may be millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    memory: u64,
    /// Memory comes in multiples of 8 bytes; the low three bits have what is around it.
    usable_and_around: u64,
}

impl Chunk {
    const fn new(memory: Addr, usable: u64, around: Around) -> Self {
        Self { memory: memory.0, usable_and_around: usable & !7 | around as u64 }
    }

    /// A block without a header.
    #[must_use]
    pub const fn block(block: AddrRange) -> Self {
        Self::new(block.start, block.len(), Around::Nothing)
    }

    /// A chunk of glibc.
    #[must_use]
    pub const fn glibc(chunk: glibc::Chunk) -> Self {
        let around = match chunk.state() {
            State::Mmapped => Around::Mapping,
            State::InUse | State::Free | State::Fast | State::Cached | State::Top => Around::Header,
        };
        Self::new(chunk.memory(), chunk.usable(), around)
    }

    /// What malloc returned.
    #[must_use]
    pub const fn memory(self) -> Addr {
        Addr(self.memory)
    }

    /// How many bytes the program may use.
    #[must_use]
    pub const fn usable(self) -> u64 {
        self.usable_and_around & !7
    }

    const fn around(self) -> Around {
        match self.usable_and_around & 7 {
            0 => Around::Nothing,
            1 => Around::Header,
            _ => Around::Mapping,
        }
    }

    /// Header and all.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self.around() {
            Around::Nothing => self.usable(),
            Around::Header => self.usable().saturating_add(HEADER - LENT),
            Around::Mapping => self.usable().saturating_add(HEADER),
        }
    }

    /// What it takes of the address space, with what lies before it in its mapping, if it has one of
    /// its own.
    #[must_use]
    pub const fn range(self) -> AddrRange {
        let end = self.end();
        match self.around() {
            Around::Nothing => AddrRange::new(self.memory(), end),
            Around::Header => AddrRange::new(self.memory().before(HEADER), end.before(LENT)),
            Around::Mapping => AddrRange::new(self.memory().before(HEADER).align_down(PAGE), end),
        }
    }

    const fn end(self) -> Addr {
        self.memory().at(self.usable())
    }

    /// One past the last address that is taken for one of this chunk. An address just behind its end
    /// is, where another chunk cannot begin there.
    #[must_use]
    pub const fn reach(self) -> u64 {
        match self.around() {
            Around::Nothing => self.end().0,
            Around::Header | Around::Mapping => self.end().at(1).0,
        }
    }
}

/// All that was handed out.
#[derive(Debug)]
pub struct Chunks {
    /// Those in use, ascending.
    pub list: Vec<Chunk>,
    /// What allocators manage: an address in it is nobody's but in a chunk.
    pub heaps: Vec<AddrRange>,
    /// Memory of a library whose address is no content: the lists of malloc, which a chunk that was
    /// free before may still have.
    pub stale: AddrRange,
}

impl Chunks {
    /// Those of glibc.
    #[must_use]
    pub fn of_glibc(glibc: &Glibc) -> Self {
        let used = || glibc.chunks.iter().filter(|chunk| chunk.in_use());
        let list: Vec<Chunk> = used().map(|chunk| Chunk::glibc(*chunk)).collect();
        let mut heaps: Vec<AddrRange> = glibc.regions.iter().map(|region| region.range).collect();
        let mapped = list.iter().filter(|chunk| matches!(chunk.around(), Around::Mapping));
        heaps.extend(mapped.map(|chunk| chunk.range()));
        // `main_arena` has the addresses of headers, which belong to the chunks before.
        heaps.push(glibc.state);
        Self { list, heaps, stale: glibc.state }
    }

    /// Those of an allocator that stands in for it.
    #[must_use]
    pub fn of_stand_in(walked: &Walked) -> Self {
        Self {
            list: walked.used.iter().map(|block| Chunk::block(*block)).collect(),
            heaps: walked.regions.iter().map(|(range, _)| *range).collect(),
            stale: AddrRange::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AddrRange, Chunk};
    use crate::alloc::glibc::{self, State};
    use memwhy_model::Addr;

    #[test]
    fn a_chunk_is_as_large_as_its_allocator_says() {
        let heap = glibc::Chunk::new(Addr(0x1000), 0x40, State::InUse);
        let mapped = glibc::Chunk::new(Addr(0x7000_0030), 0x2fd0, State::Mmapped);
        for of in [heap, mapped] {
            let chunk = Chunk::glibc(of);
            assert_eq!(
                (chunk.memory(), chunk.usable(), chunk.size()),
                (of.memory(), of.usable(), of.size())
            );
            assert_eq!(chunk.range().end, of.range().end);
        }
        assert_eq!(Chunk::glibc(heap).range(), heap.range());
        assert_eq!(Chunk::glibc(mapped).range().start, Addr(0x7000_0000));
        let block = AddrRange::sized(Addr(0x5000), 48);
        assert_eq!((Chunk::block(block).range(), Chunk::block(block).size()), (block, 48));
    }
}
