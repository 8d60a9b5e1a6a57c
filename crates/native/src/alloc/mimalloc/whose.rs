//! Which mimallocs of the kind with segments has a process, and which image is each of?
//!
//! Segments of one mimalloc share a cookie, so those of several are told apart: CPython has one,
//! pyarrow another. Whose they are the heaps tell that their pages are of: that of the main thread is
//! a variable of the image, and every heap leads to a page without blocks that is a constant of it.
//!
//! Source: `mi_heap_t` in `include/mimalloc/types.h`, `_mi_page_empty` in `src/init.c` of 2.0 to 2.5.

use super::{Mimalloc, places};
use crate::alloc::carried::{Extent, Use};
use crate::image::{Image, Images};
use memwhy_model::{Addr, AddrRange, Problems};
use memwhy_target::{MemoryExt, View};
use rustc_hash::FxHashMap;

/// Libraries with one; nobody has more.
const MOST: usize = 8;
/// Words of a heap that are looked at: `pages_free_direct` is among them.
const HEAP_WORDS: u64 = 128;

impl Mimalloc {
    /// Walks the segments of the mimalloc that is a part of the image at `path`; where no image can
    /// be told, of the first that may be.
    #[must_use]
    pub fn walk(view: &View, images: &Images, path: &str, problems: &mut Problems) -> Option<Self> {
        let mut unclear = None;
        for (image, walk, found) in each(view, images, places(view)) {
            match image {
                Some(image) if image.path == path => {
                    problems.absorb(found);
                    return Some(walk);
                }
                Some(_) => {}
                None => unclear = unclear.or(Some((walk, found))),
            }
        }
        let (walk, found) = unclear?;
        problems.absorb(found);
        Some(walk)
    }
}

/// Every mimalloc with its image and release, but for the one that has the segments in `taken`;
/// without those of which no image can be told.
pub(crate) fn segments<'a>(
    view: &View,
    images: &'a Images,
    taken: &[AddrRange],
) -> Vec<(&'a Image, String, Vec<Extent>)> {
    let mut left = places(view);
    left.retain(|place| !taken.iter().any(|segment| segment.contains(*place)));
    let all = each(view, images, left);
    all.filter_map(|(image, walk, _)| Some((image?, walk.facts.release.clone(), extents(&walk))))
        .collect()
}

/// The mimallocs that have segments at some of `places`, the one with most first.
fn each<'a>(
    view: &View,
    images: &'a Images,
    mut places: Vec<Addr>,
) -> impl Iterator<Item = (Option<&'a Image>, Mimalloc, Problems)> {
    let next = move || {
        let mut problems = Problems::default();
        let walk = Mimalloc::at(view, &places, &mut problems)?;
        places.retain(|place| !walk.covers(*place));
        Some((image_of(view, images, &walk), walk, problems))
    };
    std::iter::from_fn(next).take(MOST)
}

/// The image that most heaps lead to.
fn image_of<'a>(view: &View, images: &'a Images, walk: &Mimalloc) -> Option<&'a Image> {
    let mut votes: FxHashMap<Addr, (usize, &Image)> = FxHashMap::default();
    let mut heaps: Vec<Addr> = walk.pages.iter().filter_map(|page| page.heap).collect();
    heaps.sort_unstable();
    heaps.dedup();
    for heap in heaps {
        let words = view.words(heap, HEAP_WORDS, 64).unwrap_or_default();
        for to in words.into_iter().map(Addr).chain([heap]) {
            if let Some(image) = images.containing(to) {
                votes.entry(image.span.start).or_insert((0, image)).0 += 1;
            }
        }
    }
    votes.into_values().max_by_key(|(count, image)| (*count, image.span.start)).map(|(_, of)| of)
}

/// What its segments consist of, ascending.
fn extents(walk: &Mimalloc) -> Vec<Extent> {
    let own = walk.own().map(|range| Extent { range, of: Use::Own, used: 0 });
    let pages = walk.pages.iter().map(|page| Extent {
        range: page.range,
        of: if page.used > 0 { Use::HandedOut } else { Use::Kept },
        used: u64::from(page.used).saturating_mul(page.block),
    });
    // Of one that does not add up nobody knows how much is free.
    let torn = walk.torn.iter().map(|range| Extent {
        range: *range,
        of: Use::HandedOut,
        used: range.len(),
    });
    let mut known: Vec<Extent> = own.chain(pages).chain(torn).collect();
    known.sort_unstable_by_key(|extent| extent.range.start);
    let mut known = known.into_iter().peekable();
    let mut all = Vec::new();
    for segment in walk.segments() {
        let mut at = segment.start;
        let free = |from: Addr, to: Addr| {
            let range = AddrRange::new(from, to);
            (from < to).then_some(Extent { range, of: Use::Kept, used: 0 })
        };
        while let Some(extent) = known.next_if(|extent| segment.contains(extent.range.start)) {
            all.extend(free(at, extent.range.start));
            at = at.max(extent.range.end.min(segment.end));
            all.push(extent);
        }
        all.extend(free(at, segment.end));
    }
    all
}
