//! What does an allocator that stands in for glibc's keep of what was freed, and what helps?
//!
//! Part of `allocator-retention`: glibc's classes and settings say nothing of other allocators.
//! Measured figures are those of one workload each: they say in which direction a setting works.

use crate::wording::count;
use crate::{Ask, Finding, NOTEWORTHY_BYTES, Remedy};
use memwhy_model::{Bytes, Owner, StandIn, Trust};

/// Sizes of blocks named.
const CLASSES: usize = 3;

/// Fills in a finding that holds.
pub(super) fn fill(finding: &mut Finding, ask: &Ask<'_>, facts: &StandIn) {
    let pid = ask.about.target();
    let exact = facts.is_exact();
    let trust = if exact { Trust::Target } else { Trust::Table };
    let cached = if facts.caches > 0 {
        format!(", {} in the caches of {}", facts.cached, count(facts.caches, "thread"))
    } else {
        String::new()
    };
    let used = if facts.walked {
        format!(
            "{} is in {} in use, {} in free blocks between them{cached}",
            facts.used,
            count(facts.blocks, "block"),
            facts.free_blocks,
        )
    } else {
        format!(
            "{} is in use or in caches of threads, {} in free blocks beside it",
            facts.used, facts.free_blocks
        )
    };
    finding.saw(
        trust,
        format!(
            "of {} that {} has, {used}, {} in free pages, {} given back",
            facts.reserved, facts.name, facts.free_pages, facts.returned
        ),
        format!("memwhy malloc {pid}"),
    );
    if exact {
        finding.saw(
            trust,
            "the walk agrees with the allocator's own counts: 0 B off",
            format!("memwhy malloc {pid}"),
        );
    }
    let mut classes: Vec<(u64, u64)> =
        facts.classes.iter().map(|class| (class.block, class.free * class.block)).collect();
    classes.sort_unstable_by_key(|(block, free)| std::cmp::Reverse((*free, *block)));
    let named: Vec<String> = classes
        .iter()
        .filter(|(_, free)| *free > 0)
        .take(CLASSES)
        .map(|(block, free)| format!("{} in blocks of {block} B", Bytes(*free)))
        .collect();
    if !named.is_empty() {
        finding.saw(
            trust,
            format!("most free: {}", named.join(", ")),
            format!("memwhy malloc {pid}"),
        );
    }
    finding.remedies = remedies(ask, facts);
}

fn remedies(ask: &Ask<'_>, facts: &StandIn) -> Vec<Remedy> {
    let rss = ask.rss();
    let running = ask.about.running();
    let verify = format!("the same load again, then memwhy {running}: malloc free");
    // Whole free pages go back; free blocks lie beside used ones.
    let pages = Bytes(facts.free_pages.0.min(ask.resident(Owner::MallocFree).0));
    let remedy = |action: &str, expected_rss: Option<Bytes>, note: &str| Remedy {
        action: action.into(),
        expected_rss,
        note: note.into(),
        verify: verify.clone(),
    };
    let glibc = remedy(
        "start without LD_PRELOAD, and compare: memwhy try --with glibc,trim -- COMMAND",
        None,
        "what cures one program makes another worse",
    );
    let beside = |why: &str| {
        remedy(
            "free what lies between free blocks, or make it before the peak: memwhy heap, by size",
            Some(rss.minus(ask.resident(Owner::MallocFree))),
            &format!("at best, if all of it goes; {why}"),
        )
    };
    if facts.name == "musl" {
        let why = "musl gives a group of blocks back with the last of them, never a part of one, and \
                   has neither a trim nor a setting";
        // The program may have been replaced since.
        let exe = ask.about.exe.trim_end_matches(" (deleted)");
        return vec![beside(why), of_musl(facts.image == exe, &remedy)];
    }
    if pages < NOTEWORTHY_BYTES {
        let why = "hardly a whole page is free, and no setting gives parts back";
        return vec![beside(why), glibc];
    }
    match facts.name.as_str() {
        "tcmalloc" => vec![
            remedy(
                "start with TCMALLOC_AGGRESSIVE_DECOMMIT=t",
                Some(rss.minus(pages)),
                "gives free pages back at once, at the cost of CPU time; measured on three \
                 workloads, not on yours: 439 → 32, 413 → 33, 301 → 20 MiB; TCMALLOC_RELEASE_RATE=10 \
                 changed nothing",
            ),
            remedy(
                "call MallocExtension_ReleaseFreeMemory() of libtcmalloc in the program, now and then",
                Some(rss.minus(pages)),
                "ctypes.CDLL(None).MallocExtension_ReleaseFreeMemory()",
            ),
            glibc,
        ],
        "mimalloc" => vec![
            remedy(
                "start with MIMALLOC_DECOMMIT_DELAY=0 (from 2.1 on MIMALLOC_PURGE_DELAY=0)",
                Some(rss.minus(pages)),
                "gives free memory back at once; measured on a hole under a survivor, not on yours: \
                 245 → 6 MiB; mi_collect(1) returned nothing",
            ),
            glibc,
        ],
        "jemalloc" => vec![
            remedy(
                "start with MALLOC_CONF=background_thread:true,dirty_decay_ms:1000",
                Some(rss.minus(pages)),
                "free pages are given back after a second, also while the program does nothing; \
                 measured on two workloads, not on yours: 356 → 50, 143 → 22 MiB",
            ),
            remedy(
                "have it give back now: memwhy trim --allow-write, or mallctl(\"arena.4096.purge\")",
                Some(rss.minus(pages)),
                "once; the next peak comes back",
            ),
            glibc,
        ],
        _ => vec![glibc],
    }
}

/// Another allocator in place of musl's: one that was built for glibc is not loaded.
fn of_musl(linked: bool, remedy: &dyn Fn(&str, Option<Bytes>, &str) -> Remedy) -> Remedy {
    if linked {
        return remedy(
            "link the program with another allocator, or with glibc, and compare",
            None,
            "it is linked statically: the loader's LD_PRELOAD does nothing for it",
        );
    }
    remedy(
        "preload another allocator that was built for musl, and compare: memwhy try -- COMMAND",
        None,
        "Alpine has jemalloc and mimalloc; or run it where libc is glibc",
    )
}

/// What to do about an allocator whose heap is not walked.
#[must_use]
pub(super) const fn advice(name: &str) -> &'static str {
    match name.as_bytes() {
        b"jemalloc" => {
            "MALLOC_CONF=background_thread:true,dirty_decay_ms:1000 has it give back what is free, \
             MALLOC_CONF=stats_print:true says at exit what it kept"
        }
        b"musl" => {
            "musl is walked from 1.2.1 on, once malloc was called; it has no statistics and no trim, \
             and memwhy try -- COMMAND compares it with others that were built for it"
        }
        _ => "memwhy try -- COMMAND compares it with others",
    }
}

#[cfg(test)]
mod tests {
    use super::advice;
    use crate::hypotheses::{Hypothesis, allocator_retention::AllocatorRetention};
    use crate::{Ask, Confidence, Finding, Standing};
    use memwhy_model::{Bytes, Case, MallocFacts, Owner, StandIn};

    fn judge(name: &str, walked: bool, owner: Owner) -> Finding {
        let facts = StandIn {
            name: name.into(),
            image: format!("/usr/lib/{name}.so"),
            walked,
            reserved: Bytes::mib(400),
            free_pages: Bytes::mib(300),
            free_blocks: Bytes::mib(60),
            ..StandIn::default()
        };
        let malloc = MallocFacts { name: name.into(), walked, glibc: None };
        let mut case = Case { malloc: Some(malloc), stand_in: Some(facts), ..Case::default() };
        case.accounting =
            case.accounting.with(owner, Bytes::mib(360)).with(Owner::PythonObjects, Bytes::mib(40));
        AllocatorRetention.judge(&Ask::new(&case))
    }

    #[test]
    fn free_pages_are_what_a_setting_returns_and_free_blocks_stay() {
        let finding = judge("tcmalloc", true, Owner::MallocFree);
        assert_eq!(finding.confidence, Confidence::High);
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(360)));
        assert!(finding.remedies[0].action.contains("TCMALLOC_AGGRESSIVE_DECOMMIT"));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(100)));
        let finding = judge("mimalloc", true, Owner::MallocFree);
        assert!(finding.remedies[0].action.contains("MIMALLOC_DECOMMIT_DELAY"));
        let finding = judge("musl", true, Owner::MallocFree);
        assert!(finding.remedies[0].note.contains("neither a trim nor a setting"));
        assert!(finding.remedies[1].action.starts_with("preload another allocator"));
    }

    #[test]
    fn a_heap_that_is_not_walked_is_undecided_and_says_what_to_do() {
        let finding = judge("jemalloc", false, Owner::OtherAllocator);
        let Standing::Undecided(why) = &finding.standing else { panic!("{finding:?}") };
        assert!(why.contains(advice("jemalloc")), "{why}");
        assert_eq!(finding.could_explain, Bytes::mib(360));
    }
}
