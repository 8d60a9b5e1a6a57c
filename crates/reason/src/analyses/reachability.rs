//! Which root leads to each object, and on which way?
//!
//! What the better known roots lead to is settled first: names and variables of Python, then words
//! of C memory that are an object's address by purpose or by chance, then objects that live as long
//! as the process. What none of them leads to is garbage that waits for the collector, or is alive
//! only by a reference count that nothing accounts for.

use super::Analysis;
use crate::Ask;
use memwhy_model::{Bytes, Flags, HeapGraph, ObjectId, Root, RootKind};

/// No object.
const NOBODY: u32 = u32::MAX;
/// A way begins here.
const ROOT: u32 = u32::MAX - 1;

/// A variable counts as so many steps: a name that outlives the call tells more, if it is not much
/// further away.
const VARIABLE_STEPS: usize = 6;
/// The interpreter's own fields tell least.
const INTERPRETER_STEPS: usize = 9;

/// See the [module](self).
#[derive(Debug)]
pub struct Reachability;

/// By what an object is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// By nothing that was found.
    #[default]
    Nothing,
    /// By the process's end only: it is a static object or an immortal one, or such a one leads
    /// to it.
    Forever,
    /// By a word of C memory.
    C,
    /// By Python: a name, a variable, the interpreter.
    Python,
}

/// How every object is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The object before each object on a shortest way.
    before: Vec<u32>,
    held: Vec<Held>,
    /// The root that each way begins with: pairs, ascending.
    roots: Vec<(ObjectId, u32)>,
    /// Objects that people know by a name, ascending: modules, and what modules and classes name.
    named: Vec<ObjectId>,
    entries: Vec<ObjectId>,
    /// Objects that nothing leads to.
    pub unreached_objects: u64,
    /// What those take in memory.
    pub unreached: Bytes,
}

impl Reached {
    /// By what an object is held.
    #[must_use]
    pub fn held_by(&self, object: ObjectId) -> Held {
        self.held.get(object.0 as usize).copied().unwrap_or_default()
    }

    /// The objects on a shortest way from a root, the root's object first and `object` last; empty
    /// if nothing leads to it.
    #[must_use]
    pub fn way_to(&self, object: ObjectId) -> Vec<ObjectId> {
        let mut way = Vec::new();
        let mut at = object.0;
        while let Some(&before) = self.before.get(at as usize).filter(|before| **before != NOBODY) {
            way.push(ObjectId(at));
            if before == ROOT || way.len() > self.before.len() {
                break;
            }
            at = before;
        }
        way.reverse();
        way
    }

    /// The root that keeps `object` itself, at the beginning of a way; none for static and immortal
    /// objects.
    #[must_use]
    pub fn root_of<'h>(&self, heap: &'h HeapGraph, object: ObjectId) -> Option<&'h Root> {
        let at = self.roots.binary_search_by_key(&object, |pair| pair.0).ok()?;
        heap.roots().get(self.roots.get(at)?.1 as usize)
    }

    /// Whether people know the object by a name: it is a module, or a module or a class names it.
    #[must_use]
    pub fn is_named(&self, heap: &HeapGraph, object: ObjectId) -> bool {
        let is_module = || {
            let row = heap.type_row(heap.type_of(object));
            row.is_some_and(|row| crate::wording::short_type(&row.name) == "module")
        };
        self.named.binary_search(&object).is_ok() || is_module()
    }

    /// The objects that roots keep, ascending: for [`super::Dominators`]. Of words of C memory and
    /// of objects that last, only those to which Python does not lead anyway.
    #[must_use]
    pub fn entries(&self) -> &[ObjectId] {
        &self.entries
    }
}

/// What an object keeps alive: what it refers to, but for the dict of interned strings, which
/// forgets those that nobody else has.
#[must_use]
pub fn keeps(heap: &HeapGraph, object: ObjectId) -> &[ObjectId] {
    if heap.flags(object).has(Flags::WEAK) { &[] } else { heap.references(object) }
}

impl Analysis for Reachability {
    /// Empty where there is no heap.
    type Answer = Reached;
    const NAME: &'static str = "reachability";

    fn compute(ask: &Ask<'_>) -> Reached {
        ask.heap.as_ref().map(of).unwrap_or_default()
    }
}

/// How many steps a root is worth.
const fn steps(kind: RootKind) -> usize {
    match kind {
        RootKind::Modules | RootKind::Name | RootKind::CGlobal => 0,
        RootKind::Frame | RootKind::Thread => VARIABLE_STEPS,
        RootKind::Interpreter => INTERPRETER_STEPS,
        RootKind::NativeStack => 1,
        RootKind::NativeMemory => 2,
    }
}

fn of(heap: &HeapGraph) -> Reached {
    let mut search = Search {
        heap,
        reached: Reached {
            before: vec![NOBODY; heap.len()],
            held: vec![Held::Nothing; heap.len()],
            ..Reached::default()
        },
        now: Vec::new(),
        next: Vec::new(),
    };
    for (held, certain) in [(Held::Python, true), (Held::C, false)] {
        let roots = (0u32..).zip(heap.roots());
        let mut roots: Vec<(usize, ObjectId, u32)> = roots
            .filter(|(_, root)| root.kind.keeps() && root.kind.certain() == certain)
            .map(|(at, root)| (steps(root.kind), root.object, at))
            .collect();
        if certain {
            search.reached.entries.extend(roots.iter().map(|(_, object, _)| *object));
        }
        roots.sort_by_key(|(steps, _, at)| (*steps, *at));
        search.from(&roots, held);
        search.classes(held);
    }
    let lasting = |id: &ObjectId| {
        let flags = heap.flags(*id);
        flags.has(Flags::STATIC) || flags.has(Flags::IMMORTAL)
    };
    let lasting: Vec<_> = heap.ids().filter(lasting).map(|id| (0, id, NOBODY)).collect();
    search.from(&lasting, Held::Forever);
    search.classes(Held::Forever);
    let mut reached = search.reached;
    let names = heap.roots().iter().filter(|root| root.kind == RootKind::Name);
    reached.named = names.map(|root| root.object).collect();
    reached.named.sort_unstable();
    reached.named.dedup();
    reached.roots.sort_unstable();
    let (mut objects, mut bytes) = (0, Bytes(0));
    for id in heap.ids().filter(|id| reached.held_by(*id) == Held::Nothing) {
        objects += 1;
        bytes += heap.footprint(id);
    }
    (reached.unreached_objects, reached.unreached) = (objects, bytes);
    reached.entries.sort_unstable();
    reached.entries.dedup();
    reached
}

struct Search<'h> {
    heap: &'h HeapGraph,
    reached: Reached,
    /// Objects so many steps away, and those one step further.
    now: Vec<ObjectId>,
    next: Vec<ObjectId>,
}

impl Search<'_> {
    /// Goes breadth first from roots, each of which begins after so many steps.
    fn from(&mut self, roots: &[(usize, ObjectId, u32)], held: Held) {
        let mut roots = roots.iter().peekable();
        let mut steps = 0;
        loop {
            while let Some((_, object, root)) = roots.next_if(|(after, ..)| *after <= steps) {
                if self.meet(*object, ROOT, held) {
                    self.now.push(*object);
                    self.reached.entries.push(*object);
                    if *root != NOBODY {
                        self.reached.roots.push((*object, *root));
                    }
                }
            }
            if self.now.is_empty() {
                match roots.peek() {
                    Some((after, ..)) => {
                        steps = *after;
                        continue;
                    }
                    None => return,
                }
            }
            let mut now = std::mem::take(&mut self.now);
            for object in now.drain(..) {
                for to in keeps(self.heap, object) {
                    if self.meet(*to, object.0, held) {
                        self.next.push(*to);
                    }
                }
            }
            self.now = std::mem::replace(&mut self.next, now);
            steps += 1;
        }
    }

    /// An instance keeps its class, though that is no reference: every object has a type. Classes
    /// that nothing else leads to are reached from their first instance.
    fn classes(&mut self, held: Held) {
        let heap = self.heap;
        let class_of: Vec<_> = heap.types().iter().map(|ty| heap.find(ty.addr)).collect();
        loop {
            let reached = &self.reached;
            let mut first: Vec<Option<ObjectId>> = vec![None; class_of.len()];
            for id in heap.ids().filter(|id| reached.held_by(*id) != Held::Nothing) {
                if let Some(first @ None) = first.get_mut(heap.type_of(id).0 as usize) {
                    *first = Some(id);
                }
            }
            let pairs = first.iter().zip(&class_of).filter_map(|(first, class)| {
                let class = (*class)?;
                (reached.held_by(class) == Held::Nothing).then_some(((*first)?, class))
            });
            let pairs: Vec<_> = pairs.collect();
            if pairs.is_empty() {
                return;
            }
            for (instance, class) in pairs {
                if self.meet(class, instance.0, held) {
                    self.now.push(class);
                    self.reached.entries.push(class);
                }
            }
            self.from(&[], held);
        }
    }

    fn meet(&mut self, object: ObjectId, from: u32, held: Held) -> bool {
        let n = object.0 as usize;
        let (Some(before), Some(by)) =
            (self.reached.before.get_mut(n), self.reached.held.get_mut(n))
        else {
            return false;
        };
        if *before != NOBODY {
            return false;
        }
        (*before, *by) = (from, held);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, Reachability, Reached};
    use crate::Ask;
    use memwhy_model::{Addr, Case, Flags, HeapBuilder, ObjectId, Root, RootKind, TypeId, TypeRow};
    use std::rc::Rc;

    fn reached(rows: &[(&[u32], Flags)], roots: &[(RootKind, u32)]) -> (Case, Rc<Reached>) {
        let mut heap = HeapBuilder::default();
        for (n, (_, flags)) in rows.iter().enumerate() {
            heap.push(Addr(0x1000 + n as u64 * 64), TypeId(0), 64, *flags);
        }
        heap.seal_objects();
        for (row, _) in rows {
            heap.push_references(row.iter().map(|n| ObjectId(*n)));
        }
        heap.roots(roots.iter().map(|(kind, object)| Root {
            kind: *kind,
            name: format!("{} {object}", kind.id()),
            object: ObjectId(*object),
            file: None,
            line: None,
        }));
        let case = Case { heap: Some(heap.finish(vec![TypeRow::default()])), ..Case::default() };
        let answer = Ask::new(&case).get::<Reachability>();
        (case, answer)
    }

    fn way(reached: &Reached, object: u32) -> Vec<u32> {
        reached.way_to(ObjectId(object)).into_iter().map(|id| id.0).collect()
    }

    const PLAIN: Flags = Flags(0);

    #[test]
    fn the_shortest_way_is_shown_and_a_lasting_name_goes_before_a_variable() {
        // 0 modules -> 1 -> 2 -> 3; a variable holds 3 too, and 4 alone
        let rows: [(&[u32], Flags); 5] =
            [(&[1], PLAIN), (&[2, 1], PLAIN), (&[3], PLAIN), (&[], PLAIN), (&[3], PLAIN)];
        let roots = [(RootKind::Frame, 3), (RootKind::Frame, 4), (RootKind::Modules, 0)];
        let (case, reached) = reached(&rows, &roots);
        assert_eq!(way(&reached, 3), [0, 1, 2, 3]);
        assert_eq!(way(&reached, 4), [4]);
        let heap = case.heap.as_ref().expect("a heap");
        assert_eq!(reached.root_of(heap, ObjectId(4)).expect("a root").name, "frame 4");
        assert_eq!(reached.unreached_objects, 0);
    }

    #[test]
    fn a_word_of_c_holds_only_what_python_does_not() {
        let rows: [(&[u32], Flags); 3] = [(&[1], PLAIN), (&[], PLAIN), (&[1], PLAIN)];
        let roots = [(RootKind::NativeStack, 1), (RootKind::CGlobal, 2), (RootKind::Modules, 0)];
        let (_, reached) = reached(&rows, &roots);
        assert_eq!(
            [0, 1, 2].map(|n| reached.held_by(ObjectId(n))),
            [Held::Python, Held::Python, Held::C]
        );
        assert_eq!(way(&reached, 1), [0, 1]);
    }

    #[test]
    fn names_alone_and_interned_strings_keep_nothing() {
        let rows: [(&[u32], Flags); 4] =
            [(&[1], Flags::WEAK), (&[], PLAIN), (&[], PLAIN), (&[2], Flags::IMMORTAL)];
        let roots = [(RootKind::CGlobal, 0), (RootKind::Name, 1)];
        let (_, reached) = reached(&rows, &roots);
        assert_eq!(reached.held_by(ObjectId(1)), Held::Nothing);
        assert_eq!(reached.held_by(ObjectId(2)), Held::Forever);
        assert_eq!((reached.unreached_objects, reached.unreached.0), (1, 64));
    }
}
