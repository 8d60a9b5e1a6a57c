//! Where are the fields of mimalloc's structures?
//!
//! Layouts, not versions: what is compiled in is recognised by what memory holds. Numbers are for
//! x86-64 without encoded free lists (`MI_SECURE` below 3), from debug information of the CPython
//! releases named; free-threaded builds add a list to every page.

/// A member: its offset, its bytes (1, 2, 4 or 8), and the bits of it that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    offset: usize,
    bytes: usize,
    shift: u32,
    mask: u64,
}

impl Field {
    /// Its value in the bytes of its struct, `None` where they end before.
    pub(super) fn from(&self, bytes: &[u8]) -> Option<u64> {
        let field = bytes.get(self.offset..self.offset.checked_add(self.bytes)?)?;
        let word = field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Some(word >> self.shift & self.mask)
    }
}

const fn whole(offset: usize, bytes: usize) -> Field {
    Field { offset, bytes, shift: 0, mask: u64::MAX }
}

/// Offsets of one release and build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Which releases have it.
    pub(super) releases: &'static str,
    /// `mi_segment_t`.
    pub(super) segment: SegmentLayout,
    /// `mi_page_t`, which is also `mi_slice_t`.
    pub(super) page: PageLayout,
    /// `mi_heap_t.thread_delayed_free`: blocks that other threads freed.
    pub(super) delayed: u64,
}

/// `mi_segment_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentLayout {
    /// `used`: how many pages.
    pub(super) used: Field,
    /// `cookie`: its address, scrambled by a number that all segments of a process share.
    pub(super) cookie: Field,
    /// `segment_slices`.
    pub(super) slices: Field,
    /// `segment_info_slices`: those that describe it.
    pub(super) info_slices: Field,
    /// `slice_entries`: how many of `slices[]` there are.
    pub(super) entries: Field,
    /// `thread_id`: 0 once its thread is gone.
    pub(super) thread: Field,
    /// `slices[0]`.
    pub(super) table: usize,
    /// `MI_SLICES_PER_SEGMENT`: the most entries of `slices[]` that count.
    pub(super) most: u64,
}

/// `mi_page_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageLayout {
    /// `sizeof`.
    pub(super) size: usize,
    /// `slice_count`.
    pub(super) slices: Field,
    /// `capacity`: blocks that may be handed out.
    pub(super) capacity: Field,
    /// `free`, the chain to hand out next.
    pub(super) free: Field,
    /// `local_free`, freed by its own thread.
    pub(super) local_free: Field,
    /// `xthread_free`, freed by other threads; the two lowest bits are flags.
    pub(super) thread_free: Field,
    /// `used`, with those in `thread_free`.
    pub(super) used: Field,
    /// `block_size`, `xblock_size` up to 2.1.2; 0 for free slices.
    pub(super) block_size: Field,
    /// Where its blocks begin.
    pub(super) start: Start,
    /// `heap_tag`, `tag` up to 2.1.2.
    pub(super) tag: Field,
    /// `xheap`.
    pub(super) heap: Field,
}

/// Where the blocks of a page begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// So many bytes after its slices: `_mi_segment_page_start_from_slice` of 2.1.2 as CPython has
    /// it.
    Computed,
    /// So many bytes after its slices where blocks are small (the largest such), else at once:
    /// `_mi_segment_page_start_from_slice` of 2.0.
    After(u64, u64),
    /// As it says.
    Stated(Field),
}

/// `MI_HUGE_BLOCK_SIZE`: what larger blocks are in a field of 32 bits.
pub(super) const HUGE: u64 = 2 << 30;

const SEGMENT_2_0_6: SegmentLayout = SegmentLayout {
    used: whole(312, 8),
    cookie: whole(320, 8),
    slices: whole(328, 8),
    info_slices: whole(336, 8),
    entries: whole(360, 8),
    thread: whole(352, 8),
    table: 368,
    most: 1024,
};

const SEGMENT_2_1: SegmentLayout = SegmentLayout {
    used: whole(208, 8),
    cookie: whole(216, 8),
    slices: whole(224, 8),
    info_slices: whole(232, 8),
    entries: whole(248, 8),
    thread: whole(256, 8),
    table: 264,
    most: 512,
};

const PAGE_2_1: PageLayout = PageLayout {
    size: 80,
    slices: whole(0, 4),
    capacity: whole(10, 2),
    free: whole(16, 8),
    local_free: whole(32, 8),
    thread_free: whole(40, 8),
    used: whole(24, 4),
    block_size: whole(28, 4),
    start: Start::Computed,
    tag: Field { offset: 8, bytes: 1, shift: 3, mask: 0xf },
    heap: whole(48, 8),
};

const SEGMENT_2_5: SegmentLayout = SegmentLayout {
    used: whole(216, 8),
    cookie: whole(224, 8),
    slices: whole(248, 8),
    info_slices: whole(256, 8),
    entries: whole(272, 8),
    thread: whole(280, 8),
    table: 288,
    most: 512,
};

const PAGE_2_5: PageLayout = PageLayout {
    size: 96,
    slices: whole(0, 4),
    capacity: whole(10, 2),
    free: whole(16, 8),
    local_free: whole(24, 8),
    thread_free: whole(56, 8),
    used: whole(32, 2),
    block_size: whole(40, 8),
    start: Start::Stated(whole(48, 8)),
    tag: whole(35, 1),
    heap: whole(64, 8),
};

/// Every layout.
pub(super) const LAYOUTS: [Layout; 6] = [
    Layout {
        releases: "2.1.2 in CPython 3.13 and 3.14.0 to 3.14.9",
        segment: SEGMENT_2_1,
        page: PAGE_2_1,
        delayed: 2840,
    },
    Layout {
        releases: "2.1.2 in free-threaded CPython 3.13 and 3.14.0 to 3.14.9",
        segment: SEGMENT_2_1,
        page: PageLayout { size: 96, ..PAGE_2_1 },
        delayed: 2840,
    },
    Layout {
        releases: "2.0.9 as a library",
        segment: SEGMENT_2_1,
        page: PageLayout { start: Start::After(384, 1024), ..PAGE_2_1 },
        delayed: 2840,
    },
    Layout {
        releases: "2.0.6 in pyarrow 10 to 20",
        segment: SEGMENT_2_0_6,
        page: PageLayout { start: Start::After(128, 1024), ..PAGE_2_1 },
        delayed: 2840,
    },
    Layout {
        releases: "2.5.2 in CPython 3.14.10 and 3.15, as pyarrow 21 has it",
        segment: SEGMENT_2_5,
        page: PAGE_2_5,
        delayed: 8,
    },
    Layout {
        releases: "2.5.2 in free-threaded CPython 3.14.10 and 3.15",
        segment: SEGMENT_2_5,
        page: PageLayout { size: 112, ..PAGE_2_5 },
        delayed: 8,
    },
];
