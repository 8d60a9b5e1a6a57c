//! Why are these objects alive: on which ways do roots lead to them?
//!
//! One object has a shortest way, and others through whoever else refers to it. Of many objects of
//! a type the ways are merged: the members of one container are one row.

use crate::analyses::reachability::{Reachability, Reached, keeps};
use crate::analyses::{Referrers, RetainedSizes};
use crate::{Ask, Meant, Path, Paths};
use memwhy_model::{Bytes, HeapGraph, Label, ObjectId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A container of so many references has members, which are alike; a smaller one has parts.
const MANY: usize = 16;
/// Referrers through which other ways are looked for.
const LOOKED_AT: usize = 10_000;

/// Ways to some objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ways {
    /// Whose they are: the type, or the one object.
    pub of: String,
    /// How many objects.
    pub objects: u64,
    /// What they take in memory.
    pub footprint: Bytes,
    /// The ways, most objects first, or shortest first for one object.
    pub rows: Vec<Way>,
    /// Ways that are not listed.
    pub more: u64,
    /// Objects that no root leads to.
    pub unreached: u64,
}

/// A way that some objects share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    /// The way to the largest of them, with `[…]` where the others have other keys.
    pub path: Path,
    /// The types on it.
    pub types: Vec<String>,
    /// How many objects.
    pub objects: u64,
    /// What they take in memory.
    pub footprint: Bytes,
    /// What would be freed with them, at least.
    pub retained: Bytes,
    /// The largest of them.
    pub example: Option<ObjectId>,
}

/// Where ways begin and how many are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// From this object, not from roots.
    pub from: Option<ObjectId>,
    /// All ways of one object, not only a shortest one.
    pub all: bool,
    /// At most so many.
    pub top: usize,
}

/// Finds the ways to what was meant.
#[must_use]
pub fn ways(ask: &Ask<'_>, meant: &Meant, wanted: &Wanted) -> Ways {
    let Some(heap) = &ask.case().heap else { return Ways::default() };
    let objects = meant.objects();
    let mut found = Ways {
        of: match meant {
            Meant::Object(object) => called(heap, *object),
            Meant::OfType(name, _) => name.clone(),
        },
        objects: objects.len() as u64,
        footprint: objects.iter().map(|id| heap.footprint(*id)).sum(),
        ..Ways::default()
    };
    match (meant, wanted.from) {
        (_, Some(from)) => between(ask, heap, from, objects, &mut found),
        (Meant::Object(object), None) => of_one(ask, heap, *object, wanted, &mut found),
        (Meant::OfType(..), None) => merged(ask, heap, objects, &mut found),
    }
    found.more = (found.rows.len().saturating_sub(wanted.top)) as u64;
    found.rows.truncate(wanted.top);
    found
}

fn called(heap: &HeapGraph, object: ObjectId) -> String {
    let row = heap.type_row(heap.type_of(object));
    let name = row.map_or("?", |row| crate::wording::short_type(&row.name));
    format!("{name} object {}", heap.addr(object))
}

fn row(ask: &Ask<'_>, heap: &HeapGraph, path: Path, object: ObjectId) -> Way {
    let type_of = |id: &ObjectId| {
        let row = heap.type_row(heap.type_of(*id));
        row.map_or_else(|| "?".to_owned(), |row| row.name.clone())
    };
    Way {
        types: path.steps.iter().map(|(id, _)| type_of(id)).collect(),
        path,
        objects: 1,
        footprint: heap.footprint(object),
        retained: ask.get::<RetainedSizes>().bytes(object),
        example: Some(object),
    }
}

/// The shortest way to one object, and one through each other object that refers to it.
fn of_one(ask: &Ask<'_>, heap: &HeapGraph, object: ObjectId, wanted: &Wanted, found: &mut Ways) {
    let reached = ask.get::<Reachability>();
    let shortest = reached.way_to(object);
    if shortest.is_empty() {
        found.unreached = 1;
        return;
    }
    let mut all = vec![shortest];
    if wanted.all {
        let referrers = ask.get::<Referrers>();
        let mut seen = HashSet::new();
        for from in referrers.of(object).iter().take(LOOKED_AT).filter(|from| seen.insert(**from)) {
            let mut way = reached.way_to(*from);
            if !way.is_empty() && !way.contains(&object) {
                way.push(object);
                all.push(way);
            }
        }
        all.sort_by_key(Vec::len);
        all.dedup();
    }
    let paths = Paths::new(ask);
    found.rows = all.iter().map(|way| row(ask, heap, paths.along(way), object)).collect();
}

/// The shortest way from one object to any of some others.
fn between(
    ask: &Ask<'_>,
    heap: &HeapGraph,
    from: ObjectId,
    objects: &[ObjectId],
    found: &mut Ways,
) {
    let wanted: HashSet<ObjectId> = objects.iter().copied().collect();
    let mut before: HashMap<ObjectId, ObjectId> = HashMap::from([(from, from)]);
    let mut todo = VecDeque::from([from]);
    while let Some(object) = todo.pop_front() {
        if wanted.contains(&object) && object != from {
            let mut way = vec![object];
            let mut at = object;
            while at != from {
                at = before.get(&at).copied().unwrap_or(from);
                way.push(at);
            }
            way.reverse();
            found.rows.push(row(ask, heap, Paths::new(ask).along(&way), object));
            return;
        }
        for to in keeps(heap, object) {
            if !before.contains_key(to) && (to.0 as usize) < heap.len() {
                before.insert(*to, object);
                todo.push_back(*to);
            }
        }
    }
    found.unreached = found.objects;
}

/// What ways have in common is told by a number: that of the object itself where it is a part of
/// what has it, that of its type where it is a member.
struct Signatures<'a> {
    heap: &'a HeapGraph,
    reached: &'a Reached,
    known: HashMap<ObjectId, u64>,
}

impl Signatures<'_> {
    fn of(&mut self, way: &[ObjectId]) -> u64 {
        let mut signature = 0;
        let mut from = None;
        for object in way {
            signature = match (self.known.get(object), from) {
                (Some(known), _) => *known,
                (None, None) => hash((u64::from(object.0), 0u64, 1u8)),
                (None, Some(from)) => {
                    let references = self.heap.references(from);
                    let same = self.heap.type_of(*object) == self.heap.type_of(from);
                    if same && references.len() <= MANY {
                        // The next one of a chain.
                        signature
                    } else if references.len() > MANY && !self.is_known_by_name(*object) {
                        hash((signature, u64::from(self.heap.type_of(*object).0), 2u8))
                    } else {
                        let at = references.iter().position(|to| to == object).unwrap_or(0);
                        let own =
                            if references.len() > MANY { u64::from(object.0) } else { at as u64 };
                        hash((signature, own, 3u8))
                    }
                }
            };
            self.known.insert(*object, signature);
            from = Some(*object);
        }
        signature
    }

    /// Members of namespaces are no members of a collection: modules, and what modules name.
    fn is_known_by_name(&self, object: ObjectId) -> bool {
        self.reached.is_named(self.heap, object)
    }
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The ways to many objects, those that differ only in the members of collections as one.
fn merged(ask: &Ask<'_>, heap: &HeapGraph, objects: &[ObjectId], found: &mut Ways) {
    let reached = ask.get::<Reachability>();
    let mut signatures = Signatures { heap, reached: &reached, known: HashMap::new() };
    let mut rows: HashMap<u64, (u32, u64, Bytes, ObjectId)> = HashMap::new();
    let mut group_of: HashMap<ObjectId, u32> = HashMap::new();
    for object in objects {
        let way = reached.way_to(*object);
        if way.is_empty() {
            found.unreached += 1;
            continue;
        }
        let footprint = heap.footprint(*object);
        let next = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let row = rows.entry(signatures.of(&way)).or_insert((next, 0, Bytes(0), *object));
        row.1 += 1;
        row.2 += footprint;
        if heap.footprint(row.3) < footprint {
            row.3 = *object;
        }
        group_of.insert(*object, row.0);
    }
    let kept = ask.get::<RetainedSizes>();
    let retained = kept.of_groups(rows.len(), |id| group_of.get(&id).copied());
    let mut rows: Vec<_> = rows.into_values().collect();
    rows.sort_by(|a, b| (b.1, b.2, a.0).cmp(&(a.1, a.2, b.0)));
    let paths = Paths::new(ask);
    found.rows = rows
        .into_iter()
        .map(|(group, count, footprint, example)| {
            let way = reached.way_to(example);
            let path = if count > 1 {
                paths.of_members(&way, |from, to| {
                    heap.references(from).len() > MANY && !reached.is_named(heap, to)
                })
            } else {
                paths.along(&way)
            };
            Way {
                objects: count,
                footprint,
                retained: retained.get(group as usize).copied().unwrap_or_default(),
                ..row(ask, heap, path, example)
            }
        })
        .collect();
}

/// A label of a member that stands for all of them.
pub(crate) fn of_any(label: Label) -> Label {
    match label {
        Label::Key(_) | Label::Index(_) => Label::Key("…".into()),
        Label::Attribute(_)
        | Label::IsKey
        | Label::Element
        | Label::Local(_)
        | Label::Captured(_)
        | Label::Field(_)
        | Label::Word(_) => label,
    }
}
