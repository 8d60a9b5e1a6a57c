//! Hypothesis: much of RSS is cycles that nothing leads to and that the collector has not freed.
//!
//! The complaint: memory grows with the work, and nobody holds it: tools that list objects list
//! them, tools that search for who holds them find nobody.
//!
//! *Speaks for it:* objects that only themselves lead to, by their reference counts. *Speaks
//! against it:* little of RSS is such. Why the collector did not come is told from its state:
//! switched off, frozen, thresholds too high, a type it does not look through, or a full collection
//! that is put off until the old generation has grown by a quarter (`long_lived_pending`).

use super::Hypothesis;
use crate::analyses::origin::at;
use crate::analyses::{Cycles, Garbage, cycle_text};
use crate::wording::{amount, count, digits, of_all, short_type};
use crate::{Ask, Finding, Holder, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, Owner, Trust};

/// From this threshold of the youngest generation on the collector hardly ever runs.
const RARE: i64 = 50_000;
/// Groups of cycles listed as holders.
const HOLDERS: usize = 3;
/// A group with less of the garbage explains nothing.
const WORTH_SAYING: f64 = 0.02;

/// See the [module](self).
#[derive(Debug)]
pub struct UncollectedCycles;

impl Hypothesis for UncollectedCycles {
    fn id(&self) -> &'static str {
        "uncollected-cycles"
    }

    fn claim(&self) -> &'static str {
        "cycles that nothing leads to wait for the garbage collector"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        if ask.heap.is_none() {
            let unseen = ask.resident(Owner::AnonOther) + ask.accounting.unexplained;
            return Finding::refuted(self.id(), "unreachable cycles were not looked for")
                .undecided("the Python heap was not read", unseen);
        }
        let resident = ask.resident(Owner::PythonGarbage);
        let mut finding = Finding::refuted(self.id(), said(resident, rss));
        if !noteworthy(resident, rss) {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = resident;
        weigh(&mut finding, ask);
        finding
    }
}

/// `garbage 0`, or how much.
fn said(resident: Bytes, rss: Bytes) -> String {
    if resident == Bytes(0) {
        return "garbage 0".into();
    }
    format!("unreachable cycles {}", amount(resident, rss))
}

/// Why the collector has not freed them, as a clause, and what mends it.
fn reason(ask: &Ask<'_>, first: Option<&Cycles>) -> (String, String) {
    let blind = first.and_then(|group| ask.heap.as_ref()?.type_row(group.blind?));
    if let Some(ty) = blind {
        let name = short_type(&ty.name);
        let own = ask.about.python.as_ref().map(|python| &python.image);
        let library = ty.library.as_ref().filter(|library| Some(*library) != own);
        let by = library.map_or(String::new(), |library| format!(" ({library})"));
        return (
            format!("the collector does not look through {name}{by}, which has no tp_traverse"),
            format!("do not let {name} refer back, or break the cycle when done with it"),
        );
    }
    let Some(gc) = &ask.gc else {
        return ("why the collector left them cannot be told".into(), collect());
    };
    if gc.frozen_garbage > 0 {
        return (
            format!(
                "gc.freeze() put {} aside while they were garbage already, and the collector does \
                 not look at those",
                count(gc.frozen.unwrap_or(gc.frozen_garbage), "object")
            ),
            "call gc.collect() before gc.freeze(); gc.unfreeze() lets it see them again".into(),
        );
    }
    match (gc.enabled, gc.thresholds.first()) {
        (Some(false), _) => (
            "the collector is switched off (gc.isenabled() is False)".into(),
            "call gc.enable(), or gc.collect() where a pause does not matter".into(),
        ),
        (_, Some(0)) => (
            "the collector never runs: its threshold is 0".into(),
            "call gc.set_threshold(700, 10, 10), or gc.collect() now and then".into(),
        ),
        (_, Some(first)) if *first >= RARE => (
            format!("the collector runs only after {} new objects", digits(first.unsigned_abs())),
            "lower gc.set_threshold(), or call gc.collect() now and then".into(),
        ),
        _ if gc
            .counts
            .first()
            .zip(gc.thresholds.first())
            .is_some_and(|(n, most)| n > &(most * 4)) =>
        {
            (
                "the collector does not run, though it is due: it must be switched off".into(),
                "call gc.enable(), or gc.collect() where a pause does not matter".into(),
            )
        }
        _ => (
            "they wait for a full collection, which comes only when the old objects have become a \
             quarter more"
                .into(),
            collect(),
        ),
    }
}

fn collect() -> String {
    "call gc.collect() after work that leaves cycles, or break them: weak references to the parent"
        .into()
}

fn weigh(finding: &mut Finding, ask: &Ask<'_>) {
    let (rss, target) = (ask.rss(), ask.about.target());
    let trust = ask.about.python.as_ref().map_or(Trust::Heuristic, |python| python.layout);
    let unfreed = ask.get::<Garbage>();
    let first = unfreed.cycles.first();
    let (why, mends) = reason(ask, first);
    finding.summary = format!(
        "{} is {} that nothing leads to: {why}",
        of_all(finding.explains, ask),
        count(unfreed.objects, "object"),
    );
    let Some(heap) = &ask.heap else { return };
    let telling = |group: &&Cycles| group.bytes.share_of(unfreed.bytes) >= WORTH_SAYING;
    for group in unfreed.cycles.iter().filter(telling).take(HOLDERS) {
        let closed = cycle_text::closing(ask, &group.example);
        let place = cycle_text::closing_place(ask, &group.example);
        finding.holders.push(Holder {
            path: closed.as_ref().map(|(name, _)| name.clone()),
            object: group.example.first().map_or_else(Default::default, |id| heap.addr(*id)),
            type_name: group.types.first().and_then(|ty| Some(heap.type_row(*ty)?.name.clone())),
            file: place.map(|place| place.file.to_owned()),
            line: place.and_then(|place| place.line),
            hold: crate::Hold::Retains,
            objects: group.objects,
            bytes: group.bytes,
            also_reached_from: 0,
        });
        let written = place.map_or_else(String::new, |place| format!(" ({})", at(&place)));
        let by =
            closed.map_or_else(String::new, |(name, _)| format!(", closed by {name}{written}"));
        finding.saw(
            trust,
            format!(
                "{} in {}: {}{by}",
                group.bytes,
                count(group.count, "cycle"),
                cycle_text::around(ask, &group.example)
            ),
            format!("memwhy garbage {target}"),
        );
    }
    if let Some(gc) = &ask.gc {
        let list = |numbers: &[i64]| {
            numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        finding.saw(
            trust,
            format!("gc thresholds {}, counts {}", list(&gc.thresholds), list(&gc.counts)),
            "in the program: gc.isenabled(), gc.get_threshold(), gc.get_count()",
        );
    }
    finding.remedies.push(Remedy {
        action: mends,
        expected_rss: Some(rss.minus(finding.explains)),
        note: "at best: freed pages may be kept by the allocators".into(),
        verify: format!("memwhy garbage {}: unreachable cycles near 0", ask.about.running()),
    });
}
