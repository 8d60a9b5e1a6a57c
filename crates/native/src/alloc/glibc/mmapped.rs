//! Which chunks have a mapping of their own?
//!
//! Large requests are mapped one by one. Neighbouring ones share a mapping in `/proc`, aligned
//! ones begin some way into theirs, so each is checked: its header says how far before it its
//! mapping begins and how long it is, in whole pages. Source: `malloc/malloc.c`, `sysmalloc_mmap`.

use super::chunk::{Chunk, State};
use super::layout::{FLAGS, IS_MMAPPED};
use memwhy_model::{Addr, AddrRange, Bytes};
use memwhy_target::{MemoryExt, View};

/// Where in its first page a chunk may begin: 0, or after a leading part cut off for alignment.
const STARTS: [u64; 8] = [0, 0x30, 0x70, 0xf0, 0x1f0, 0x3f0, 0x7f0, 0xff0];

/// Finds mapped chunks in the anonymous memory that `taken` (ascending) does not cover, as many
/// as malloc counts: `stated` has their number and the bytes of their mappings.
///
/// Nearly all begin with their mapping; only if those are not all, every page is looked at in the
/// eight places where an aligned one may begin.
///
/// `short_size` tells the layout of 2.43: the size leaves out the header, and the offset's lowest
/// bit is a flag.
pub(super) fn find(
    view: &View,
    taken: &[AddrRange],
    short_size: bool,
    stated: (u64, Bytes),
) -> Vec<Chunk> {
    let plain = without_chance(search(view, taken, short_size, &[0]), stated);
    if sum(&plain) == stated {
        return plain;
    }
    without_chance(search(view, taken, short_size, &STARTS), stated)
}

/// Leaves out what looks like a chunk by chance, two words of something else: the smallest, where
/// there are more than malloc counts. Seen once in an arena of pymalloc, of 8 KiB.
fn without_chance(mut found: Vec<Chunk>, stated: (u64, Bytes)) -> Vec<Chunk> {
    let excess = found.len().saturating_sub(usize::try_from(stated.0).unwrap_or(usize::MAX));
    if excess == 0 {
        return found;
    }
    found.sort_unstable_by_key(|chunk| std::cmp::Reverse(chunk.size()));
    found.truncate(found.len() - excess);
    found.sort_unstable_by_key(|chunk| chunk.addr());
    found
}

/// How many chunks, and the bytes of their mappings.
pub(super) fn sum(chunks: &[Chunk]) -> (u64, Bytes) {
    // A chunk's mapping begins on the page where the chunk does.
    let mapping =
        |chunk: &Chunk| Bytes(chunk.range().end.0.saturating_sub(chunk.addr().align_down(4096).0));
    (chunks.len() as u64, chunks.iter().map(mapping).sum())
}

fn search(view: &View, taken: &[AddrRange], short_size: bool, starts: &[u64]) -> Vec<Chunk> {
    let mut found = Vec::new();
    let mut done = Addr(0);
    for mapping in &view.maps().0 {
        let named = !mapping.facts.name.is_empty();
        if named || !mapping.anonymous() || !mapping.writable() || !mapping.private() {
            continue;
        }
        // Neighbours may be one chunk's: the kernel keeps apart what was advised differently, as
        // NumPy does for huge pages.
        let range =
            AddrRange::new(mapping.range().start, view.maps().run_end(mapping.range().start));
        let mut at = Addr(range.start.0.max(done.0));
        while at < mapping.range().end {
            let after = taken.partition_point(|taken| taken.start <= at);
            let over = after.checked_sub(1).and_then(|index| taken.get(index));
            if let Some(over) = over.filter(|taken| taken.contains(at)) {
                at = over.end.align_up(4096);
                continue;
            }
            // A chunk's header is not zero; a mapping may be mostly pages that nobody ever touched.
            let filled = view.pages().filled_from(at);
            if filled.is_none_or(|filled| filled > at) {
                at = filled.unwrap_or(mapping.range().end);
                continue;
            }
            let chunk = starts.iter().find_map(|start| read(view, at, *start, range, short_size));
            match chunk {
                Some((chunk, end)) => {
                    found.push(chunk);
                    at = end;
                    done = end;
                }
                None => at = at.at(4096),
            }
        }
    }
    found
}

/// The chunk that begins `start` bytes into the page at `page`, and where its mapping ends.
fn read(
    view: &View,
    page: Addr,
    start: u64,
    within: AddrRange,
    short_size: bool,
) -> Option<(Chunk, Addr)> {
    let at = page.at(start);
    let size = view.u64(at.at(8)).ok()?;
    if size & FLAGS != IS_MMAPPED {
        return None;
    }
    let mut offset = view.u64(at).ok()?;
    let mut size = size & !FLAGS;
    if short_size {
        offset &= !1;
        size = size.checked_add(16)?;
    }
    let base = at.0.checked_sub(offset).map(Addr)?;
    let total = size.checked_add(offset)?;
    let end = base.checked_add(total)?;
    let fits = base == page
        && total % 4096 == 0
        && total > 0
        && within.covers(AddrRange::new(base, end))
        && size.is_multiple_of(16);
    fits.then(|| (Chunk::new(at, size, State::Mmapped), end))
}

#[cfg(test)]
mod tests {
    use super::{sum, without_chance};
    use crate::alloc::glibc::chunk::{Chunk, State};
    use memwhy_model::{Addr, Bytes};

    #[test]
    fn more_than_malloc_counts_is_chance_and_small() {
        let chunk = |at, size| Chunk::new(Addr(at), size, State::Mmapped);
        let found = vec![chunk(0x10_0000, 0x4_0000), chunk(0x20_0000, 0x2000)];
        let kept = without_chance(found.clone(), (1, Bytes(0x4_0000)));
        assert_eq!(kept, [found[0]]);
        assert_eq!(sum(&kept), (1, Bytes(0x4_0000)));
        assert_eq!(without_chance(found.clone(), (2, Bytes(0))), found);
    }
}
