//! What do the mappings alone tell, when memory cannot be read?

use super::Analysis;
use crate::Ask;
use memwhy_model::{Bytes, MappingFacts};

/// glibc reserves the heap of a thread arena at a multiple of its size (`malloc/arena.c`,
/// `HEAP_MAX_SIZE`; all versions on 64-bit Linux unless hugetlb=2 is tuned).
const ARENA_HEAP: u64 = 64 << 20;

/// See the [module](self).
#[derive(Debug)]
pub struct SmapsView;

/// Sums over mappings, as smaps states them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmapsTotals {
    /// RSS.
    pub rss: Bytes,
    /// Private memory without a file: heaps, stacks, arenas.
    pub anon: Bytes,
    /// The part of `anon` in `[heap]`.
    pub brk_heap: Bytes,
    /// The part of `anon` in stacks that carry a name.
    pub stack: Bytes,
    /// Number of mappings that begin where the heap of a thread arena would.
    pub arena_like: u64,
    /// The part of `anon` in those.
    pub arena_like_rss: Bytes,
    /// Mapped files.
    pub file: Bytes,
    /// Shared memory.
    pub shmem: Bytes,
    /// The part of RSS in huge pages.
    pub huge: Bytes,
    /// Resident and of this process alone.
    pub private: Bytes,
    /// Swapped out, not in RSS.
    pub swap: Bytes,
    /// The part of RSS that the program gave up and the kernel has not taken yet.
    pub lazy_free: Bytes,
}

impl Analysis for SmapsView {
    type Answer = SmapsTotals;
    const NAME: &'static str = "smaps";

    fn compute(ask: &Ask<'_>) -> SmapsTotals {
        let mut sum = SmapsTotals::default();
        for map in &ask.mappings {
            sum.rss += map.rss;
            sum.huge += map.anon_huge;
            sum.private += map.private();
            sum.swap += map.swap;
            sum.lazy_free += map.lazy_free;
            if map.shmem {
                sum.shmem += map.rss;
                continue;
            }
            if map.file {
                sum.file += map.rss;
                continue;
            }
            sum.anon += map.rss;
            if map.name == "[heap]" {
                sum.brk_heap += map.rss;
            } else if map.name.starts_with("[stack") {
                sum.stack += map.rss;
            } else if looks_like_an_arena(map) {
                sum.arena_like += 1;
                sum.arena_like_rss += map.rss;
            }
        }
        sum
    }
}

fn looks_like_an_arena(map: &MappingFacts) -> bool {
    map.name.is_empty()
        && map.permissions.starts_with("rw")
        && map.range.start.is_aligned(ARENA_HEAP)
        && map.range.len() <= ARENA_HEAP
        && !map.range.is_empty()
}

#[cfg(test)]
mod tests {
    use super::SmapsView;
    use crate::Ask;
    use memwhy_model::{Addr, AddrRange, Bytes, Case, MappingFacts};

    #[test]
    fn every_mapping_counts_once() {
        let map = |start: u64, name: &str| MappingFacts {
            range: AddrRange::sized(Addr(start), 1 << 20),
            permissions: "rw-p".into(),
            name: name.into(),
            rss: Bytes::mib(1),
            ..MappingFacts::default()
        };
        let mappings = vec![
            map(0x1000, "[heap]"),
            map(0x7f00_0000_0000, ""),
            map(0x7f00_0010_0000, ""),
            MappingFacts { file: true, ..map(0x7f10_0000_0000, "/lib/libc.so.6") },
            MappingFacts { file: true, shmem: true, ..map(0x7f20_0000_0000, "/dev/shm/x") },
        ];
        let case = Case { mappings, ..Case::default() };
        let sum = Ask::new(&case).get::<SmapsView>();
        assert_eq!(sum.anon + sum.file + sum.shmem, sum.rss);
        assert_eq!((sum.arena_like, sum.arena_like_rss), (1, Bytes::mib(1)));
        assert_eq!(sum.brk_heap, Bytes::mib(1));
    }
}
