//! Hypothesis: this release of CPython is known for what is seen.
//!
//! A rule is a release and a signature: without the signature the release is not accused. New rules
//! are rows of [`BUGS`].

use super::Hypothesis;
use crate::analyses::{Garbage, Immortal};
use crate::wording::{amount, count, of_all};
use crate::{Ask, Finding, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, Owner};

/// What a release is known for.
struct Bug {
    /// The issue of CPython.
    issue: &'static str,
    /// What is wrong with it.
    what: &'static str,
    /// The first release without it.
    fixed: &'static str,
    /// The releases: from, and the first that is not affected any more.
    from: (u32, u32, u32),
    until: (u32, u32, u32),
    /// How much of RSS the signature explains; nothing if it is not there.
    seen: fn(&Ask<'_>) -> (Bytes, String),
}

/// Every bug that is known, and told from outside.
const BUGS: [Bug; 2] = [
    Bug {
        issue: "cpython#113993",
        what: "strings that were interned are never freed",
        fixed: "3.12.7",
        from: (3, 12, 0),
        until: (3, 12, 7),
        seen: immortal_strings,
    },
    Bug {
        issue: "cpython#142516",
        what: "the incremental collector lets garbage pile up",
        fixed: "3.14.5",
        from: (3, 14, 0),
        until: (3, 14, 5),
        seen: piled_up,
    },
];

/// See the [module](self).
#[derive(Debug)]
pub struct KnownBug;

impl Hypothesis for KnownBug {
    fn id(&self) -> &'static str {
        "known-bug"
    }

    fn claim(&self) -> &'static str {
        "a bug of this release of CPython that is known"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        let Some(python) = ask.about.python.as_ref().filter(|_| ask.heap.is_some()) else {
            let unseen = ask.resident(Owner::AnonOther) + ask.accounting.unexplained;
            return Finding::refuted(self.id(), "the release is not known")
                .undecided("the Python heap was not read", unseen);
        };
        let version = parsed(&python.version);
        let affected = BUGS.iter().filter(|bug| bug.from <= version && version < bug.until);
        let seen = affected.map(|bug| (bug, (bug.seen)(ask)));
        let Some((bug, (bytes, saw))) = seen.max_by_key(|(_, (bytes, _))| *bytes) else {
            return Finding::refuted(self.id(), "no known bug");
        };
        let summary = format!("{} {}", bug.issue, amount(bytes, rss));
        let mut finding = Finding::refuted(self.id(), summary);
        if !noteworthy(bytes, rss) {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = bytes;
        finding.summary = format!(
            "{}: in CPython {} {} ({})",
            of_all(bytes, ask),
            python.version,
            bug.what,
            bug.issue
        );
        finding.saw(
            python.layout,
            saw,
            format!(
                "https://github.com/python/cpython/issues/{}",
                bug.issue.replace("cpython#", "")
            ),
        );
        finding.remedies.push(Remedy {
            action: format!("upgrade to CPython {} or newer", bug.fixed),
            expected_rss: Some(rss.minus(bytes)),
            note: "of the same work in a process of that release".into(),
            verify: format!("memwhy {}: known bugs none", ask.about.running()),
        });
        finding
    }
}

fn parsed(version: &str) -> (u32, u32, u32) {
    let mut parts = version.split(['.', '+', 'r', 'a', 'b']).map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

/// Strings that are kept only by being immortal.
fn immortal_strings(ask: &Ask<'_>) -> (Bytes, String) {
    let lost = ask.get::<Immortal>();
    let strings = count(lost.strings, "string");
    (lost.bytes, format!("{strings} interned and immortal, that nothing else refers to"))
}

/// Garbage, where the collector is on and nothing else explains it.
fn piled_up(ask: &Ask<'_>) -> (Bytes, String) {
    let unfreed = ask.get::<Garbage>();
    let left_alone = ask.gc.as_ref().is_some_and(|gc| {
        gc.enabled == Some(true)
            && gc.frozen_garbage == 0
            && gc.thresholds.first().is_some_and(|first| (1..50_000).contains(first))
    });
    let seen = left_alone && unfreed.cycles.first().is_some_and(|first| first.blind.is_none());
    let bytes = if seen { ask.resident(Owner::PythonGarbage) } else { Bytes(0) };
    (bytes, format!("{} unreachable, though the collector is on", count(unfreed.objects, "object")))
}

#[cfg(test)]
mod tests {
    use super::{Hypothesis, KnownBug, parsed};
    use crate::{Ask, Standing};
    use memwhy_model::{
        About, Addr, Bytes, Case, Flags, HeapBuilder, ObjectId, Owner, PythonAbout, TypeId, TypeRow,
    };

    fn standing(version: &str, flags: Flags) -> Standing {
        let mut heap = HeapBuilder::default();
        heap.push(Addr(0x40), TypeId(0), 64, flags);
        heap.seal_objects();
        heap.set_size(ObjectId(0), 40 << 20, 40 << 20, 0);
        heap.push_references([]);
        let types = vec![TypeRow { name: "builtins.str".into(), ..TypeRow::default() }];
        let python = PythonAbout { version: version.into(), ..PythonAbout::default() };
        let about = About { python: Some(python), ..About::default() };
        let mut case = Case { about, heap: Some(heap.finish(types)), ..Case::default() };
        case.accounting = case.accounting.with(Owner::PythonObjects, Bytes::mib(50));
        KnownBug.judge(&Ask::new(&case)).standing
    }

    #[test]
    fn a_release_is_accused_only_with_the_signature() {
        assert_eq!(standing("3.12.1", Flags::IMMORTAL), Standing::Holds);
        assert_eq!(standing("3.12.1", Flags::default()), Standing::Refuted);
        assert_eq!(standing("3.12.7", Flags::IMMORTAL), Standing::Refuted);
        assert_eq!(standing("3.11.7", Flags::IMMORTAL), Standing::Refuted);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(parsed("3.12.10") > parsed("3.12.5") && parsed("3.14.0rc1") < parsed("3.14.5"));
    }
}
