//! Which free chunks do the caches of threads and the fastbins hold?
//!
//! Both leave `PREV_INUSE` of the next chunk set, so that a walk takes their chunks for ones in
//! use. A cache is recognised by the size of its chunk and by lists that lead only to chunks of
//! the right size; no thread-local storage has to be found.
//! Source: `malloc/malloc.c`, `tcache_put`, `fastbin_index`, `PROTECT_PTR` (links are mangled with
//! their own address since 2.32).

use super::chunk::{Chunk, State};
use super::layout::{ArenaLayout, FASTBINS, HEADER, MIN_CHUNK, TCACHE_LAYOUTS, TcacheLayout};
use memwhy_model::{Addr, ProblemKind, Problems};
use memwhy_target::{Memory, MemoryExt};

/// No list is followed further. `glibc.malloc.tcache_count` may be raised to 65535.
const LONGEST_CACHE: usize = 65_536;

/// Marks the chunks that caches of threads hold.
pub(super) fn mark_cached(memory: &dyn Memory, chunks: &mut [Chunk], problems: &mut Problems) {
    let holders: Vec<(Addr, TcacheLayout)> = chunks
        .iter()
        .filter(|chunk| chunk.state() == State::InUse)
        .filter_map(|chunk| Some((chunk.memory(), *class_of(chunk.size())?)))
        .collect();
    for (cache, layout) in holders {
        // All lists must be right before one is believed: other structures are as large.
        let Some(listed) = lists(memory, chunks, cache, layout) else { continue };
        for index in listed {
            if let Some(chunk) = chunks.get_mut(index) {
                if chunk.state() == State::InUse {
                    chunk.become_state(State::Cached);
                } else {
                    problems.note(ProblemKind::BrokenList, || {
                        format!("chunk {} is cached and {:?}", chunk.addr(), chunk.state())
                    });
                }
            }
        }
    }
}

/// The class whose cache a chunk of `size` may be: 16 bytes more than asked for are given where they
/// would be too few for a chunk of their own (`_int_malloc`), and by 2.43, which rounds twice where an
/// arena is there already (`tcache_init`).
fn class_of(size: u64) -> Option<&'static TcacheLayout> {
    TCACHE_LAYOUTS.iter().find(|layout| matches!(size.checked_sub(layout.chunk), Some(0 | 16)))
}

/// The chunks, by index, of every list of a cache; `None` if it is no cache.
fn lists(
    memory: &dyn Memory,
    chunks: &[Chunk],
    cache: Addr,
    layout: TcacheLayout,
) -> Option<Vec<usize>> {
    let mut listed = Vec::new();
    for bin in 0..layout.bins {
        let count = match layout.count_width {
            1 => u64::from(memory.u8(cache.at(bin)).ok()?),
            _ => u64::from(memory.u16(cache.at(bin * 2)).ok()?),
        };
        let head = memory.u64(cache.at(layout.entries + bin * 8)).ok()?;
        if layout.counts_entries && (head == 0) != (count == 0) {
            return None;
        }
        let mut at = Addr(head);
        let mut length = 0;
        while at.0 != 0 {
            let index = find(chunks, at.before(HEADER))?;
            // Bins above the 64th are for ranges of large sizes.
            let exact = MIN_CHUNK + bin * 16;
            let size = chunks.get(index)?.size();
            if (bin < 64 && size != exact) || (bin >= 64 && size <= MIN_CHUNK + 63 * 16) {
                return None;
            }
            listed.push(index);
            length += 1;
            if length > LONGEST_CACHE || (layout.counts_entries && length as u64 > count) {
                return None;
            }
            at = next(memory, at, chunks)?;
        }
        if layout.counts_entries && length as u64 != count {
            return None;
        }
    }
    Some(listed)
}

/// Marks the chunks in the fastbins of an arena.
pub(super) fn mark_fast(
    memory: &dyn Memory,
    chunks: &mut [Chunk],
    arena: Addr,
    layout: &ArenaLayout,
    problems: &mut Problems,
) {
    let Some(fastbins) = layout.fastbins else { return };
    for bin in 0..FASTBINS {
        let Ok(head) = memory.u64(arena.at(fastbins + bin * 8)) else { continue };
        // Here a head is the chunk, in a cache it is the memory of the chunk.
        let mut at = if head == 0 { None } else { Some(Addr(head).at(HEADER)) };
        let mut left = chunks.len();
        while let Some(memory_of) = at {
            let index = find(chunks, memory_of.before(HEADER));
            let Some(chunk) = index.and_then(|index| chunks.get_mut(index)) else {
                problems.note(ProblemKind::BrokenList, || format!("fastbin {bin} of {arena}"));
                break;
            };
            if chunk.state() != State::InUse || left == 0 {
                problems.note(ProblemKind::BrokenList, || format!("fastbin {bin} of {arena}"));
                break;
            }
            chunk.become_state(State::Fast);
            left -= 1;
            at = next_fast(memory, memory_of, chunks);
        }
    }
}

/// The next entry of a cache's list; zero ends it.
fn next(memory: &dyn Memory, at: Addr, chunks: &[Chunk]) -> Option<Addr> {
    let raw = memory.u64(at).ok()?;
    let plain = raw ^ (at.0 >> 12);
    if plain == 0 || find(chunks, Addr(plain).before(HEADER)).is_some() {
        return Some(Addr(plain));
    }
    (raw == 0 || find(chunks, Addr(raw).before(HEADER)).is_some()).then_some(Addr(raw))
}

/// The memory of the next chunk of a fastbin; its links point to chunks.
fn next_fast(memory: &dyn Memory, at: Addr, chunks: &[Chunk]) -> Option<Addr> {
    let raw = memory.u64(at).ok()?;
    let plain = raw ^ (at.0 >> 12);
    [plain, raw]
        .into_iter()
        .find(|link| find(chunks, Addr(*link)).is_some())
        .map(|link| Addr(link).at(HEADER))
}

/// The chunk that begins at `addr`, by index.
fn find(chunks: &[Chunk], addr: Addr) -> Option<usize> {
    chunks.binary_search_by_key(&addr, |chunk| chunk.addr()).ok()
}
