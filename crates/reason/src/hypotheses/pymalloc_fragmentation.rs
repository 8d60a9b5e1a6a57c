//! Hypothesis: CPython's small-object allocator keeps pools for a few survivors.
//!
//! The complaint: many small objects were freed, RSS stayed, and a trim of malloc changes nothing.
//!
//! *Speaks for it:* free blocks and free pools of pymalloc take much of RSS. *Speaks against it:*
//! they do not. pymalloc returns an arena only when not a single block in it is in use.
//!
//! Rests on: CPython `Objects/obmalloc.c`, `insert_to_freepool` (an arena is freed when all its
//! pools are). Blocks of 512 bytes and less are pymalloc's, all others are malloc's. Builds without
//! GIL have mimalloc for all sizes instead, with the same weakness: `Objects/mimalloc/page.c`,
//! `_mi_page_free` (a page goes back when no block in it is in use).

use super::Hypothesis;
use crate::wording::{amount, count, digits, of_all, short_type};
use crate::{Ask, Finding, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, MimallocFacts, Owner, PymallocFacts, Trust};

/// What malloc adds to a small block: its header and rounding to 16 bytes.
const MALLOC_ADDS: u64 = 16;

/// What is free in mimalloc's pages of a process that has hardly begun: 3.13t had 9 MiB, 42 % of
/// its RSS, when it had imported `json`, `threading` and `subprocess`.
const USUAL: Bytes = Bytes(12 << 20);
/// What each further thread adds: up to 8 pages of 64 KiB are free of its first ones.
const USUAL_OF_A_THREAD: Bytes = Bytes(512 << 10);

/// See the [module](self).
#[derive(Debug)]
pub struct PymallocFragmentation;

impl Hypothesis for PymallocFragmentation {
    fn id(&self) -> &'static str {
        "pymalloc-fragmentation"
    }

    fn claim(&self) -> &'static str {
        "a few small objects keep pymalloc's arenas from being returned"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        if let Some(mimalloc) = &ask.mimalloc {
            return of_mimalloc(self.id(), ask, mimalloc);
        }
        let rss = ask.rss();
        let free = ask.resident(Owner::PymallocFree);
        let Some(pymalloc) = &ask.pymalloc else {
            let unseen = ask.resident(Owner::AnonOther) + ask.accounting.unexplained;
            return Finding::refuted(self.id(), "pymalloc was not read")
                .undecided("CPython's small-object allocator was not read", unseen);
        };
        let mut finding =
            Finding::refuted(self.id(), format!("pymalloc free {}", amount(free, rss)));
        if !noteworthy(free, rss) {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = free;
        finding.summary = format!(
            "{} is free inside CPython's small-object allocator, which cannot return it",
            of_all(free, ask)
        );
        fill(&mut finding, ask, pymalloc, free);
        finding
    }
}

fn fill(finding: &mut Finding, ask: &Ask<'_>, pymalloc: &PymallocFacts, free: Bytes) {
    let (rss, pid, running) = (ask.rss(), ask.about.target(), ask.about.running());
    let trust = ask.about.python.as_ref().map_or(Trust::Heuristic, |python| python.layout);
    let (sparse, live) = pymalloc.sparse_arenas;
    let check = "python -c 'import sys; sys._debugmallocstats()' shows the same table";
    finding.saw(
        trust,
        format!(
            "{} of {} each; {sparse} of them less than a tenth in use, for {live} of objects",
            count(pymalloc.arenas, "arena"),
            pymalloc.arena_size,
        ),
        check,
    );
    finding.saw(
        trust,
        format!(
            "{} in use, {} free in pools that are in use, {} in pools that are free",
            pymalloc.allocated, pymalloc.free_in_used_pools, pymalloc.free_in_free_pools
        ),
        check,
    );
    if !pymalloc.pinned_by_type.is_empty() {
        let types: Vec<String> = pymalloc
            .pinned_by_type
            .iter()
            .take(3)
            .map(|(name, pools)| format!("{} ({} pools)", short_type(name), digits(*pools)))
            .collect();
        finding.saw(
            trust,
            format!("nearly empty pools are kept by {}", types.join(", ")),
            format!("memwhy malloc {pid}"),
        );
    }
    let blocks: u64 = pymalloc.classes.iter().map(|class| class.used).sum();
    let headers = Bytes(blocks.saturating_mul(MALLOC_ADDS));
    finding.remedies.push(Remedy {
        action: "start with PYTHONMALLOC=malloc, and call malloc_trim(0) after the peak".into(),
        expected_rss: Some(rss.minus(free.minus(headers))),
        note: "measured on a workload of this kind (1 small object in 2000 kept): 289 to 17 MiB; \
               PYTHONMALLOC=malloc without the trim 334, trim alone 289, other allocators 291 to 326"
            .into(),
        verify: format!("the same load, then memwhy {running}: RSS"),
    });
    let survivors = pymalloc.pinned_by_type.first().map(|(name, _)| short_type(name).to_owned());
    finding.remedies.push(Remedy {
        action: match survivors {
            Some(name) => {
                format!("free the survivors ({name} first), or make them before the peak")
            }
            None => "free the survivors, or make them before the peak".into(),
        },
        expected_rss: Some(rss.minus(free)),
        note: "at best, if all of them go: an arena goes back only as a whole".into(),
        verify: format!("memwhy malloc {running}: fewer arenas"),
    });
}

/// The same of a build whose objects are in mimalloc.
fn of_mimalloc(id: &'static str, ask: &Ask<'_>, mimalloc: &MimallocFacts) -> Finding {
    let (rss, free) = (ask.rss(), ask.resident(Owner::MimallocFree));
    let mut finding = Finding::refuted(id, format!("mimalloc free {}", amount(free, rss)));
    // Each thread has a page of its own for every size that it uses, and most have hardly begun.
    let usual = Bytes(USUAL_OF_A_THREAD.0.saturating_mul(ask.threads.len() as u64));
    if !noteworthy(free, rss) || free < USUAL + usual {
        return finding;
    }
    let (trust, pid) = (
        ask.about.python.as_ref().map_or(Trust::Heuristic, |python| python.layout),
        ask.about.target(),
    );
    finding.standing = Standing::Holds;
    finding.explains = free;
    finding.summary = format!(
        "{} is free inside mimalloc, which serves the objects of this build",
        of_all(free, ask)
    );
    let (sparse, live) = mimalloc.sparse_pages;
    let check = format!("memwhy malloc {pid}");
    finding.saw(
        trust,
        format!(
            "{}; {sparse} of them less than an eighth in use, for {live} of blocks",
            count(mimalloc.pages, "page"),
        ),
        check.clone(),
    );
    if !mimalloc.pinned_by_type.is_empty() {
        let types = mimalloc.pinned_by_type.iter().take(3);
        let types: Vec<String> = types
            .map(|(name, pages)| format!("{} ({} pages)", short_type(name), digits(*pages)))
            .collect();
        let said = format!("nearly empty pages are kept by {}", types.join(", "));
        finding.saw(trust, said, check);
    }
    finding.remedies.push(Remedy {
        action: "free the survivors, or make them before the peak".into(),
        expected_rss: Some(rss.minus(free)),
        note:
            "at best, if all of them go: a page goes back only as a whole, and mimalloc gives it \
               to the kernel when it allocates the next time"
                .into(),
        verify: format!("memwhy malloc {}: fewer pages", ask.about.running()),
    });
    finding
}

#[cfg(test)]
mod tests {
    use super::{Hypothesis, PymallocFragmentation};
    use crate::{Ask, Finding, Standing};
    use memwhy_model::{Bytes, Case, MimallocFacts, Owner, PymallocClass, PymallocFacts};

    fn judge(free: u64) -> Finding {
        let pymalloc = PymallocFacts {
            arenas: 280,
            arena_size: Bytes::mib(1),
            sparse_arenas: (278, Bytes::mib(2)),
            free_in_used_pools: Bytes::mib(free),
            classes: vec![PymallocClass { block: 64, pools: 1, used: 65_536, free: 0 }],
            pinned_by_type: vec![("app.Token".into(), 70_000)],
            ..PymallocFacts::default()
        };
        let mut case = Case { pymalloc: Some(pymalloc), ..Case::default() };
        case.accounting = case
            .accounting
            .with(Owner::PymallocFree, Bytes::mib(free))
            .with(Owner::FileClean, Bytes::mib(20));
        PymallocFragmentation.judge(&Ask::new(&case))
    }

    #[test]
    fn free_pools_that_dominate_are_the_cause_and_name_the_survivors() {
        let finding = judge(270);
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(270)));
        assert!(finding.evidence.iter().any(|seen| seen.saw.contains("app.Token (70,000 pools)")));
    }

    #[test]
    fn the_prediction_counts_what_malloc_adds_to_each_block() {
        assert_eq!(judge(270).remedies[0].expected_rss, Some(Bytes::mib(21)));
        assert_eq!(judge(270).remedies[1].expected_rss, Some(Bytes::mib(20)));
    }

    #[test]
    fn without_gil_the_pages_of_mimalloc_are_judged() {
        let mimalloc = MimallocFacts {
            pages: 900,
            sparse_pages: (800, Bytes::mib(1)),
            pinned_by_type: vec![("app.Token".into(), 700)],
            ..MimallocFacts::default()
        };
        let mut case = Case { mimalloc: Some(mimalloc), ..Case::default() };
        case.accounting = case
            .accounting
            .with(Owner::MimallocFree, Bytes::mib(50))
            .with(Owner::FileClean, Bytes::mib(20));
        let finding = PymallocFragmentation.judge(&Ask::new(&case));
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(50)));
        assert!(finding.evidence.iter().any(|seen| seen.saw.contains("app.Token (700 pages)")));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(20)));
    }

    #[test]
    fn a_few_free_pools_are_ordinary() {
        let finding = judge(2);
        assert_eq!(finding.standing, Standing::Refuted);
        assert_eq!(finding.summary, "pymalloc free 2.0 MiB (9%)");
    }
}
