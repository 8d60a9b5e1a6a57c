//! Which arenas has a mimalloc 3 that a library carries, and what of them is free?
//!
//! An arena begins with its own address and size, and with the address of a variable of the image
//! that it is of, `subproc_main`; a bitmap in it says which slices of 64 KiB are free.
//!
//! Source: `mi_arena_t` in `include/mimalloc/types.h`, `mi_bbitmap_t` in `src/bitmap.h` of 3.

use super::segment::SLICE;
use crate::alloc::carried::{Extent, Use};
use crate::image::{Image, Images};
use memwhy_model::{Addr, AddrRange, PageState};
use memwhy_target::{MemoryExt, View};
use std::collections::BTreeMap;

/// Slices that one word of the bitmap's chunks tells of, and a chunk.
const WORD: u64 = 64;
const CHUNK: u64 = 512;
/// A terabyte.
const MOST_SLICES: u64 = 1 << 24;

/// Words of `mi_arena_t`.
mod word {
    /// `memid.mem.os.base`, `memid.mem.os.size`.
    pub(super) const BASE: usize = 0;
    pub(super) const SIZE: usize = 1;
    pub(super) const SUBPROC: usize = 3;
    /// `slice_count`, `info_slices`.
    pub(super) const SLICES: usize = 5;
    pub(super) const INFO: usize = 6;
    /// `slices_free`, and `slices_committed`, which lies behind it.
    pub(super) const FREE: usize = 13;
    pub(super) const COMMITTED: usize = 14;
    pub(super) const COUNT: u64 = 15;
}

/// Every arena with the image that it is of, whose `subproc_main` has a list of them: any aligned
/// word among the variables may be of it.
pub(crate) fn arenas<'a>(view: &View, images: &'a Images) -> Vec<(&'a Image, Vec<Extent>)> {
    let mut found: BTreeMap<Addr, (&Image, Vec<Extent>)> = BTreeMap::new();
    for image in &images.0 {
        for part in view.pages().present(&image.data) {
            let words = view.words(part.start, part.len() / 8, 1 << 20).unwrap_or_default();
            for at in words.into_iter().map(Addr).filter(|at| at.0 != 0 && at.is_aligned(SLICE)) {
                if found.contains_key(&at) {
                    continue;
                }
                if let Some((of, extents)) = arena(view, images, at) {
                    found.insert(at, (of, extents));
                }
            }
        }
    }
    found.into_values().collect()
}

/// The arena that begins at `at`, if one does.
fn arena<'a>(view: &View, images: &'a Images, at: Addr) -> Option<(&'a Image, Vec<Extent>)> {
    view.pages().state(at).filter(|state| *state == PageState::Anon)?;
    let words = view.words(at, word::COUNT, 15).ok()?;
    let word = |index: usize| words.get(index).copied();
    let (slices, info) = (word(word::SLICES)?, word(word::INFO)?);
    let size = slices.checked_mul(SLICE)?;
    let end = at.checked_add(size)?;
    let sane = word(word::BASE)? == at.0
        && word(word::SIZE)? == size
        && (1..MOST_SLICES).contains(&slices)
        && (1..slices).contains(&info)
        && end <= view.maps().run_end(at);
    let subproc = Addr(word(word::SUBPROC)?);
    let image = images.containing(subproc).filter(|_| sane)?;
    image.data.iter().any(|data| data.contains(subproc)).then_some(())?;
    let own = AddrRange::sized(at, info * SLICE);
    let mut extents = vec![Extent { range: own, of: Use::Own, used: 0 }];
    let free = free(view, own, slices, word(word::FREE)?, word(word::COMMITTED)?);
    let mut from = info;
    // Neighbours of one kind are one extent.
    while from < slices {
        let kind = is_free(&free, from);
        let to = (from..slices).find(|slice| is_free(&free, *slice) != kind).unwrap_or(slices);
        let range = AddrRange::new(at.at(from * SLICE), at.at(to * SLICE));
        let of = if kind { Use::Kept } else { Use::HandedOut };
        extents.push(Extent { range, of, used: if kind { 0 } else { range.len() } });
        from = to;
    }
    Some((image, extents))
}

/// The words of the bitmap of free slices; none where it is not as it should be: then all counts as
/// handed out.
fn free(view: &View, own: AddrRange, slices: u64, bitmap: u64, next: u64) -> Vec<u64> {
    let chunks = slices.div_ceil(CHUNK);
    let len = chunks * CHUNK / 8;
    let begins = next.checked_sub(len).map(Addr);
    let begins = begins.filter(|at| {
        own.contains(Addr(bitmap)) && own.contains(Addr(next)) && at.0 > bitmap && at.is_aligned(64)
    });
    let stated = view.u64(Addr(bitmap)).ok();
    match begins.filter(|_| stated == Some(chunks)) {
        Some(at) => view.words(at, len / 8, 1 << 18).unwrap_or_default(),
        None => Vec::new(),
    }
}

fn is_free(words: &[u64], slice: u64) -> bool {
    let word = usize::try_from(slice / WORD).ok().and_then(|at| words.get(at));
    word.is_some_and(|word| word >> (slice % WORD) & 1 == 1)
}
