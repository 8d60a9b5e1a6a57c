//! From where may C code know a chunk: variables of libraries, stacks, registers, thread-local
//! storage, memory that nobody manages?
//!
//! Searched is whatever the process has written to and that is not a heap: all its own pages, less
//! the heaps of malloc and the arenas of the interpreter, and less the dead parts of stacks. Memory
//! that it shares with others is left out: addresses mean nothing there.

use super::chunk::Chunks;
use super::contents::{Reader, words};
use super::index::ChunkIndex;
use super::stacks::Stacks;
use super::{LIBRARY, Objects, Rank, Root};
use crate::Images;
use memwhy_model::AddrRange;
use memwhy_target::{Mapping, Thread, View};
use rustc_hash::FxHashSet;

/// Numbers below it are common.
const LOW: u64 = 1 << 32;

/// Where a search has been, and what it found.
#[derive(Debug, Default)]
pub(super) struct Roots {
    pub(super) found: Vec<Root>,
    pub(super) read: u64,
    pub(super) unread: u64,
    /// Threads whose stacks were searched.
    pub(super) stacks: u64,
    /// Those of them whose registers were searched, too.
    pub(super) registers: u64,
    /// Libraries with pages of their own.
    pub(super) libraries: u64,
}

/// Searches everything but the chunks themselves.
pub(super) fn search(
    view: &View,
    images: &Images,
    chunks: &Chunks,
    index: &ChunkIndex<'_>,
    threads: &[Thread],
    objects: &dyn Objects,
) -> Roots {
    let mut roots = Roots::default();
    let stacks = Stacks::of(view, threads);
    let mut holes = chunks.heaps.clone();
    holes.extend(objects.arenas());
    holes.extend(stacks.dead.iter().copied());
    let holes = merged(holes);
    let mut libraries: FxHashSet<u32> = FxHashSet::default();
    let mut reader = Reader::new(view);
    let mut hint = 0;
    // A heap of its own may have the address of a chunk in every word.
    let mut seen: FxHashSet<(u32, u32, Rank)> = FxHashSet::default();
    for mapping in view.maps().0.iter().filter(|mapping| may_be_written(mapping)) {
        let range = mapping.range();
        let image = images.0.iter().zip(0u32..).find(|(image, _)| image.span.contains(range.start));
        let (rank, holder) = match image {
            _ if stacks.has(range.start) || mapping.facts.name == "[stack]" => (Rank::Threads, 0),
            Some((_, number)) => (Rank::Library, number | LIBRARY),
            None => (Rank::Memory, 0),
        };
        for part in range.without(&holes) {
            // A word is 8 bytes.
            let part = AddrRange::new(part.start.align_up(8), part.end.align_down(8));
            let read = reader.pieces(part, &mut |_, bytes| {
                for word in words(bytes) {
                    if let Some(target) = index.find(word, &mut hint)
                        && seen.insert((target, holder, rank))
                    {
                        roots.found.push(Root { target, holder, rank });
                    }
                }
            });
            roots.read += read;
            if read > 0 && rank == Rank::Library {
                libraries.insert(holder);
            }
        }
    }
    for registers in threads.iter().filter_map(|thread| thread.registers.as_ref()) {
        let mut values = 0;
        for word in registers.values() {
            values += 1;
            if let Some(target) = index.find(word, &mut hint) {
                roots.found.push(Root { target, holder: 0, rank: Rank::Threads });
            }
        }
        // Of a thread that was not stopped only those of its system call are known.
        roots.registers += u64::from(values == memwhy_target::registers::WORDS);
    }
    objects.blocks(&mut |source, bytes| {
        let (rank, holder) = source.map_or((Rank::Interpreter, 0), |of| (of.rank, of.holder));
        // Where a heap lies low every number of 32 bits may be an address: of data only those are
        // taken for one that malloc returned.
        let begins = |target: u32| chunks.list.get(target as usize).map(|chunk| chunk.memory().0);
        for word in words(bytes) {
            if let Some(target) = index.find(word, &mut hint)
                && (rank != Rank::Data || word >= LOW || begins(target) == Some(word))
                && seen.insert((target, holder, rank))
            {
                roots.found.push(Root { target, holder, rank });
            }
        }
        roots.read += bytes.len() as u64;
    });
    roots.unread += reader.unread;
    roots.libraries = libraries.len() as u64;
    roots.stacks = stacks.known;
    roots
}

/// Memory of the process's own that may have been written to. What may not be read holds nothing
/// that C code could follow: guard pages, reserved address space.
fn may_be_written(mapping: &Mapping) -> bool {
    mapping.private()
        && mapping.readable()
        && !matches!(mapping.facts.name.as_str(), "[vvar]" | "[vdso]")
}

/// Ranges in order, of which none touches the next.
fn merged(mut ranges: Vec<AddrRange>) -> Vec<AddrRange> {
    ranges.sort_unstable();
    let mut merged: Vec<AddrRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::merged;
    use memwhy_model::{Addr, AddrRange};

    fn range(start: u64, end: u64) -> AddrRange {
        AddrRange::new(Addr(start), Addr(end))
    }

    #[test]
    fn heaps_and_dead_stacks_that_touch_are_one_hole() {
        let holes = merged(vec![range(0x90, 0xa0), range(0x10, 0x20), range(0x18, 0x33)]);
        assert_eq!(holes, [range(0x10, 0x33), range(0x90, 0xa0)]);
    }
}
