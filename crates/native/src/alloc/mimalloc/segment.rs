//! Which places hold a segment of mimalloc?

use super::layout::Layout;
use memwhy_model::{Addr, AddrRange};
use memwhy_target::{Memory, MemoryExt};
use rustc_hash::FxHashMap;

/// The least `MI_SEGMENT_SIZE` on 64 bits, of 2.0.9 and later; segments are aligned to theirs.
pub(super) const SEGMENT: u64 = 32 << 20;
/// `MI_SEGMENT_SLICE_SIZE` on 64 bits.
pub(super) const SLICE: u64 = 64 << 10;
/// Segments larger than a terabyte are none.
const MOST_SLICES: u64 = 1 << 24;
/// Slices that describe a segment; one would do.
const MOST_INFO_SLICES: u64 = 16;

/// What one segment says of itself.
pub(super) struct Segment {
    pub(super) range: AddrRange,
    /// The slices that describe it.
    pub(super) own: AddrRange,
    /// Whether its thread is gone.
    pub(super) abandoned: bool,
    /// Of each page in use its slices, and its `mi_page_t`.
    pub(super) pages: Vec<(AddrRange, Vec<u8>)>,
    /// What all segments of a process have in common.
    key: u64,
}

/// The segments of `layout` that begin at some of `places`.
pub(super) fn sound(memory: &dyn Memory, layout: &Layout, places: &[Addr]) -> Vec<Segment> {
    let mut found: Vec<Segment> = Vec::new();
    for place in places {
        // Whatever lies in the one huge block of a segment is none.
        if found.last().is_some_and(|last| last.range.contains(*place)) {
            continue;
        }
        found.extend(read(memory, layout, *place));
    }
    let mut keys: FxHashMap<u64, usize> = FxHashMap::default();
    for segment in &found {
        *keys.entry(segment.key).or_default() += 1;
    }
    let common = keys.into_iter().max_by_key(|(key, count)| (*count, *key));
    found.retain(|segment| common.is_some_and(|(key, _)| key == segment.key));
    found
}

/// The segment at `at`; `None` if something of it does not hold.
fn read(memory: &dyn Memory, layout: &Layout, at: Addr) -> Option<Segment> {
    let fields = &layout.segment;
    let head = memory.bytes(at, fields.table as u64, 4096).ok()?;
    let slices = fields.slices.from(&head)?;
    let info_slices = fields.info_slices.from(&head)?;
    let entries = fields.entries.from(&head)?;
    let sane = (1..=MOST_INFO_SLICES).contains(&info_slices)
        && (info_slices..=MOST_SLICES).contains(&slices)
        && at.is_aligned(fields.most * SLICE)
        && entries == slices.min(fields.most);
    if !sane {
        return None;
    }
    let size = layout.page.size;
    let table = memory.bytes(at.at(fields.table as u64), entries * size as u64, 1 << 20).ok()?;
    let mut pages = Vec::new();
    let mut index = 0;
    while index < entries {
        let entry = usize::try_from(index).ok()?.checked_mul(size)?;
        let page = table.get(entry..entry.checked_add(size)?)?;
        let count = layout.page.slices.from(page)?;
        let next = index.checked_add(count)?;
        if count == 0 || next > slices || (index == 0 && count != info_slices) {
            return None;
        }
        if index > 0 && layout.page.block_size.from(page)? > 0 {
            let range = AddrRange::sized(at.at(index * SLICE), count * SLICE);
            pages.push((range, page.to_vec()));
        }
        index = next;
    }
    if pages.len() as u64 != fields.used.from(&head)? {
        return None;
    }
    Some(Segment {
        range: AddrRange::sized(at, slices * SLICE),
        own: AddrRange::sized(at, info_slices * SLICE),
        abandoned: fields.thread.from(&head)? == 0,
        pages,
        key: fields.cookie.from(&head)? ^ at.0,
    })
}
