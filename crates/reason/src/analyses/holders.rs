//! Who holds it? From which names are how many bytes reachable?
//!
//! *Reachable*, not *retained*: an object that two names lead to is counted with both. A search
//! ends at the program itself (modules, classes, functions, code, frames; [`super::program::PROGRAM_TYPES`]),
//! since from any of them nearly everything is reachable.

use super::Analysis;
use super::program::{Program, program_objects};
use crate::finding::{Hold, Holder};
use crate::wording::short_type;
use crate::{Ask, wording};
use memwhy_model::{Bytes, Case, HeapGraph, ObjectId, RootKind};
use std::collections::HashMap;

/// References followed in all, so that many names that each reach nearly everything cannot make
/// this explode: about two seconds of work.
const BUDGET: u64 = 100_000_000;

/// A name that reaches another one tells less than that other if the other has nearly as much:
/// from this share on only the other is shown.
const NEARLY_ALL: f64 = 0.9;

/// Other names remembered of each name: twenty thousand names would otherwise remember all others.
const NAMES_REACHED: usize = 256;

/// No name reached it.
const NOBODY: u32 = u32::MAX;

/// See the [module](self).
#[derive(Debug)]
pub struct Holders;

/// What is reachable from where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldBy {
    /// Each name, most bytes first; names that reach the same objects are one.
    pub holders: Vec<Holder>,
    /// Names that were not followed because the budget was used up.
    pub not_followed: u64,
    /// Names there are.
    pub names: u64,
    /// Objects that no name followed leads to, the program itself left out.
    pub unreached_objects: u64,
    /// Bytes of those.
    pub unreached: Bytes,
    /// For each holder, whether it says more than another name that it reaches.
    telling: Vec<bool>,
    /// For each object, the place in `starts` of the name that reached it first.
    first: Vec<u32>,
    starts: Vec<Start>,
}

/// A name to start from, with all others that name the same object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    name: String,
    object: ObjectId,
    file: Option<String>,
    line: Option<u32>,
    aliases: u64,
}

impl HeldBy {
    /// The shortest name from which `object` is reachable, with its file and line.
    #[must_use]
    pub fn name_of(&self, object: ObjectId) -> Option<(&str, Option<&str>, Option<u32>)> {
        let start = self.starts.get(*self.first.get(object.0 as usize)? as usize)?;
        Some((&start.name, start.file.as_deref(), start.line))
    }

    /// The holders to show: each of those left out reaches another name that has nearly all of it.
    pub fn telling(&self) -> impl Iterator<Item = &Holder> {
        self.holders.iter().zip(&self.telling).filter(|(_, telling)| **telling).map(|(h, _)| h)
    }
}

impl Analysis for Holders {
    /// Empty where there is no heap.
    type Answer = HeldBy;
    const NAME: &'static str = "holders";

    fn compute(ask: &Ask<'_>) -> HeldBy {
        let Some(heap) = &ask.heap else { return HeldBy::default() };
        let mut answer = follow(heap, starts(heap, ask), BUDGET);
        let program = ask.get::<Program>();
        let nobodys = |id: &ObjectId| answer.first.get(id.0 as usize) == Some(&NOBODY);
        let unreached: Vec<ObjectId> =
            heap.ids().filter(nobodys).filter(|id| !program.has(*id)).collect();
        answer.unreached_objects = unreached.len() as u64;
        answer.unreached = unreached.into_iter().map(|id| heap.footprint(id)).sum();
        answer
    }
}

/// The names of the heap and the local variables of running frames, those that tell most first:
/// members of modules, then local variables, then modules; the shorter the better.
fn starts(heap: &HeapGraph, case: &Case) -> Vec<Start> {
    let of_people = heap.roots().iter().filter(|root| root.kind == RootKind::Name);
    let named = of_people.map(|root| Start {
        name: root.name.clone(),
        object: root.object,
        file: root.file.clone(),
        line: root.line,
        aliases: 0,
    });
    let locals = case.threads.iter().flat_map(|thread| {
        thread.frames.iter().flat_map(move |frame| {
            frame.locals.iter().filter_map(move |local| {
                Some(Start {
                    name: format!(
                        "{} in {}() of thread {}",
                        local.name, frame.function, thread.tid
                    ),
                    object: heap.find(local.value)?,
                    file: Some(frame.file.clone()).filter(|file| !file.is_empty()),
                    line: frame.line,
                    aliases: 0,
                })
            })
        })
    });
    let is_module =
        |id| heap.type_row(heap.type_of(id)).is_some_and(|ty| short_type(&ty.name) == "module");
    let mut ranked: Vec<(u8, Start)> = named
        .map(|start| (if is_module(start.object) { 2 } else { 0 }, start))
        .chain(locals.map(|start| (1, start)))
        .collect();
    ranked.sort_by(|(a_rank, a), (b_rank, b)| {
        (a_rank, a.name.len(), &a.name).cmp(&(b_rank, b.name.len(), &b.name))
    });
    let mut places: HashMap<ObjectId, usize> = HashMap::new();
    let mut starts: Vec<Start> = Vec::new();
    for (_, start) in ranked {
        if let Some(known) = places.get(&start.object).and_then(|&at| starts.get_mut(at)) {
            known.aliases += u64::from(known.name != start.name);
        } else {
            places.insert(start.object, starts.len());
            starts.push(start);
        }
    }
    starts
}

/// A set of objects, by size and a sum of scattered ids: equal sets have equal marks, and others
/// practically never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Mark {
    objects: u64,
    bytes: u64,
    ids: u64,
}

impl Mark {
    fn add(&mut self, id: ObjectId, bytes: Bytes) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(bytes.0);
        // The finalizer of splitmix64 scatters neighbouring ids over 64 bits.
        let mut x = u64::from(id.0).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.ids = self.ids.wrapping_add(x ^ (x >> 31));
    }
}

/// How the search from one name ended.
enum Ended {
    /// With everything that is reachable.
    All(Mark),
    /// As soon as it was clear that the same is reachable as by this holder.
    SameAs(usize),
    /// For want of budget.
    CutShort,
}

/// The state shared by all searches.
struct Search<'a> {
    heap: &'a HeapGraph,
    stops: Vec<bool>,
    /// For each object, the search that saw it last, and the one that saw it first.
    last: Vec<u32>,
    first: Vec<u32>,
    /// The objects that have a name, and its place in `starts`; bits first, for they are cheap.
    is_named: Vec<bool>,
    names: HashMap<ObjectId, u32>,
    /// For each name, its place in `found`, once it was searched from.
    holder_of: Vec<Option<usize>>,
    /// Each holder with the names that it reaches.
    found: Vec<(Holder, Vec<u32>)>,
    left: u64,
    todo: Vec<ObjectId>,
}

impl<'a> Search<'a> {
    fn new(heap: &'a HeapGraph, starts: &[Start], budget: u64) -> Self {
        let mut is_named = vec![false; heap.len()];
        for start in starts {
            if let Some(named) = is_named.get_mut(start.object.0 as usize) {
                *named = true;
            }
        }
        Self {
            heap,
            stops: program_objects(heap),
            last: vec![NOBODY; heap.len()],
            first: vec![NOBODY; heap.len()],
            is_named,
            names: (0u32..).zip(starts).map(|(n, start)| (start.object, n)).collect(),
            holder_of: vec![None; starts.len()],
            found: Vec::new(),
            left: budget,
            todo: Vec::new(),
        }
    }

    /// The holder that a name belongs to, if its search is over.
    fn holder_of(&self, name: u32) -> Option<usize> {
        self.holder_of.get(name as usize).copied().flatten()
    }

    /// Everything reachable from one name. The names met on the way are added to `reaches`.
    fn from(&mut self, name: u32, object: ObjectId, reaches: &mut Vec<u32>) -> Ended {
        let n = object.0 as usize;
        if self.left == 0 || n >= self.last.len() {
            return Ended::CutShort;
        }
        // Who reaches this name and is reached by it reaches the same: that is how names of one
        // large web of objects, of which there may be thousands, are told at once.
        let reached_by = [self.first[n], self.last[n]].map(|name| self.holder_of(name));
        let mut mark = Mark::default();
        self.todo.clear();
        self.todo.push(object);
        self.last[n] = name;
        while let Some(id) = self.todo.pop() {
            let n = id.0 as usize;
            mark.add(id, self.heap.footprint(id));
            if self.first[n] == NOBODY {
                self.first[n] = name;
            }
            if self.is_named[n]
                && let Some(&met) = self.names.get(&id).filter(|met| **met != name)
            {
                let holder = self.holder_of(met);
                if let Some(same) = holder.filter(|_| reached_by.contains(&holder)) {
                    return Ended::SameAs(same);
                }
                if reaches.len() < NAMES_REACHED {
                    reaches.push(met);
                }
            }
            let references = self.heap.references(id);
            if references.len() as u64 > self.left {
                self.left = 0;
                return Ended::CutShort;
            }
            self.left -= references.len() as u64;
            for &to in references {
                let n = to.0 as usize;
                let stop = self.stops.get(n).copied().unwrap_or(true);
                if !stop && self.last[n] != name {
                    self.last[n] = name;
                    self.todo.push(to);
                }
            }
        }
        Ended::All(mark)
    }
}

fn follow(heap: &HeapGraph, starts: Vec<Start>, budget: u64) -> HeldBy {
    let mut answer =
        HeldBy { names: starts.iter().map(|s| 1 + s.aliases).sum(), ..HeldBy::default() };
    let mut search = Search::new(heap, &starts, budget);
    let mut same: HashMap<Mark, usize> = HashMap::new();
    for (name, start) in (0u32..).zip(&starts) {
        let mut reaches = Vec::new();
        let known = match search.from(name, start.object, &mut reaches) {
            Ended::CutShort => {
                answer.not_followed += 1 + start.aliases;
                continue;
            }
            Ended::SameAs(holder) => Some(holder),
            Ended::All(mark) => {
                let known = same.get(&mark).copied();
                if known.is_none() {
                    same.insert(mark, search.found.len());
                    search.holder_of[name as usize] = Some(search.found.len());
                    search.found.push((holder(heap, start, mark), reaches));
                }
                known
            }
        };
        if let Some((holder, _)) = known.and_then(|known| search.found.get_mut(known)) {
            holder.also_reached_from += 1 + start.aliases;
            search.holder_of[name as usize] = known;
        }
    }
    let mut ranked: Vec<(bool, Holder)> = Vec::with_capacity(search.found.len());
    for (at, (holder, reaches)) in search.found.iter().enumerate() {
        let nearly_all = reaches.iter().filter_map(|name| search.holder_of(*name)).any(|other| {
            let other_has = search.found.get(other).map_or(Bytes(0), |(other, _)| other.bytes);
            other != at && other_has.share_of(holder.bytes) >= NEARLY_ALL
        });
        ranked.push((!nearly_all, holder.clone()));
    }
    ranked.sort_by(|(_, a), (_, b)| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    (answer.telling, answer.holders) = ranked.into_iter().unzip();
    answer.first = search.first;
    answer.starts = starts;
    answer
}

fn holder(heap: &HeapGraph, start: &Start, mark: Mark) -> Holder {
    Holder {
        path: Some(start.name.clone()),
        object: heap.addr(start.object),
        type_name: heap.type_row(heap.type_of(start.object)).map(|ty| ty.name.clone()),
        file: start.file.clone(),
        line: start.line,
        hold: Hold::Reaches,
        objects: mark.objects,
        bytes: Bytes(mark.bytes),
        also_reached_from: start.aliases,
    }
}

/// `app.cache.STORE (dict, app/cache.py:31)`: a holder as a person would point at it.
#[must_use]
pub fn pointed_at(holder: &Holder) -> String {
    let place = holder.file.as_ref().map(|file| match holder.line {
        Some(line) => format!("{file}:{line}"),
        None => file.clone(),
    });
    let ty = holder.type_name.as_deref().map(|name| wording::short_type(name).to_owned());
    let details: Vec<String> = ty.into_iter().chain(place).collect();
    let path = holder.path.clone().unwrap_or_else(|| holder.object.to_string());
    if details.is_empty() { path } else { format!("{path} ({})", details.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::{HeldBy, Holders, follow, starts};
    use crate::Ask;
    use memwhy_model::{
        Addr, Bytes, Case, Flags, Frame, HeapBuilder, HeapGraph, Local, ObjectId, Root, RootKind,
        ThreadFacts, TypeId, TypeRow,
    };

    const TYPES: [&str; 4] = ["builtins.module", "builtins.dict", "builtins.list", "app.Thing"];

    /// Objects of 64 bytes, 0x40 apart: their types and what they refer to.
    fn heap(objects: &[(u32, &[u32])], roots: &[(&str, u32)]) -> HeapGraph {
        let mut heap = HeapBuilder::default();
        for (n, (ty, _)) in (1u64..).zip(objects) {
            heap.push(Addr(n * 0x40), TypeId(*ty), 64, Flags::default());
        }
        heap.seal_objects();
        for (_, to) in objects {
            heap.push_references(to.iter().map(|&n| ObjectId(n)));
        }
        heap.roots(roots.iter().map(|(name, object)| Root {
            kind: RootKind::Name,
            name: (*name).into(),
            object: ObjectId(*object),
            file: None,
            line: None,
        }));
        heap.finish(TYPES.map(|n| TypeRow { name: n.into(), ..TypeRow::default() }).into())
    }

    fn ask(graph: HeapGraph) -> HeldBy {
        let case = Case { heap: Some(graph), ..Case::default() };
        (*Ask::new(&case).get::<Holders>()).clone()
    }

    fn names(held: &HeldBy) -> Vec<(&str, u64)> {
        held.holders.iter().map(|h| (h.path.as_deref().unwrap_or(""), h.objects)).collect()
    }

    #[test]
    fn a_search_ends_at_modules() {
        // 0 list -> 1 module -> 2 dict -> 3 Thing; 0 -> 4 Thing
        let objects: [(u32, &[u32]); 5] = [(2, &[1, 4]), (0, &[2]), (1, &[3]), (3, &[]), (3, &[])];
        let held = ask(heap(&objects, &[("sys.modules['app']", 1), ("app.ALL", 0)]));
        assert_eq!(names(&held), [("sys.modules['app']", 3), ("app.ALL", 2)]);
        assert_eq!(held.unreached_objects, 0);
    }

    #[test]
    fn names_that_reach_the_same_are_one_with_the_shortest_name() {
        // a cycle of two, named at both ends and one of them twice
        let objects: [(u32, &[u32]); 2] = [(2, &[1]), (2, &[0])];
        let held = ask(heap(&objects, &[("app.first", 0), ("a.b", 1), ("app.second", 1)]));
        assert_eq!(names(&held), [("a.b", 2)]);
        assert_eq!(held.holders[0].also_reached_from, 2);
        assert_eq!(held.holders[0].bytes, Bytes(128));
    }

    #[test]
    fn a_local_variable_is_a_name_too() {
        let objects: [(u32, &[u32]); 2] = [(2, &[1]), (3, &[])];
        let frame = Frame {
            function: "load".into(),
            file: "jobs.py".into(),
            line: Some(3),
            locals: [("rows", 0x40), ("gone", 0x41)]
                .map(|(name, at)| Local { name: name.into(), value: Addr(at), ..Local::default() })
                .into(),
            ..Frame::default()
        };
        let thread = ThreadFacts { tid: 7, frames: vec![frame], ..ThreadFacts::default() };
        let case =
            Case { heap: Some(heap(&objects, &[])), threads: vec![thread], ..Case::default() };
        let held = Ask::new(&case).get::<Holders>();
        assert_eq!(names(&held), [("rows in load() of thread 7", 2)]);
        assert_eq!(held.name_of(ObjectId(1)).expect("reached").2, Some(3));
    }

    #[test]
    fn thousands_of_names_in_one_web_cost_no_more_than_a_few() {
        // A ring of lists in no order of names, each named, with an entrance that comes first.
        let ring: Vec<Vec<u32>> = (0..2_000).map(|n| vec![(n + 787) % 2_000]).collect();
        let mut objects: Vec<(u32, &[u32])> = ring.iter().map(|to| (2, to.as_slice())).collect();
        objects.push((2, &[7]));
        let names: Vec<String> = (0..2_000).map(|n| format!("app.registry{n}")).collect();
        let mut roots: Vec<(&str, u32)> = (0..2_000).map(|n| (&*names[n as usize], n)).collect();
        roots.push(("a", 2_000));
        let graph = heap(&objects, &roots);
        let held = follow(&graph, starts(&graph, &Case::default()), 40_000);
        assert_eq!((held.holders.len(), held.not_followed), (2, 0));
        assert_eq!(held.holders[1].also_reached_from, 1_999);
        assert_eq!(held.telling().count(), 1);
    }

    #[test]
    fn a_budget_ends_the_search_and_says_so() {
        let objects: [(u32, &[u32]); 3] = [(2, &[1]), (2, &[2]), (2, &[0])];
        let graph = heap(&objects, &[("a", 0), ("bb", 1), ("ccc", 2)]);
        let held = follow(&graph, starts(&graph, &Case::default()), 4);
        assert_eq!((held.holders.len(), held.not_followed, held.names), (1, 2, 3));
    }

    #[test]
    fn what_nothing_names_is_counted() {
        let held = ask(heap(&[(2, &[]), (3, &[])], &[("a", 0)]));
        assert_eq!((held.unreached_objects, held.unreached), (1, Bytes(64)));
    }

    #[test]
    fn a_name_says_less_than_one_it_reaches_that_has_nearly_all() {
        let thing: &[u32] = &[];
        let mut objects: Vec<(u32, &[u32])> = vec![(0, &[1]), (1, &[2])];
        let members: Vec<u32> = (3..40).collect();
        objects.push((1, &members));
        objects.extend(members.iter().map(|_| (3, thing)));
        let held =
            ask(heap(&objects, &[("sys.modules['app']", 0), ("sys.modules['app'].STORE", 2)]));
        assert_eq!(held.holders.len(), 2);
        let told: Vec<_> = held.telling().map(|h| h.path.as_deref()).collect();
        assert_eq!(told, [Some("sys.modules['app'].STORE")]);
    }
}
