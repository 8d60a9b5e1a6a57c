//! Hypothesis: the collector found garbage and keeps it, in `gc.garbage`.
//!
//! The complaint: memory grows although the collector runs; in Python 2 since somebody gave a class
//! a `__del__`.
//!
//! *Speaks for it:* what `gc.garbage` alone keeps alive is much of RSS. Until 3.4 a cycle with a
//! `__del__` in it was put there, because nobody could tell which one to call first; `tp_del` of C
//! types does so still; and `gc.DEBUG_SAVEALL` puts everything there.

use super::Hypothesis;
use crate::analyses::Kept;
use crate::wording::{amount, count, of_all};
use crate::{Ask, Finding, Holder, Remedy, Standing, noteworthy};
use memwhy_model::{GcDebug, Owner, Trust};

/// Classes listed.
const HOLDERS: usize = 3;

/// See the [module](self).
#[derive(Debug)]
pub struct Uncollectable;

impl Hypothesis for Uncollectable {
    fn id(&self) -> &'static str {
        "uncollectable"
    }

    fn claim(&self) -> &'static str {
        "the garbage collector keeps what it found in gc.garbage"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        if ask.heap.is_none() {
            let unseen = ask.resident(Owner::AnonOther) + ask.accounting.unexplained;
            return Finding::refuted(self.id(), "gc.garbage was not read")
                .undecided("the Python heap was not read", unseen);
        }
        let kept = ask.get::<Kept>();
        if kept.objects == 0 {
            return Finding::refuted(self.id(), "uncollectable 0");
        }
        let summary = format!("gc.garbage {}", amount(kept.bytes, rss));
        let mut finding = Finding::refuted(self.id(), summary);
        if !noteworthy(kept.bytes, rss) {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = kept.bytes;
        weigh(&mut finding, ask);
        finding
    }
}

fn weigh(finding: &mut Finding, ask: &Ask<'_>) {
    let rss = ask.rss();
    let trust = ask.about.python.as_ref().map_or(Trust::Heuristic, |python| python.layout);
    let save_all = ask.gc.as_ref().is_some_and(|gc| gc.debug.has(GcDebug::SAVEALL));
    let kept = ask.get::<Kept>();
    for class in kept.classes.iter().take(HOLDERS) {
        let name = &class.name;
        let path = if class.blocks { format!("{name}.__del__") } else { name.clone() };
        let place = match (&class.file, class.line) {
            (Some(file), Some(line)) => format!(" ({file}:{line})"),
            (Some(file), None) => format!(" ({file})"),
            (None, _) => String::new(),
        };
        let said = if class.blocks {
            format!("{} of {name}: blocked by {path}{place}", count(class.count, "object"))
        } else {
            format!("{} of {name}{place}", count(class.count, "object"))
        };
        finding.saw(trust, said, "in the program: gc.garbage");
        finding.holders.push(Holder {
            path: Some(path),
            object: class.first,
            type_name: Some(name.clone()),
            file: class.file.clone(),
            line: class.line,
            hold: crate::Hold::Retains,
            objects: class.count,
            bytes: class.bytes,
            also_reached_from: 0,
        });
    }
    let first = finding.holders.first().and_then(|holder| holder.path.clone()).unwrap_or_default();
    let (why, action) = if save_all {
        (
            "gc.DEBUG_SAVEALL is set, so the collector keeps whatever it finds".to_owned(),
            "take gc.DEBUG_SAVEALL out of gc.set_debug(), and empty gc.garbage".to_owned(),
        )
    } else {
        (
            format!("cycles with a finalizer, {first}"),
            format!(
                "replace {first} by an explicit close(), or break the cycle with a weak reference"
            ),
        )
    };
    finding.summary = format!(
        "{} is kept by gc.garbage, {}: {why}",
        of_all(finding.explains, ask),
        count(kept.objects, "object"),
    );
    finding.remedies.push(Remedy {
        action,
        expected_rss: Some(rss.minus(finding.explains)),
        note: "at best: freed pages may be kept by the allocators".into(),
        verify: format!("memwhy garbage {}: gc.garbage is empty", ask.about.running()),
    });
}
