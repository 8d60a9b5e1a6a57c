//! Does each object refer to what the collector of CPython visits, and to nothing else?
//!
//! The truth is `gc.get_referents` of every object, asked in a forked copy while the target stands
//! still (`workloads/oracle.py`, which adds the keys of dicts and the members of code objects: no
//! Python code learns of them otherwise). What is seen beyond it is told apart by kind: references
//! that are true but not visited, each for a reason that [`REASONS`] names, and the rest, which is
//! wrong until shown otherwise. `docs/references.md` has the figures.

use memwhy::model::{Addr, Flags, HeapGraph, ObjectId, TypeId};
use memwhy_testkit::Truth;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Why a reference that was seen is none that the collector visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// Types without `tp_traverse`, types that C defines, links of caches.
    NotCollected,
    /// `d_name`, `d_qualname`.
    NameOfDescriptor,
    /// `ht_name`, `ht_qualname`, `ht_slots`, `tp_subclasses`, `tp_bases` of `type` itself.
    PartOfType,
    /// `md_name`, `md_def`, and what C code keeps in the state without telling.
    PartOfModule,
    /// Keys that are strings, of dicts that no other kind has.
    KeyOfDict,
    /// The chain of an `lru_cache`: what its links remember is visited instead.
    LinkOfCache,
    /// The dict of an instance whose values are visited instead, 3.13.0.
    DictOfInstance,
    /// A field that the `tp_traverse` of a C type leaves out, one of [`LEFT_OUT`].
    FieldOfC,
    /// What a call that runs has on its stack.
    StackOfCall,
    /// None: a word that looks like a reference.
    Unexplained,
}

const REASONS: [(Reason, &str); 10] = [
    (Reason::NotCollected, "of objects that the collector never visits"),
    (Reason::NameOfDescriptor, "names of descriptors"),
    (Reason::PartOfType, "names, slots and lists of subclasses of types"),
    (Reason::PartOfModule, "names, definitions and state of modules"),
    (Reason::KeyOfDict, "keys of frozen dicts that are strings"),
    (Reason::LinkOfCache, "links of caches"),
    (Reason::DictOfInstance, "dicts of instances"),
    (Reason::FieldOfC, "fields that C types do not show"),
    (Reason::StackOfCall, "on the stack of a running call"),
    (Reason::Unexplained, "unexplained"),
];

/// Fields of C types that are references and not visited: the source, the target.
const LEFT_OUT: [(&str, &str); 16] = [
    ("builtins.StgDict", "builtins.tuple"),
    ("builtins.coroutine", "builtins.code"),
    ("builtins.generator", "builtins.code"),
    ("builtins.set", "builtins.str"), // the dummy of 2.7
    ("ctypes.CField", "builtins.str"),
    ("functools.partial", "functools._PlaceholderType"),
    ("typing.TypeVar", "builtins.str"),
    ("_io.BufferedRWPair", "_io.BufferedReader"),
    ("_io.BufferedRWPair", "_io.BufferedWriter"),
    ("_io.BytesIO", "builtins.bytes"),
    ("_io.StringIO", "builtins.str"),
    ("_json.Scanner", "builtins.dict"),
    ("_thread._local", "builtins.builtin_function_or_method"),
    ("_thread._local", "builtins.str"),
    ("thread._local", "builtins.builtin_function_or_method"),
    ("thread._local", "builtins.str"),
];

/// Of 1000 references that the collector visits so many have to be seen.
const RECALL: usize = 999;
/// Of 1000 that are seen so many have to be visited.
const PRECISION: usize = 970;
/// Of 10,000 that are seen no more may be without a reason.
const UNEXPLAINED: usize = 2;

fn part(of: usize, all: usize) -> f64 {
    let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    if all == 0 { 100.0 } else { 100.0 * number(of) / number(all) }
}

struct Seen<'a> {
    heap: &'a HeapGraph,
    truth: &'a Truth,
    /// The types of types.
    metatypes: BTreeSet<TypeId>,
}

impl<'a> Seen<'a> {
    fn new(heap: &'a HeapGraph, truth: &'a Truth) -> Self {
        let types = heap.types().iter().filter_map(|row| heap.find(row.addr));
        Self { heap, truth, metatypes: types.map(|id| heap.type_of(id)).collect() }
    }

    /// The name of the type of an object, as every release spells it.
    fn kind(&self, id: ObjectId) -> String {
        let row = self.heap.type_row(self.heap.type_of(id));
        row.map_or_else(|| "?".to_owned(), |row| row.name.replace("__builtin__", "builtins"))
    }

    fn kind_at(&self, at: Addr) -> String {
        self.heap.find(at).map_or_else(|| "?".to_owned(), |id| self.kind(id))
    }

    fn is_type(&self, id: ObjectId) -> bool {
        self.metatypes.contains(&self.heap.type_of(id))
    }

    /// Whether the class was made by a `class` statement.
    fn is_of_python(&self, id: ObjectId) -> bool {
        let row = self.heap.type_row(self.heap.type_of(id));
        row.is_some_and(|row| row.library.is_none() && !row.name.starts_with("builtins."))
    }

    fn reason(&self, from: ObjectId, to: Addr) -> Reason {
        let (kind, target) = (self.kind(from), self.kind_at(to));
        let collected =
            self.heap.type_row(self.heap.type_of(from)).is_some_and(|row| row.collected);
        // Without GIL code is visited for its constants alone.
        let code = kind == "builtins.code";
        if !collected || code || self.heap.flags(from).has(Flags::STATIC) {
            Reason::NotCollected
        } else if kind.ends_with("_descriptor") && target == "builtins.str" {
            Reason::NameOfDescriptor
        } else if self.is_type(from) {
            Reason::PartOfType
        } else if kind == "builtins.module" {
            Reason::PartOfModule
        } else if kind == "builtins.frozendict" && target == "builtins.str" {
            Reason::KeyOfDict
        } else if kind == "functools._lru_cache_wrapper" && target == "functools._lru_list_elem" {
            Reason::LinkOfCache
        } else if self.is_of_python(from) && target == "builtins.dict" {
            Reason::DictOfInstance
        } else if LEFT_OUT.contains(&(kind.as_str(), target.as_str())) {
            Reason::FieldOfC
        } else if kind == "builtins.frame" {
            Reason::StackOfCall
        } else {
            Reason::Unexplained
        }
    }

    /// Whether `from` refers to `to` through one or two objects that the collector passes by: a
    /// cache to what its links remember, a type of `ctypes` to what its dict knows.
    fn through_another(&self, from: ObjectId, to: Addr) -> bool {
        let of = |id: ObjectId| self.heap.references(id).iter().copied();
        let Some(to) = self.heap.find(to) else { return false };
        of(from).any(|one| {
            let kind = self.kind(one);
            let passed_by = kind == "functools._lru_list_elem" || kind == "builtins.StgDict";
            passed_by && of(one).any(|end| end == to)
        })
    }
}

/// The figures of one interpreter.
#[derive(Default)]
struct Tally {
    stated: usize,
    found: usize,
    seen: usize,
    extra: BTreeMap<Reason, usize>,
    /// By kind of source and target.
    missed: BTreeMap<String, usize>,
    unexplained: BTreeMap<String, usize>,
}

impl Tally {
    fn of(seen: &Seen<'_>) -> Self {
        let (heap, truth) = (seen.heap, seen.truth);
        let mut tally = Self::default();
        for at in 0..truth.len() {
            let addr = truth.addresses[at];
            let Some(id) = heap.find(addr) else { continue };
            let class = heap.type_row(heap.type_of(id)).map_or(Addr(0), |row| row.addr);
            let ours: BTreeSet<Addr> =
                heap.references(id).iter().map(|id| heap.addr(*id)).collect();
            let theirs: BTreeSet<Addr> =
                truth.referents(at).unwrap_or_default().iter().copied().collect();
            // What was not found itself is missed already, and counted there.
            for target in theirs.iter().filter(|target| heap.find(**target).is_some()) {
                tally.stated += 1;
                // That an object holds its class is a column of its own here.
                let held = ours.contains(target) || *target == class;
                if held || seen.through_another(id, *target) {
                    tally.found += 1;
                } else {
                    let edge = format!("{} -> {}", seen.kind(id), seen.kind_at(*target));
                    *tally.missed.entry(edge).or_default() += 1;
                }
            }
            tally.seen += ours.len();
            for target in ours.difference(&theirs) {
                let reason = seen.reason(id, *target);
                *tally.extra.entry(reason).or_default() += 1;
                if reason == Reason::Unexplained {
                    let edge = format!("{} -> {}", seen.kind(id), seen.kind_at(*target));
                    *tally.unexplained.entry(edge).or_default() += 1;
                }
            }
        }
        tally
    }

    fn count(&self, reason: Reason) -> usize {
        self.extra.get(&reason).copied().unwrap_or(0)
    }

    fn judge(&self, label: &str, faults: &mut Vec<String>) -> String {
        let extra: usize = self.extra.values().sum();
        let mut line = format!(
            "{label:<15} | visited {} | seen of them {:.3} % | seen in all {} | visited of them {:.2} %",
            self.stated,
            part(self.found, self.stated),
            self.seen,
            part(self.seen - extra, self.seen),
        );
        for (reason, words) in REASONS {
            let _ = write!(line, " | {words} {}", self.count(reason));
        }
        let most = |edges: &BTreeMap<String, usize>| {
            let mut edges: Vec<_> = edges.iter().map(|(edge, n)| (*n, edge.clone())).collect();
            edges.sort_unstable_by(|a, b| b.cmp(a));
            edges.truncate(30);
            edges
        };
        eprintln!("{line}\n  missed {:?}", most(&self.missed));
        eprintln!("  unexplained {:?}", most(&self.unexplained));
        let unexplained = self.count(Reason::Unexplained);
        if self.found * 1000 < self.stated * RECALL {
            faults.push(format!("{label}: {} of {} seen", self.found, self.stated));
        }
        if (self.seen - extra) * 1000 < self.seen * PRECISION {
            faults.push(format!("{label}: {extra} of {} are not visited", self.seen));
        }
        if unexplained * 10_000 > self.seen * UNEXPLAINED {
            faults.push(format!("{label}: {unexplained} of {} are unexplained", self.seen));
        }
        line
    }
}

/// Compares the references of every object, adds to `faults` what is not as it has to be, and says
/// how many of those that the collector visits were seen. A line of figures is left in
/// `target/tmp/edges/LABEL.txt`.
pub(crate) fn judge(
    heap: &HeapGraph,
    truth: &Truth,
    label: &str,
    faults: &mut Vec<String>,
) -> String {
    let tally = Tally::of(&Seen::new(heap, truth));
    let line = tally.judge(label, faults);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("edges");
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(folder.join(format!("{label}.txt")), line + "\n")
        .unwrap_or_else(|error| panic!("{error}"));
    let (found, stated) = (tally.found, tally.stated);
    format!(" | edges {found}/{stated} ({:.3} %)", part(found, stated))
}
