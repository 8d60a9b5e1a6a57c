//! Hypothesis: the process is big because of an allocator that a library carries for itself.
//!
//! The complaint: RSS grows, and neither Python's objects nor malloc have it: a table of Arrow or a
//! frame of polars is memory that its library took from the kernel itself.
//!
//! *Speaks for it:* the arenas or extents of such an allocator make up much of RSS. *Speaks against
//! it:* they do not. What is free of them is told apart from what is in use, because one is given back
//! by a call, the other only when tables and frames go. Who keeps a table is not searched there.

use super::Hypothesis;
use crate::wording::{amount, of_all};
use crate::{Ask, Finding, NOTEWORTHY_BYTES, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, Carried, Trust};

/// Of a quarter of RSS on, as with Python's data.
const SHARE: f64 = 0.25;
/// Of the memory of all of them, for one to be told.
const WORTH_A_LINE: f64 = 0.01;
/// Allocators told.
const MOST: usize = 3;

/// See the [module](self).
#[derive(Debug)]
pub struct LibraryAllocator;

impl Hypothesis for LibraryAllocator {
    fn id(&self) -> &'static str {
        "library-allocator"
    }

    fn claim(&self) -> &'static str {
        "an allocator that a library carries for itself has much of the memory"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        let resident = resident(ask);
        let mut finding = Finding::refuted(
            self.id(),
            format!("allocators of libraries {}", amount(resident, rss)),
        );
        finding.could_explain = resident;
        if ask.about.withheld.is_some() {
            return finding.undecided("whose memory it is was not read", resident);
        }
        if !noteworthy(resident, rss) || resident.share_of(rss) < SHARE {
            return finding;
        }
        let Some(first) = ask.carried.first() else { return finding };
        finding.standing = Standing::Holds;
        finding.explains = resident;
        finding.summary = format!(
            "{} is memory of {}, {} in use and {} free",
            of_all(resident, ask),
            name(first),
            first.in_use(),
            first.kept_resident
        );
        let target = ask.about.target();
        let counts = |one: &&Carried| one.resident.share_of(resident) >= WORTH_A_LINE;
        for one in ask.carried.iter().filter(counts).take(MOST) {
            finding.saw(
                Trust::Heuristic,
                format!(
                    "{} took {} from the kernel by itself, {} of it is resident: {} in use, {} free; \
                     no malloc sees it",
                    name(one),
                    one.reserved,
                    one.resident,
                    one.in_use(),
                    one.kept_resident
                ),
                format!("memwhy malloc {target}; memwhy maps {target}"),
            );
        }
        cures(&mut finding, ask, first);
        finding
    }
}

/// What all of them have of RSS.
pub(super) fn resident(ask: &Ask<'_>) -> Bytes {
    ask.carried.iter().map(|one| one.resident).sum()
}

/// `pyarrow's own allocator (mimalloc in libarrow.so.1500)`.
#[must_use]
pub fn name(one: &Carried) -> String {
    format!("{}'s own allocator ({} in {})", owner(one), one.name, one.library())
}

/// What users call the library.
fn owner(one: &Carried) -> &str {
    let file = one.library();
    if file.starts_with("libarrow") {
        "pyarrow"
    } else if file.starts_with("_polars") || one.image.contains("/polars/") {
        "polars"
    } else {
        file.split('.').next().unwrap_or(file)
    }
}

fn cures(finding: &mut Finding, ask: &Ask<'_>, first: &Carried) {
    let (rss, running) = (ask.rss(), ask.about.running());
    let free = (first.kept_resident >= NOTEWORTHY_BYTES).then_some(first.kept_resident);
    let released = free.map(|free| rss.minus(free));
    let verify = format!("memwhy malloc {running}: what {} has", owner(first));
    let dropped = Some(rss.minus(Bytes(first.resident.0.min(finding.explains.0))));
    let remedy = |action: String, expected_rss: Option<Bytes>, note: &str| Remedy {
        action,
        expected_rss,
        note: note.into(),
        verify: verify.clone(),
    };
    let at_best = "at best, if all of it goes; slices and views keep what they are of";
    // Seen of this one: its `mi_collect` gives nothing back.
    let keeps = first.release.as_deref().is_some_and(|release| release.starts_with("2.0.6"));
    let cures = match owner(first) {
        "pyarrow" => {
            let release = if keeps {
                remedy(
                    "start with MIMALLOC_DECOMMIT_DELAY=0".into(),
                    released,
                    "what is free is then given back at once; release_unused() of this mimalloc \
                     gives nothing back",
                )
            } else {
                remedy(
                    "call pyarrow.default_memory_pool().release_unused()".into(),
                    released,
                    "gives back what is free, not what tables have",
                )
            };
            let drop = remedy(
                "drop tables and buffers that are not needed: pyarrow.total_allocated_bytes() says \
                 what they have"
                    .into(),
                dropped,
                at_best,
            );
            let system = remedy(
                "start with ARROW_DEFAULT_MEMORY_POOL=system".into(),
                None,
                "then it takes from malloc, and memwhy malloc --held-by says who keeps what",
            );
            if free.is_some() { vec![release, drop, system] } else { vec![drop, system] }
        }
        "polars" => {
            let drop = remedy(
                "drop frames that are not needed: frame.estimated_size() says what one has".into(),
                dropped,
                at_best,
            );
            let decay = remedy(
                "start with _RJEM_MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0".into(),
                released,
                "what is free is then given back at once, at the cost of CPU time",
            );
            if free.is_some() { vec![decay, drop] } else { vec![drop, decay] }
        }
        other => vec![remedy(
            format!("drop what is {other}'s, and see how it gives back what is free"),
            dropped,
            at_best,
        )],
    };
    finding.remedies = cures;
}

#[cfg(test)]
mod tests {
    use super::{Hypothesis, LibraryAllocator};
    use crate::{Ask, Finding, Standing};
    use memwhy_model::{Bytes, Carried, Case, Owner};

    fn judge(image: &str, resident: u64, free: u64) -> Finding {
        judge_release(image, None, resident, free)
    }

    fn judge_release(image: &str, release: Option<&str>, resident: u64, free: u64) -> Finding {
        let carried = Carried {
            name: "mimalloc".into(),
            release: release.map(str::to_owned),
            image: image.into(),
            reserved: Bytes::mib(1024),
            resident: Bytes::mib(resident),
            kept_resident: Bytes::mib(free),
            ..Carried::default()
        };
        let mut case = Case { carried: vec![carried], ..Case::default() };
        case.accounting = case
            .accounting
            .with(Owner::OtherAllocator, Bytes::mib(resident))
            .with(Owner::PythonObjects, Bytes::mib(100));
        LibraryAllocator.judge(&Ask::new(&case))
    }

    #[test]
    fn what_is_free_comes_back_by_a_call_and_what_is_in_use_does_not() {
        let finding = judge("/x/pyarrow/libarrow.so.1500", 300, 100);
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(300)));
        assert!(finding.summary.contains("pyarrow's own allocator (mimalloc in libarrow.so.1500)"));
        assert!(finding.remedies[0].action.contains("release_unused"));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(300)));
        let finding = judge("/x/pyarrow/libarrow.so.1500", 300, 0);
        assert!(finding.remedies[0].action.contains("drop tables"));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(100)));
        let finding = judge("/x/_polars_runtime.abi3.so", 300, 100);
        assert!(finding.remedies[0].action.contains("_RJEM_MALLOC_CONF"));
    }

    #[test]
    fn a_call_that_returns_nothing_is_not_advised() {
        let old = Some("2.0.6 in pyarrow 10 to 20");
        let finding = judge_release("/x/pyarrow/libarrow.so.1400", old, 300, 100);
        assert!(finding.remedies[0].action.contains("MIMALLOC_DECOMMIT_DELAY"));
        assert!(finding.remedies.iter().all(|remedy| !remedy.action.contains("release_unused")));
    }

    #[test]
    fn little_of_it_is_ruled_out_with_its_number() {
        let finding = judge("/x/libother.so", 20, 0);
        assert_eq!(finding.standing, Standing::Refuted);
        assert!(finding.summary.contains("20.0 MiB"), "{}", finding.summary);
    }
}
