//! What is a chunk, and which ones does a heap hold?
//!
//! A heap is a row of chunks, each with its size; that a chunk is free is told by the next one
//! (`PREV_INUSE`). Sizes are believed only as far as they lead from the first chunk to the top.
//! Source: `malloc/malloc.c`, "Chunk structure"; `sysmalloc` for the fences.

use super::layout::{FLAGS, HEADER, MIN_CHUNK, PREV_INUSE};
use memwhy_model::{Addr, AddrRange};
use memwhy_target::{Fault, Memory, MemoryExt};

/// What a chunk is to malloc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// The program has it.
    InUse = 0,
    /// In a bin.
    Free = 1,
    /// In a fastbin: free, though its neighbours do not know.
    Fast = 2,
    /// In the cache of a thread: free, though malloc counts it as in use.
    Cached = 3,
    /// The end of an arena.
    Top = 4,
    /// In use, in a mapping of its own.
    Mmapped = 5,
}

/// One chunk, in 16 bytes: there may be millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    addr: u64,
    /// Sizes are multiples of 16; the low four bits have the state.
    size_and_state: u64,
}

impl Chunk {
    /// A chunk of `size` bytes, header and all.
    #[must_use]
    pub const fn new(addr: Addr, size: u64, state: State) -> Self {
        Self { addr: addr.0, size_and_state: (size & !15) | state as u64 }
    }

    /// Where its header begins.
    #[must_use]
    pub const fn addr(self) -> Addr {
        Addr(self.addr)
    }

    /// Header and all.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.size_and_state & !15
    }

    /// From header to end.
    #[must_use]
    pub const fn range(self) -> AddrRange {
        AddrRange::sized(Addr(self.addr), self.size())
    }

    /// What `malloc` returned.
    #[must_use]
    pub const fn memory(self) -> Addr {
        Addr(self.addr.saturating_add(HEADER))
    }

    /// How many bytes the program may use: up to the size field of the next chunk, or, in a
    /// mapping of its own, up to its end (`malloc_usable_size`).
    #[must_use]
    pub const fn usable(self) -> u64 {
        match self.state() {
            State::Mmapped => self.size().saturating_sub(HEADER),
            _ => self.size().saturating_sub(HEADER - 8),
        }
    }

    /// What it is to malloc.
    #[must_use]
    pub const fn state(self) -> State {
        match self.size_and_state & 15 {
            0 => State::InUse,
            1 => State::Free,
            2 => State::Fast,
            3 => State::Cached,
            4 => State::Top,
            _ => State::Mmapped,
        }
    }

    /// Whether the program has it.
    #[must_use]
    pub const fn in_use(self) -> bool {
        matches!(self.state(), State::InUse | State::Mmapped)
    }

    pub(super) const fn become_state(&mut self, state: State) {
        self.size_and_state = (self.size_and_state & !15) | state as u64;
    }
}

/// Where the walk of one row of chunks ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the top chunk that was expected.
    Top,
    /// At the fence of a row that has another one after it.
    Fence(Addr),
    /// At something that is no chunk: the walk is incomplete.
    Broken(Addr),
}

/// Bytes read at once: a system call each on a live process.
const WINDOW: u64 = 64 << 10;

/// Reads chunk headers in address order, many pages at a time.
pub(super) struct Headers<'m> {
    memory: &'m dyn Memory,
    start: Addr,
    bytes: Vec<u8>,
    /// A window that cannot be read as a whole, because memory in it is not there.
    refused: Option<Addr>,
}

impl<'m> Headers<'m> {
    pub(super) fn new(memory: &'m dyn Memory) -> Self {
        Self { memory, start: Addr(0), bytes: Vec::new(), refused: None }
    }

    /// The word at `addr`, 8-aligned.
    pub(super) fn word(&mut self, addr: Addr) -> Result<u64, Fault> {
        if let Some(word) = self.known(addr) {
            return Ok(word);
        }
        // Large windows first; around what is not there (freed pages, the end) by the page.
        let large = addr.align_down(WINDOW);
        if self.refused != Some(large) && self.fill(large, WINDOW).is_err() {
            self.refused = Some(large);
        }
        if self.refused == Some(large) {
            let _ = self.fill(addr.align_down(4096), 4096);
        }
        match self.known(addr) {
            Some(word) => Ok(word),
            None => self.memory.u64(addr),
        }
    }

    fn fill(&mut self, start: Addr, len: u64) -> Result<(), Fault> {
        self.bytes.resize(usize::try_from(len).unwrap_or(0), 0);
        self.start = start;
        let read = self.memory.read(start, &mut self.bytes);
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }

    fn known(&self, addr: Addr) -> Option<u64> {
        let at = usize::try_from(addr.checked_since(self.start)?).ok()?;
        let word = self.bytes.get(at..)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*word))
    }
}

/// Walks the row of chunks from `start`, handing each to `each`, up to `top` or a fence.
///
/// Every step goes forward by at least the smallest chunk and stays below `limit`, so that it
/// ends whatever the memory holds.
pub(super) fn walk_row(
    headers: &mut Headers<'_>,
    start: Addr,
    top: Option<Addr>,
    limit: Addr,
    each: &mut dyn FnMut(Chunk),
) -> End {
    let mut at = start;
    let Ok(mut word) = headers.word(at.at(8)) else { return End::Broken(at) };
    loop {
        let size = word & !FLAGS;
        if top == Some(at) {
            let fits = size >= 16 && at.at(size) <= limit;
            if !fits {
                return End::Broken(at);
            }
            each(Chunk::new(at, size, State::Top));
            return End::Top;
        }
        // The fence of main arena is two chunks of 16 bytes, of other heaps one of 16 and one of 0.
        if size == 16 || size == 0 {
            return End::Fence(at);
        }
        let next = at.at(size);
        if size < MIN_CHUNK || !size.is_multiple_of(16) || next >= limit {
            return End::Broken(at);
        }
        let Ok(next_word) = headers.word(next.at(8)) else { return End::Broken(at) };
        let state = if next_word & PREV_INUSE == 0 { State::Free } else { State::InUse };
        each(Chunk::new(at, size, state));
        (at, word) = (next, next_word);
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunk, State};
    use memwhy_model::Addr;

    #[test]
    fn a_chunk_keeps_its_size_and_changes_its_state() {
        let mut chunk = Chunk::new(Addr(0x1000), 0x2f0, State::InUse);
        assert!(chunk.in_use());
        chunk.become_state(State::Cached);
        assert_eq!((chunk.size(), chunk.state(), chunk.usable()), (0x2f0, State::Cached, 0x2e8));
        assert!(!chunk.in_use());
    }
}
