//! Where are the fields of glibc's malloc structures?
//!
//! Classes, not versions: distributions backport, so a class is recognised by what memory holds.
//! Numbers are for x86-64, from `malloc/malloc.c` and `malloc/arena.c` of every release from 2.12 to
//! 2.44, and were compared with debug information of 2.31, 2.36, 2.41 and 2.43.

/// Offsets in `struct malloc_state`, an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaLayout {
    /// Which releases have it.
    pub releases: &'static str,
    /// `fastbinsY`, ten list heads; none since 2.43.
    pub fastbins: Option<u64>,
    /// `top`, the free chunk at the end.
    pub top: u64,
    /// `bins`, 254 list pointers.
    pub bins: u64,
    /// `next`, the ring of arenas. Its static initialiser is what gives main arena away.
    pub next: u64,
    /// `attached_threads`, since 2.23.
    pub attached: Option<u64>,
    /// `system_mem`, bytes taken from the kernel.
    pub system_mem: u64,
    /// `sizeof`.
    pub size: u64,
}

/// Number of list pointers in `bins`: `NBINS * 2 - 2`.
pub const BIN_POINTERS: u64 = 254;
/// Number of fastbins: `NFASTBINS`.
pub const FASTBINS: u64 = 10;

/// Every class of `struct malloc_state`, newest first.
pub const ARENA_LAYOUTS: [ArenaLayout; 4] = [
    ArenaLayout {
        releases: "2.43 to 2.44",
        fastbins: None,
        top: 0x8,
        bins: 0x18,
        next: 0x818,
        attached: Some(0x828),
        system_mem: 0x830,
        size: 2112,
    },
    ArenaLayout {
        releases: "2.27 to 2.42",
        fastbins: Some(0x10),
        top: 0x60,
        bins: 0x70,
        next: 0x870,
        attached: Some(0x880),
        system_mem: 0x888,
        size: 2200,
    },
    ArenaLayout {
        releases: "2.23 to 2.26",
        fastbins: Some(0x8),
        top: 0x58,
        bins: 0x68,
        next: 0x868,
        attached: Some(0x878),
        system_mem: 0x880,
        size: 2192,
    },
    ArenaLayout {
        releases: "2.12 to 2.22",
        fastbins: Some(0x8),
        top: 0x58,
        bins: 0x68,
        next: 0x868,
        attached: None,
        system_mem: 0x878,
        size: 2184,
    },
];

/// Offsets in `struct malloc_par`, `mp_`. The first five fields never moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamsLayout {
    /// Which releases have it.
    pub releases: &'static str,
    /// `hp_pagesize`, the huge pages that `glibc.malloc.hugetlb=2` asks for; since 2.35.
    pub hp_pagesize: Option<u64>,
    /// `n_mmaps`, i32; `n_mmaps_max`, `max_n_mmaps` and `no_dyn_threshold` follow it.
    pub n_mmaps: u64,
    /// `mmapped_mem`; `max_mmapped_mem` follows it.
    pub mmapped_mem: u64,
    /// `sbrk_base`.
    pub sbrk_base: u64,
}

/// `trim_threshold`.
pub const TRIM_THRESHOLD: u64 = 0;
/// `mmap_threshold`.
pub const MMAP_THRESHOLD: u64 = 16;
/// `arena_test`.
pub const ARENA_TEST: u64 = 24;
/// `arena_max`.
pub const ARENA_MAX: u64 = 32;

/// Every class of `struct malloc_par`, newest first.
pub const PARAMS_LAYOUTS: [ParamsLayout; 5] = [
    ParamsLayout {
        releases: "2.43 to 2.44",
        hp_pagesize: Some(56),
        n_mmaps: 68,
        mmapped_mem: 88,
        sbrk_base: 104,
    },
    ParamsLayout {
        releases: "2.35 to 2.42",
        hp_pagesize: Some(48),
        n_mmaps: 60,
        mmapped_mem: 80,
        sbrk_base: 96,
    },
    ParamsLayout {
        releases: "2.24 to 2.34",
        hp_pagesize: None,
        n_mmaps: 40,
        mmapped_mem: 56,
        sbrk_base: 72,
    },
    ParamsLayout {
        releases: "2.15 to 2.23",
        hp_pagesize: None,
        n_mmaps: 40,
        mmapped_mem: 56,
        sbrk_base: 80,
    },
    ParamsLayout {
        releases: "2.12 to 2.14",
        hp_pagesize: None,
        n_mmaps: 40,
        mmapped_mem: 64,
        sbrk_base: 88,
    },
];

/// One class of `tcache_perthread_struct`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcacheLayout {
    /// Which releases have it.
    pub releases: &'static str,
    /// Size of the chunk that is asked for to hold it: how it is recognised.
    pub chunk: u64,
    /// Number of lists.
    pub bins: u64,
    /// How many bytes one count takes; counts come first.
    pub count_width: u64,
    /// Offset of the list heads.
    pub entries: u64,
    /// Whether counts count entries (and not, as since 2.42, free places).
    pub counts_entries: bool,
}

/// Every class of `tcache_perthread_struct`, newest first.
pub const TCACHE_LAYOUTS: [TcacheLayout; 3] = [
    TcacheLayout {
        releases: "2.42 to 2.44",
        chunk: 0x300,
        bins: 76,
        count_width: 2,
        entries: 152,
        counts_entries: false,
    },
    TcacheLayout {
        releases: "2.30 to 2.41",
        chunk: 0x290,
        bins: 64,
        count_width: 2,
        entries: 128,
        counts_entries: true,
    },
    TcacheLayout {
        releases: "2.26 to 2.29",
        chunk: 0x250,
        bins: 64,
        count_width: 1,
        entries: 64,
        counts_entries: true,
    },
];

/// `HEAP_MAX_SIZE`: heaps of arenas other than main are aligned to it.
pub const HEAP_MAX: u64 = 64 << 20;
/// So many huge pages are a heap instead where 2.35 to 2.41 are told to use them (`heap_max_size`).
pub const HEAP_MAX_PAGES: u64 = 4;
/// `MINSIZE`, the smallest chunk.
pub const MIN_CHUNK: u64 = 32;
/// From a chunk to the memory that the program got.
pub const HEADER: u64 = 16;
/// The low bits of `size`.
pub const PREV_INUSE: u64 = 1;
/// Chunk of its own mapping.
pub const IS_MMAPPED: u64 = 2;
/// All flag bits of `size`.
pub const FLAGS: u64 = 7;

#[cfg(test)]
mod tests {
    use super::{ARENA_LAYOUTS, PARAMS_LAYOUTS, TCACHE_LAYOUTS};

    /// Members of a struct as its source lists them: name, bytes of one, how many.
    type Members<'a> = &'a [(&'a str, u64, u64)];

    /// Offsets by the rules of the x86-64 ABI: a member is aligned to its own size.
    struct Placed<'a>(Vec<(&'a str, u64)>, u64);

    impl<'a> Placed<'a> {
        fn of(members: Members<'a>) -> Self {
            let (mut places, mut at) = (Vec::new(), 0u64);
            for (name, size, count) in members {
                at = at.next_multiple_of(*size);
                places.push((*name, at));
                at += size * count;
            }
            Self(places, at.next_multiple_of(8))
        }

        fn at(&self, name: &str) -> Option<u64> {
            self.0.iter().find(|(one, _)| *one == name).map(|(_, at)| *at)
        }
    }

    /// The one of `layouts` that says it is that of 2.`minor`.
    fn of_release<T: Copy>(layouts: &[T], names: fn(&T) -> &'static str, minor: u32) -> T {
        let number =
            |text: &str| text.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        let covers = |layout: &&T| {
            let mut bounds = names(layout).split(" to ").map(|bound| number(bound).expect("2.N"));
            let first = bounds.next().expect("a first");
            (first..=bounds.next().unwrap_or(first)).contains(&minor)
        };
        let mut found = layouts.iter().filter(covers);
        let layout = *found.next().unwrap_or_else(|| panic!("no layout for 2.{minor}"));
        assert!(found.next().is_none(), "two layouts for 2.{minor}");
        layout
    }

    /// `struct malloc_state` of `malloc/malloc.c`, as every release has it.
    #[test]
    fn arenas_of_each_release_are_laid_out_as_its_source_lists_them() {
        let lists: Members =
            &[("bins", 8, 254), ("binmap", 4, 4), ("next", 8, 1), ("next_free", 8, 1)];
        let sums: Members = &[("system_mem", 8, 1), ("max_system_mem", 8, 1)];
        let head: Members = &[("mutex", 4, 1), ("flags", 4, 1)];
        let fast: Members = &[("fastbinsY", 8, 10), ("top", 8, 1), ("last_remainder", 8, 1)];
        let attached: Members = &[("attached_threads", 8, 1)];
        let have_fast: Members = &[("have_fastchunks", 4, 1)];
        let top: Members = &[("top", 8, 1), ("last_remainder", 8, 1)];
        let old = [head, fast, lists, sums].concat();
        let with_attached = [head, fast, lists, attached, sums].concat();
        let with_flag = [head, have_fast, fast, lists, attached, sums].concat();
        let without_fastbins = [head, top, lists, attached, sums].concat();
        for (releases, members) in [
            (12..=22, &old),
            (23..=26, &with_attached),
            (27..=42, &with_flag),
            (43..=44, &without_fastbins),
        ] {
            let placed = Placed::of(members);
            for release in releases {
                let layout = of_release(&ARENA_LAYOUTS, |layout| layout.releases, release);
                let found = [layout.top, layout.bins, layout.next, layout.system_mem];
                let wanted = ["top", "bins", "next", "system_mem"].map(|name| placed.at(name));
                assert_eq!(found.map(Some), wanted, "2.{release}");
                assert_eq!(layout.fastbins, placed.at("fastbinsY"), "2.{release}");
                assert_eq!(layout.attached, placed.at("attached_threads"), "2.{release}");
                assert_eq!(layout.size, placed.1, "2.{release}");
            }
        }
    }

    /// `struct malloc_par`, as every release has it.
    #[test]
    fn parameters_of_each_release_are_laid_out_as_its_source_lists_them() {
        let head: Members = &[
            ("trim_threshold", 8, 1),
            ("top_pad", 8, 1),
            ("mmap_threshold", 8, 1),
            ("arena_test", 8, 1),
            ("arena_max", 8, 1),
        ];
        let counts: Members = &[("n_mmaps", 4, 1), ("rest", 4, 3)];
        let mapped: Members = &[("mmapped_mem", 8, 1), ("max_mmapped_mem", 8, 1)];
        let base: Members = &[("sbrk_base", 8, 1)];
        let page: Members = &[("pagesize", 4, 1)];
        let total: Members = &[("max_total_mem", 8, 1)];
        let huge: Members = &[("thp_pagesize", 8, 1), ("hp_pagesize", 8, 1), ("hp_flags", 4, 1)];
        let mode: Members = &[("thp_mode", 4, 1)];
        let v12 = [head, counts, page, mapped, total, base].concat();
        let v17 = [head, counts, mapped, total, base].concat();
        let v28 = [head, counts, mapped, base].concat();
        let v36 = [head, huge, counts, mapped, base].concat();
        let v43 = [head, mode, huge, counts, mapped, base].concat();
        let sources =
            [(12..=14, &v12), (15..=23, &v17), (24..=34, &v28), (35..=42, &v36), (43..=44, &v43)];
        for (releases, members) in sources {
            let placed = Placed::of(members);
            for release in releases {
                let layout = of_release(&PARAMS_LAYOUTS, |layout| layout.releases, release);
                let found = [layout.n_mmaps, layout.mmapped_mem, layout.sbrk_base];
                let wanted = ["n_mmaps", "mmapped_mem", "sbrk_base"].map(|name| placed.at(name));
                assert_eq!(found.map(Some), wanted, "2.{release}");
                assert_eq!(layout.hp_pagesize, placed.at("hp_pagesize"), "2.{release}");
            }
        }
    }

    /// `tcache_perthread_struct`, as every release since 2.26 has it. Its chunk is told by its size.
    #[test]
    fn caches_of_each_release_are_told_by_the_size_of_their_chunk() {
        let small: Members = &[("counts", 1, 64), ("entries", 8, 64)];
        let counted: Members = &[("counts", 2, 64), ("entries", 8, 64)];
        let slots: Members = &[("num_slots", 2, 76), ("entries", 8, 76)];
        for (releases, members) in [(26..=29, small), (30..=41, counted), (42..=44, slots)] {
            let placed = Placed::of(members);
            for release in releases {
                let layout = of_release(&TCACHE_LAYOUTS, |layout| layout.releases, release);
                assert_eq!(Some(layout.entries), placed.at("entries"), "2.{release}");
                assert_eq!(layout.bins * layout.count_width, members[0].1 * members[0].2);
                // Rounded up as `request2size` does: header of 8, multiples of 16.
                assert_eq!(layout.chunk, (placed.1 + 8).next_multiple_of(16), "2.{release}");
            }
        }
    }
}
