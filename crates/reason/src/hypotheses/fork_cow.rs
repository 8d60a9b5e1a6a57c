//! Hypothesis: a forked process has its own copy of what it inherited.
//!
//! The complaint: every worker grows, although none of them does anything; memory in all is near
//! the number of workers times that of one, although they were forked from one that had loaded
//! everything.
//!
//! *Speaks for it:* pages that parent and child have at the same address are no longer the same
//! page. *Speaks against it:* they are, or there is nobody to share with. Who wrote to them can be
//! told: the collector writes to every object that it tracks and to no other, so pages with such
//! objects are then unshared and those with strings and numbers are not; a program that uses
//! objects changes their counts of references, whatever they are. New content is neither.
//!
//! Rests on: measured on a heap of 66 MiB: `gc.collect()` in a child unshares 39 MiB on 3.11, 1 MiB
//! after `gc.freeze()` in the parent; reading every object unshares 57 MiB in any case.

use super::Hypothesis;
use crate::analyses::SmapsView;
use crate::wording::{amount, count, digits, of_all, percent, short_type};
use crate::{Ask, Finding, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, ForkFacts, TargetKind, Trust};

/// Workers of every service unshare some memory by running at all.
const LEAST: Bytes = Bytes::mib(16);
/// From this part of what was inherited on it is the rule and no exception.
const MUCH_OF_INHERITED: f64 = 0.25;
/// The collector is to blame if so many times more of its objects' pages is unshared than of others.
const COLLECTOR_STANDS_OUT: f64 = 2.0;

/// See the [module](self).
#[derive(Debug)]
pub struct ForkCow;

/// What was inherited, where this cause holds: none of it, shared or not, is what the process has
/// grown by.
#[must_use]
pub fn inherited(ask: &Ask<'_>) -> Bytes {
    let fork = ask.fork.as_ref().filter(|_| explained(ask) > Bytes(0));
    fork.map_or(Bytes(0), |fork| fork.inherited)
}

/// What of RSS this cause explains: nothing where it does not hold.
fn explained(ask: &Ask<'_>) -> Bytes {
    let Some(fork) = &ask.fork else { return Bytes(0) };
    let much = fork.unshared.share_of(fork.inherited) >= MUCH_OF_INHERITED;
    let holds = much && fork.unshared >= LEAST && noteworthy(fork.unshared, ask.rss());
    if holds { fork.unshared } else { Bytes(0) }
}

impl Hypothesis for ForkCow {
    fn id(&self) -> &'static str {
        "fork-cow"
    }

    fn claim(&self) -> &'static str {
        "a forked process has its own copy of what it inherited"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let Some(fork) = &ask.fork else {
            let finding = Finding::refuted(self.id(), "not forked from a process that lives");
            if ask.about.withheld.is_some() {
                return finding.undecided("which pages are shared was not read", Bytes(0));
            }
            if ask.about.kind == TargetKind::Core {
                let what = "a core does not tell which pages were shared";
                return Finding::refuted(self.id(), what).undecided(what, Bytes(0));
            }
            return finding;
        };
        let summary = format!(
            "unshared since the fork {} of {} inherited",
            amount(fork.unshared, ask.rss()),
            fork.inherited
        );
        let mut finding = Finding::refuted(self.id(), summary);
        finding.could_explain = fork.unshared;
        let explains = explained(ask);
        if explains == Bytes(0) {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = explains;
        finding.summary = format!(
            "{} was inherited in a fork and is now this process's own copy, {} of {} inherited",
            of_all(explains, ask),
            percent(fork.unshared.share_of(fork.inherited)),
            fork.inherited
        );
        tell(&mut finding, ask, fork);
        finding.remedies = remedies(ask, fork);
        finding
    }
}

/// Who wrote to the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Collector,
    Counts,
    Program,
}

fn writer(fork: &ForkFacts) -> Writer {
    let kept = fork.equal + fork.touched;
    if fork.compared > 0 && kept * 2 < fork.compared {
        return Writer::Program;
    }
    let share = |(all, unshared): (Bytes, Bytes)| unshared.share_of(all);
    if share(fork.tracked) >= share(fork.untracked) * COLLECTOR_STANDS_OUT {
        Writer::Collector
    } else {
        Writer::Counts
    }
}

/// What would still be shared if the collector had left the inherited objects alone: of the pages
/// with tracked objects as much as of the others.
fn freeze_keeps(fork: &ForkFacts) -> Bytes {
    let (all, unshared) = fork.tracked;
    let rate = fork.untracked.1.share_of(fork.untracked.0);
    unshared.minus(all.part(rate))
}

fn tell(finding: &mut Finding, ask: &Ask<'_>, fork: &ForkFacts) {
    let private = ask.get::<SmapsView>().private;
    finding.saw(
        Trust::Target,
        format!(
            "compared with its {} {}: {} is the same memory still, {} is a copy, {} is new here; \
             {private} is private, in each of {}",
            fork.relation.id(),
            fork.with,
            fork.inherited.minus(fork.unshared),
            fork.unshared,
            fork.own,
            count(fork.siblings, "forked process").replace("processs", "processes")
        ),
        format!(
            "memwhy {} --children; grep Private /proc/{}/smaps_rollup",
            fork.with, ask.about.pid
        ),
    );
    let rate = |(all, unshared): (Bytes, Bytes)| percent(unshared.share_of(all));
    if fork.tracked.0 > Bytes(0) {
        finding.saw(
            Trust::Table,
            format!(
                "unshared are {} of the pages with objects that the collector tracks, {} of those \
                 with others only{}",
                rate(fork.tracked),
                rate(fork.untracked),
                match writer(fork) {
                    Writer::Collector => ": the collector wrote to them",
                    Writer::Counts => ": counts of references did it, by using the objects",
                    Writer::Program => "",
                }
            ),
            "in the program: gc.freeze() before the fork, and look again",
        );
    }
    if fork.compared > 0 {
        finding.saw(
            Trust::Target,
            format!(
                "of {} looked into, {} are equal to the other's to the last byte (written to, and \
                 back) and {} differ in a few words; the rest has new content",
                count(fork.compared, "unshared page"),
                digits(fork.equal),
                digits(fork.touched)
            ),
            format!("memwhy maps {}", ask.about.target()),
        );
    }
    let types: Vec<String> = fork
        .types
        .iter()
        .take(3)
        .map(|(name, n)| format!("{} {}", digits(*n), short_type(name)))
        .collect();
    if !types.is_empty() {
        finding.saw(
            Trust::Table,
            format!("on unshared pages lie: {}", types.join(", ")),
            format!("memwhy heap {}", ask.about.target()),
        );
    }
}

fn remedies(ask: &Ask<'_>, fork: &ForkFacts) -> Vec<Remedy> {
    let private = ask.get::<SmapsView>().private;
    let verify = format!(
        "the same load again, then memwhy {} --children: the column PRIVATE (RSS counts what is \
         shared too and does not fall)",
        ask.about.running()
    );
    let remedy = |action: String, note: String| Remedy {
        action,
        expected_rss: None,
        note,
        verify: verify.clone(),
    };
    let kept = freeze_keeps(fork);
    let freeze = remedy(
        format!(
            "gc.collect() and gc.freeze() in the parent, just before it forks → predicted private \
             memory {} instead of {private}, in each child",
            private.minus(kept)
        ),
        "the collector then leaves what the parent had alone; CPython 3.7 and later; measured on a \
         heap of 66 MiB, not on yours: 39 → 1 MiB unshared by gc.collect()"
            .into(),
    );
    let elsewhere = remedy(
        format!(
            "keep what all processes read out of Python objects (array, mmap, shared memory, \
             Arrow), or load it in one process → private memory down to {} at best",
            private.minus(fork.unshared)
        ),
        "using an object writes to its count of references, and no setting changes that; what is \
         in one large buffer has one count"
            .into(),
    );
    let fewer = remedy(
        "fewer processes, and threads in each (gunicorn --threads), or restart them now and then \
         (--max-requests, maxtasksperchild)"
            .into(),
        format!("a new one begins with all of {} shared", fork.inherited),
    );
    match writer(fork) {
        Writer::Collector => vec![freeze, elsewhere],
        Writer::Counts => vec![elsewhere, freeze],
        Writer::Program => vec![fewer, elsewhere],
    }
}

#[cfg(test)]
mod tests {
    use super::{ForkCow, Hypothesis, freeze_keeps};
    use crate::{Ask, Finding, Standing};
    use memwhy_model::{Bytes, Case, ForkFacts, MappingFacts, Owner};

    fn facts(tracked: (u64, u64), untracked: (u64, u64), equal: u64) -> ForkFacts {
        let pair = |(all, unshared)| (Bytes::mib(all), Bytes::mib(unshared));
        ForkFacts {
            with: 7,
            siblings: 4,
            inherited: Bytes::mib(tracked.0 + untracked.0),
            unshared: Bytes::mib(tracked.1 + untracked.1),
            tracked: pair(tracked),
            untracked: pair(untracked),
            compared: 100,
            equal,
            ..ForkFacts::default()
        }
    }

    fn judge(fork: ForkFacts) -> Finding {
        let mapping = MappingFacts { private_dirty: Bytes::mib(60), ..MappingFacts::default() };
        let mut case = Case { fork: Some(fork), mappings: vec![mapping], ..Case::default() };
        case.accounting = case.accounting.with(Owner::PythonObjects, Bytes::mib(90));
        ForkCow.judge(&Ask::new(&case))
    }

    #[test]
    fn the_collector_writes_to_what_it_tracks_and_a_freeze_keeps_it_from_that() {
        let fork = facts((50, 48), (30, 2), 100);
        assert_eq!(freeze_keeps(&fork).0 >> 20, 44);
        let finding = judge(fork);
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(50)));
        assert!(finding.remedies[0].action.contains("gc.freeze()"));
        assert!(finding.remedies[0].action.contains("15.3 MiB instead of 60.0 MiB"));
        assert_eq!(finding.remedies[0].expected_rss, None);
    }

    #[test]
    fn who_uses_objects_writes_to_all_of_them() {
        let finding = judge(facts((50, 48), (30, 28), 100));
        assert!(finding.remedies[0].action.starts_with("keep what all processes read"));
    }

    #[test]
    fn new_content_is_the_programs() {
        let finding = judge(facts((50, 48), (30, 2), 10));
        assert!(finding.remedies[0].action.starts_with("fewer processes"));
    }

    #[test]
    fn what_is_still_shared_is_no_cause() {
        let finding = judge(facts((50, 8), (30, 2), 100));
        assert_eq!(finding.standing, Standing::Refuted);
        assert!(finding.summary.contains("10.0 MiB (11%) of 80.0 MiB inherited"));
    }
}
