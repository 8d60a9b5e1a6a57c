//! Hypothesis: the process is big because its live Python objects are.
//!
//! The complaint: RSS follows the load up, or grows with time; whatever is freed is used again.
//!
//! *Speaks for it:* data (objects that are not the program itself) takes much of RSS. *Speaks
//! against it:* it does not, or RSS is mostly free memory. Whether that much data is legitimate
//! nobody can tell from outside; from which name it is reachable, and of which types it is, can be
//! told, and decides where to look.

use super::Hypothesis;
use crate::analyses::holders::pointed_at;
use crate::analyses::{By, Elsewhere, Histogram, Holders, Immortal, Keepers, Kept, Program};
use crate::wording::{amount, count, of_all, percent, short_type};
use crate::{Ask, Finding, Hold, Holder, NOTEWORTHY_BYTES, Remedy, Standing, holders};
use memwhy_model::{Bytes, Owner, Trust};

/// Data of a quarter of RSS is what a program that works on data has: below it nobody would say
/// that the data is why the process is big.
const DATA_SHARE: f64 = 0.25;

/// A name that reaches less of the data than this explains nothing.
const WORTH_NAMING: f64 = 0.02;

/// Holders listed: what the first three do not show, the next ones do not either.
const HOLDERS: usize = 5;

/// Part of all data that one name has to reach before it is called the holder.
const HOLDS_MUCH: f64 = 0.30;

/// What an object alone keeps is the better answer, if it is so much of what a name reaches.
const KEEPS_ENOUGH: f64 = 0.5;

/// See the [module](self).
#[derive(Debug)]
pub struct PythonObjects;

impl Hypothesis for PythonObjects {
    fn id(&self) -> &'static str {
        "python-objects"
    }

    fn claim(&self) -> &'static str {
        "live Python objects are what makes the process big"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        let resident = ask.resident(Owner::PythonObjects);
        let Some(heap) = &ask.heap else {
            let unseen = ask.resident(Owner::AnonOther) + resident + ask.accounting.unexplained;
            return Finding::refuted(self.id(), "Python objects were not read")
                .undecided("the Python heap was not read", unseen);
        };
        let text = ask.get::<Program>();
        // Footprints count what is not resident too (swap, buffers that nobody touched yet).
        let data = Bytes(resident.minus(text.footprint).0.min(text.data.0));
        // What other causes account for nobody holds on purpose.
        let data = data.minus(ask.get::<Kept>().bytes).minus(ask.get::<Immortal>().bytes);
        let data = data.minus(*ask.get::<Elsewhere>());
        // Classes are the program, unless it makes them while it runs.
        let data = Bytes((data + holders::made_classes(ask)).0.min(resident.0));
        let held = who_holds(ask);
        let biggest = held.first().cloned();
        let most = biggest.as_ref().map_or_else(String::new, |holder| match holder.hold {
            Hold::Retains => format!(", nothing keeps more than {}", holder.bytes),
            Hold::Reaches => format!(", no name reaches more than {}", holder.bytes),
        });
        let summary = format!("Python data {}{most}", amount(data, rss));
        let mut finding = Finding::refuted(self.id(), summary);
        if !heap.complete() {
            finding.confidence = finding.confidence.less();
        }
        if data < NOTEWORTHY_BYTES || data.share_of(rss) < DATA_SHARE {
            if !heap.complete() && resident < NOTEWORTHY_BYTES {
                return finding.undecided("not every object could be read", resident);
            }
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = data;
        let worth = |holder: &&Holder| holder.bytes.share_of(data) >= WORTH_NAMING;
        finding.holders = held.iter().filter(worth).take(HOLDERS).cloned().collect();
        weigh(&mut finding, ask, data, biggest.as_ref());
        holders::tell(&mut finding, ask);
        finding
    }
}

/// Who holds the data, most first: objects that alone keep it, or where a web of objects is held at
/// many ends, so that none of them keeps much alone, the names from which it is reachable.
fn who_holds(ask: &Ask<'_>) -> Vec<Holder> {
    let (keepers, names) = (ask.get::<Keepers>(), ask.get::<Holders>());
    let kept = keepers.first().map_or(Bytes(0), |holder| holder.bytes);
    let reached = names.telling().next().map_or(Bytes(0), |holder| holder.bytes);
    if kept.share_of(reached) >= KEEPS_ENOUGH {
        keepers.to_vec()
    } else {
        names.telling().cloned().collect()
    }
}

/// Fills in a finding that holds.
fn weigh(finding: &mut Finding, ask: &Ask<'_>, data: Bytes, biggest: Option<&Holder>) {
    let (rss, pid, running) = (ask.rss(), ask.about.target(), ask.about.running());
    let trust = ask.about.python.as_ref().map_or(Trust::Heuristic, |python| python.layout);
    let text = ask.get::<Program>();
    let types = ask.get::<Histogram>();
    let top: Vec<String> = types
        .by(By::Footprint)
        .iter()
        .take(3)
        .map(|row| {
            let name = short_type(&row.name);
            format!("{} {name} {}", crate::wording::digits(row.count), row.footprint)
        })
        .collect();
    finding.summary = format!(
        "{} is Python objects in use, the program's own code not counted",
        of_all(data, ask)
    );
    finding.saw(
        trust,
        format!(
            "{}, most in: {}; the program itself (modules, classes, code) takes {}",
            count(types.objects, "object"),
            top.join(", "),
            text.footprint
        ),
        format!("memwhy heap {pid} --top 20"),
    );
    let whole = text.data;
    let holder = biggest.filter(|holder| holder.bytes.share_of(whole) >= HOLDS_MUCH);
    let (action, expected_rss, note) = if let Some(holder) = holder {
        finding.saw(
            trust,
            format!(
                "{} in {} {} {}, {} of all data",
                holder.bytes,
                count(holder.objects, "object"),
                holder.hold.said(),
                pointed_at(holder),
                percent(holder.bytes.share_of(whole)),
            ),
            format!("memwhy heap {pid}"),
        );
        (
            format!("bound or empty {}", pointed_at(holder)),
            Some(rss.minus(holder.bytes)),
            match holder.hold {
                Hold::Retains => "freed pages may be kept by malloc: then memwhy says so",
                Hold::Reaches => {
                    "at best: what other names reach too stays, and freed pages may be kept by malloc"
                }
            },
        )
    } else {
        finding.saw(
            trust,
            biggest.map_or_else(
                || "no name leads to the data".to_owned(),
                |holder| {
                    let verb = match holder.hold {
                        Hold::Retains => "keeps",
                        Hold::Reaches => "reaches",
                    };
                    format!("no single name has it: {} {verb} {}", pointed_at(holder), holder.bytes)
                },
            ),
            format!("memwhy heap {pid}"),
        );
        (
            "hold less data: see which type grows between two looks".to_owned(),
            None,
            "whether this much data is needed cannot be told from outside",
        )
    };
    let held = ask.get::<Holders>();
    if held.unreached.share_of(whole) >= HOLDS_MUCH {
        let gc = match &ask.gc {
            Some(gc) if gc.enabled == Some(false) => "; the garbage collector is switched off",
            Some(_) | None => "",
        };
        finding.saw(
            trust,
            format!(
                "{} of data in {} is reachable from no name: held by C code or closures, or \
                 garbage not yet collected{gc}",
                held.unreached,
                count(held.unreached_objects, "object"),
            ),
            "in the program: gc.isenabled(), gc.collect() returns the number of objects it freed",
        );
    }
    finding.remedies.push(Remedy {
        action,
        expected_rss,
        note: note.into(),
        verify: format!("memwhy heap {running}, twice under the same load: the types stop growing"),
    });
}

#[cfg(test)]
mod tests {
    use super::{Hypothesis, PythonObjects};
    use crate::{Ask, Finding, Standing};
    use memwhy_model::{
        Addr, Bytes, Case, Flags, HeapBuilder, ObjectId, Owner, Root, RootKind, TypeId, TypeRow,
    };

    /// A dict that refers to a buffer of so many MiB, named or not, in a process of 100 MiB.
    fn judge(mib: u64, name: Option<&str>) -> Finding {
        let mut heap = HeapBuilder::default();
        heap.push(Addr(0x40), TypeId(0), 64, Flags::TRACKED);
        heap.push(Addr(0x80), TypeId(1), 64, Flags::default());
        heap.seal_objects();
        heap.set_size(ObjectId(0), 64, 64, 0);
        heap.set_size(ObjectId(1), 64, mib << 20, mib << 20);
        heap.push_references([ObjectId(1)]);
        heap.push_references([]);
        heap.roots(name.map(|name| Root {
            kind: RootKind::Name,
            name: name.into(),
            object: ObjectId(0),
            file: Some("app/cache.py".into()),
            line: Some(31),
        }));
        let types = ["builtins.dict", "builtins.bytearray"];
        let types = types.map(|name| TypeRow { name: name.into(), ..TypeRow::default() });
        let mut case = Case { heap: Some(heap.finish(types.into())), ..Case::default() };
        case.accounting = case
            .accounting
            .with(Owner::PythonObjects, Bytes::mib(mib))
            .with(Owner::FileClean, Bytes::mib(100 - mib));
        PythonObjects.judge(&Ask::new(&case))
    }

    #[test]
    fn much_data_under_one_name_names_the_holder() {
        let finding = judge(80, Some("app.cache.STORE"));
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(80)));
        assert_eq!(finding.holders[0].path.as_deref(), Some("app.cache.STORE"));
        assert!(finding.remedies[0].action.ends_with("app.cache.STORE (dict, app/cache.py:31)"));
        assert!(finding.remedies[0].expected_rss.is_some());
    }

    #[test]
    fn data_without_a_name_holds_but_predicts_nothing() {
        let finding = judge(80, None);
        assert_eq!(finding.standing, Standing::Holds);
        assert_eq!(finding.remedies[0].expected_rss, None);
    }

    #[test]
    fn little_data_is_ruled_out_with_its_number() {
        let finding = judge(10, Some("app.cache.STORE"));
        assert_eq!(finding.standing, Standing::Refuted);
        assert!(finding.summary.starts_with("Python data 10.0 MiB (10%)"), "{}", finding.summary);
    }

    #[test]
    fn reachable_is_never_called_retained() {
        let said = format!("{:?}", judge(80, Some("app.cache.STORE")));
        assert!(said.contains("reachable from") && !said.contains("retained"));
    }
}
