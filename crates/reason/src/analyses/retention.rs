//! In which way does malloc keep freed memory?
//!
//! Whether a trim returns it, and what would have prevented it, follows from where the free
//! chunks lie and what keeps each place from being returned by itself. Rests on: glibc
//! `malloc/malloc.c`, `systrim` (returns only the end of a heap), `mtrim` (returns whole free
//! pages of all arenas), `munmap_chunk` (raises the mmap threshold); `malloc/arena.c`,
//! `arena_get2` (a new thread gets a new arena), `heap_trim`.

use super::Analysis;
use crate::Ask;
use memwhy_model::{ArenaFacts, Bytes, GlibcFacts, Owner};

/// From here on a grown mmap threshold has changed what malloc does. It starts at 128 KiB
/// (`DEFAULT_MMAP_THRESHOLD_MIN`), and freeing a larger mapped chunk raises it to that chunk's size;
/// any Python frees some buffer of 160 KiB at start-up, which matters to nobody.
pub const FAR_GROWN: Bytes = Bytes::mib(1);

/// From this size on a buffer would have a mapping of its own, had the threshold not grown.
const LARGE_BUFFER: Bytes = Bytes::kib(128);

/// From this many thread arenas on a lower number of arenas can help: with two there is already
/// what `MALLOC_ARENA_MAX=2` would leave.
const MANY_ARENAS: usize = 3;

/// An arena with less than this free is not one that keeps memory: 24 of them would be less than
/// one Python heap.
const ARENA_KEEPS: Bytes = Bytes::mib(1);

/// Part of what could be returned that has to be in one place before that place is the reason.
const MOST: f64 = 0.5;

/// Free bytes on pinned pages per byte on whole free pages, from which on pages are pinned rather
/// than kept: below it a trim still returns a third and more.
const FAR_MORE: u64 = 2;

/// See the [module](self).
#[derive(Debug)]
pub struct Retention;

/// Why freed memory is not returned by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Each thread has an arena, and each arena keeps what its thread once needed.
    PerThreadArenas,
    /// As before, but the threads are gone.
    BurstOfThreads,
    /// The end of the heap is in use, and a heap shrinks only from its end.
    HoleUnderSurvivor,
    /// Freeing one large buffer made malloc take all later ones of that size from the heap.
    MmapThresholdGrew,
    /// Many free pages between chunks in use, nowhere in particular.
    Churn,
    /// Hardly a page is free as a whole: chunks in use are spread over all of them.
    PinnedFragments,
}

impl Class {
    /// How the class is called on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerThreadArenas => "per-thread arenas",
            Self::BurstOfThreads => "left by a burst of threads",
            Self::HoleUnderSurvivor => "hole under a survivor",
            Self::MmapThresholdGrew => "mmap threshold grew",
            Self::Churn => "churn",
            Self::PinnedFragments => "pinned fragments",
        }
    }
}

/// What malloc keeps and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Retained {
    /// Freed and resident.
    pub free: Bytes,
    /// Of that, what `malloc_trim(0)` returns.
    pub returns: Bytes,
    /// Of that, on pages that chunks in use hold.
    pub pinned: Bytes,
    /// Why it is not returned by itself.
    pub class: Class,
    /// Thread arenas that keep memory, most first.
    pub arenas: Vec<ArenaFacts>,
    /// The arena that keeps most.
    pub foremost: ArenaFacts,
}

impl Analysis for Retention {
    /// Nothing where glibc's heaps were not walked.
    type Answer = Option<Retained>;
    const NAME: &'static str = "retention";

    fn compute(ask: &Ask<'_>) -> Self::Answer {
        let malloc = ask.malloc.as_ref().filter(|malloc| malloc.walked)?;
        let glibc = malloc.glibc.as_ref()?;
        let mut arenas: Vec<ArenaFacts> = glibc
            .arenas
            .iter()
            .filter(|arena| !arena.main && arena.free_resident >= ARENA_KEEPS)
            .copied()
            .collect();
        arenas.sort_by_key(|arena| std::cmp::Reverse(arena.free_resident));
        let most = glibc.arenas.iter().max_by_key(|arena| arena.free_resident);
        Some(Retained {
            free: ask.resident(Owner::MallocFree),
            returns: glibc.trim_returns,
            pinned: glibc.pins.free,
            class: classify(glibc, &arenas, ask.threads.len()),
            arenas,
            foremost: most.copied().unwrap_or_default(),
        })
    }
}

fn classify(glibc: &GlibcFacts, thread_arenas: &[ArenaFacts], threads: usize) -> Class {
    let returns = glibc.trim_returns;
    if glibc.pins.free.0 > returns.0.saturating_mul(FAR_MORE) {
        return Class::PinnedFragments;
    }
    let free: Bytes = glibc.arenas.iter().map(|arena| arena.free_resident).sum();
    let in_threads: Bytes = thread_arenas.iter().map(|arena| arena.free_resident).sum();
    if thread_arenas.len() >= MANY_ARENAS && in_threads.share_of(free) >= MOST {
        let with = |threads| {
            thread_arenas.iter().filter(|arena| arena.attached_threads == threads).count()
        };
        // Where glibc does not count, no more arenas are in use than there are threads, if those
        // were seen.
        let uncounted = if threads == 0 { 0 } else { with(None).saturating_sub(threads) };
        let abandoned = with(Some(0)) + uncounted;
        let most_abandoned = abandoned * 2 > thread_arenas.len();
        return if most_abandoned { Class::BurstOfThreads } else { Class::PerThreadArenas };
    }
    let main = glibc.arenas.iter().find(|arena| arena.main);
    let at_the_end = main.map_or(Bytes(0), |arena| arena.top);
    let grew = glibc.threshold_is_dynamic && glibc.mmap_threshold >= FAR_GROWN;
    // Freed neighbours merge, so that a large free chunk need not have been a large buffer: one that
    // is still there shows that such buffers come from the heap now.
    let large = |size: u64| size >= LARGE_BUFFER.0;
    let seen = glibc.in_use_by_size.iter().any(|(size, _)| large(*size))
        || main.and_then(|arena| arena.last_in_use).is_some_and(|(_, size)| large(size.0));
    if grew && seen && (glibc.large_free + at_the_end).share_of(returns) >= MOST {
        return Class::MmapThresholdGrew;
    }
    let hole = glibc
        .arenas
        .iter()
        .filter(|arena| arena.last_in_use.is_some())
        .filter_map(|arena| arena.largest_free)
        .map(|(_, resident)| resident)
        .max();
    if hole.is_some_and(|hole| hole.share_of(returns) >= MOST) {
        return Class::HoleUnderSurvivor;
    }
    Class::Churn
}

/// What was measured on one workload of a class, in MiB of RSS after the frees.
///
/// glibc 2.36, gperftools 2.10, jemalloc 5.3, one run each on one machine.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// The workload, in words.
    pub workload: &'static str,
    /// With glibc as it is.
    pub before: u32,
    /// After `malloc_trim(0)`.
    pub trimmed: u32,
    /// What did not help, with the RSS it left.
    pub no_help: &'static str,
}

impl Class {
    /// What was measured on this class's workload.
    #[must_use]
    pub const fn measured(self) -> Measured {
        match self {
            Self::PerThreadArenas => Measured {
                workload: "16 workers that peak in turn",
                before: 385,
                trimmed: 18,
                no_help: "a trim threshold of 128 KiB or mmap threshold of 64 KiB (385)",
            },
            Self::BurstOfThreads => Measured {
                workload: "24 short threads at once, twice",
                before: 55,
                trimmed: 15,
                no_help: "MALLOC_ARENA_MAX=2 (248) and tcmalloc (439) made it worse",
            },
            Self::HoleUnderSurvivor => Measured {
                workload: "one survivor at the end of the main heap",
                before: 396,
                trimmed: 13,
                no_help: "MALLOC_ARENA_MAX, thresholds (396), tcmalloc (413)",
            },
            Self::MmapThresholdGrew => Measured {
                workload: "big buffers after the threshold grew",
                before: 295,
                trimmed: 14,
                no_help: "MALLOC_ARENA_MAX (295), tcmalloc (301)",
            },
            Self::Churn => Measured {
                workload: "random churn, nine tenths freed",
                before: 62,
                trimmed: 31,
                no_help: "MALLOC_ARENA_MAX, thresholds (62), tcmalloc (73)",
            },
            Self::PinnedFragments => Measured {
                workload: "1 in 8 blocks of 700 B kept",
                before: 301,
                trimmed: 246,
                no_help: "MALLOC_ARENA_MAX, thresholds (301), jemalloc (313), tcmalloc (338)",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, classify};
    use memwhy_model::{Addr, ArenaFacts, Bytes, GlibcFacts, PinFacts};

    fn arena(main: bool, free: u64, threads: u64) -> ArenaFacts {
        ArenaFacts {
            main,
            free_resident: Bytes::mib(free),
            trim_returns: Bytes::mib(free),
            attached_threads: Some(threads),
            last_in_use: Some((Addr(0x1000), Bytes(64))),
            ..ArenaFacts::default()
        }
    }

    fn class(glibc: &GlibcFacts) -> Class {
        let threads: Vec<_> = glibc.arenas.iter().filter(|a| !a.main).copied().collect();
        classify(glibc, &threads, 2)
    }

    fn glibc(arenas: Vec<ArenaFacts>) -> GlibcFacts {
        let trim_returns = arenas.iter().map(|arena| arena.trim_returns).sum();
        let mmap_threshold = Bytes::kib(128);
        let dynamic = true;
        GlibcFacts {
            arenas,
            trim_returns,
            mmap_threshold,
            threshold_is_dynamic: dynamic,
            ..GlibcFacts::default()
        }
    }

    #[test]
    fn arenas_with_their_threads_are_per_thread_arenas() {
        let facts = glibc([vec![arena(true, 2, 1)], vec![arena(false, 24, 1); 16]].concat());
        assert_eq!(class(&facts), Class::PerThreadArenas);
    }

    #[test]
    fn arenas_without_their_threads_are_left_by_a_burst() {
        let facts = glibc([vec![arena(true, 2, 1)], vec![arena(false, 4, 0); 10]].concat());
        assert_eq!(class(&facts), Class::BurstOfThreads);
    }

    #[test]
    fn arenas_whose_threads_nobody_counts_are_left_if_there_are_more_of_them_than_threads() {
        let uncounted = ArenaFacts { attached_threads: None, ..arena(false, 4, 0) };
        let many = glibc([vec![arena(true, 2, 1)], vec![uncounted; 10]].concat());
        assert_eq!(class(&many), Class::BurstOfThreads);
        let arenas: Vec<_> = many.arenas.iter().filter(|arena| !arena.main).copied().collect();
        assert_eq!(classify(&many, &arenas, 10), Class::PerThreadArenas);
    }

    #[test]
    fn two_arenas_are_not_many() {
        let facts = glibc([vec![arena(true, 2, 1)], vec![arena(false, 90, 1); 2]].concat());
        assert_eq!(class(&facts), Class::Churn);
    }

    #[test]
    fn large_free_chunks_after_the_threshold_grew_are_its_doing() {
        let mut facts = glibc(vec![arena(true, 280, 1)]);
        facts.large_free = Bytes::mib(270);
        facts.arenas[0].largest_free = Some((Addr(0x2000), Bytes::mib(260)));
        assert_eq!(class(&facts), Class::HoleUnderSurvivor);
        facts.mmap_threshold = Bytes::mib(20);
        assert_eq!(class(&facts), Class::HoleUnderSurvivor, "no large buffer was ever seen");
        facts.in_use_by_size = vec![(256 << 10, 1)];
        assert_eq!(class(&facts), Class::MmapThresholdGrew);
        facts.threshold_is_dynamic = false;
        assert_eq!(class(&facts), Class::HoleUnderSurvivor);
    }

    #[test]
    fn many_small_free_stretches_are_churn() {
        let mut facts = glibc(vec![arena(true, 30, 1)]);
        facts.large_free = Bytes::mib(3);
        facts.arenas[0].largest_free = Some((Addr(0x2000), Bytes::mib(1)));
        facts.mmap_threshold = Bytes::mib(20);
        assert_eq!(class(&facts), Class::Churn);
    }

    #[test]
    fn pinned_pages_outweigh_whole_ones() {
        let mut facts = glibc(vec![arena(true, 55, 1)]);
        facts.pins = PinFacts { free: Bytes::mib(180), ..PinFacts::default() };
        assert_eq!(class(&facts), Class::PinnedFragments);
    }
}
