//! Which objects does nothing lead to?
//!
//! What the collector of CPython finds out by visiting its lists (`subtract_refs`,
//! `move_unreachable`), found out from outside, and for all objects: those that it does not track,
//! or not any more, too. A reference count that is higher than the references that other objects
//! have means that something else refers to the object. Where that something is a root the object
//! is reached; where it is not, though everything was searched, the count is wrong, or put there by
//! C code that has forgotten: an orphan. What is then left is led to by itself only: garbage.

use crate::layout::TypeFlags;
use crate::types::TypeInfo;
use memwhy_model::{Flags, HeapBuilder, HeapGraph, ObjectId};

/// Flags the objects that are garbage or orphans.
///
/// `searched` says that everything was that may refer to an object: the variables of C, its stacks
/// and its memory. If not, a count that is not accounted for says nothing; it keeps its object.
pub fn mark(builder: &mut HeapBuilder, types: &[TypeInfo], searched: bool) {
    let graph = builder.graph();
    let classes = classes(graph, types);
    let inner = inner(graph, &classes);
    let unaccounted = |id: ObjectId| {
        let known = inner.get(id.0 as usize).copied().unwrap_or(0);
        graph.reference_count(id).is_none_or(|count| count > known)
    };
    let never_counted =
        |id: &ObjectId| graph.reference_count(*id).is_none() || graph.flags(*id).has(Flags::STATIC);
    let mut reached = vec![false; graph.len()];
    let kept = graph.roots().iter().filter(|root| root.kind.keeps()).map(|root| root.object);
    let starts = kept.chain(graph.ids().filter(never_counted)).collect();
    flood(graph, &classes, &mut reached, starts);
    let mut orphan = vec![false; graph.len()];
    if searched {
        orphan.clone_from(&reached);
    }
    let left = |id: &ObjectId| !reached.get(id.0 as usize).copied().unwrap_or(true);
    let starts: Vec<ObjectId> = graph.ids().filter(left).filter(|id| unaccounted(*id)).collect();
    if searched {
        flood(graph, &classes, &mut orphan, starts);
    } else {
        flood(graph, &classes, &mut reached, starts);
        orphan.clone_from(&reached);
    }
    for (n, (is_reached, is_kept)) in (0u32..).zip(reached.into_iter().zip(orphan)) {
        match (is_reached, is_kept) {
            (true, _) => {}
            (false, true) => builder.flag(ObjectId(n), Flags::ORPHAN),
            (false, false) => builder.flag(ObjectId(n), Flags::GARBAGE),
        }
    }
}

/// For each type, the object that it is, if its instances count as references to it: those of
/// types made at run time do.
fn classes(graph: &HeapGraph, types: &[TypeInfo]) -> Vec<Option<ObjectId>> {
    let of = |info: &TypeInfo| info.has(TypeFlags::HEAPTYPE).then(|| graph.find(info.addr))?;
    types.iter().map(of).collect()
}

/// The references of an object that are counted: those of the dict of interned strings are not.
fn counted(graph: &HeapGraph, id: ObjectId) -> &[ObjectId] {
    if graph.flags(id).has(Flags::WEAK) { &[] } else { graph.references(id) }
}

/// How many references other objects have to each.
fn inner(graph: &HeapGraph, classes: &[Option<ObjectId>]) -> Vec<u32> {
    let mut inner = vec![0u32; graph.len()];
    let mut add = |id: ObjectId| {
        if let Some(known) = inner.get_mut(id.0 as usize) {
            *known = known.saturating_add(1);
        }
    };
    for id in graph.ids() {
        counted(graph, id).iter().copied().for_each(&mut add);
        if let Some(class) = classes.get(graph.type_of(id).0 as usize).copied().flatten() {
            add(class);
        }
    }
    inner
}

/// Marks everything that is reachable from `starts` and not marked yet.
fn flood(
    graph: &HeapGraph,
    classes: &[Option<ObjectId>],
    reached: &mut [bool],
    starts: Vec<ObjectId>,
) {
    let mut todo = Vec::new();
    let mut mark = |id: ObjectId, todo: &mut Vec<ObjectId>| {
        if let Some(mark) = reached.get_mut(id.0 as usize).filter(|mark| !**mark) {
            *mark = true;
            todo.push(id);
        }
    };
    for start in starts {
        mark(start, &mut todo);
    }
    while let Some(id) = todo.pop() {
        for &to in counted(graph, id) {
            mark(to, &mut todo);
        }
        if let Some(class) = classes.get(graph.type_of(id).0 as usize).copied().flatten() {
            mark(class, &mut todo);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mark;
    use memwhy_model::{Addr, Flags, HeapBuilder, HeapGraph, ObjectId, Root, RootKind, TypeId};

    /// Objects with their counts (0 for immortal) and references; the first is a root.
    fn marked(objects: &[(u64, &[u32])], searched: bool) -> HeapGraph {
        let mut heap = HeapBuilder::default();
        for n in (1u64..).take(objects.len()) {
            heap.push(Addr(n * 0x40), TypeId(0), 64, Flags::default());
        }
        heap.seal_objects();
        for (id, (count, to)) in (0u32..).zip(objects) {
            heap.push_references(to.iter().map(|&n| ObjectId(n)));
            if *count > 0 {
                heap.set_reference_count(ObjectId(id), *count);
            }
        }
        heap.roots([Root {
            kind: RootKind::Modules,
            name: "sys.modules".into(),
            object: ObjectId(0),
            file: None,
            line: None,
        }]);
        mark(&mut heap, &[], searched);
        heap.finish(Vec::new())
    }

    fn flagged(heap: &HeapGraph, flag: Flags) -> Vec<u32> {
        heap.ids().filter(|id| heap.flags(*id).has(flag)).map(|id| id.0).collect()
    }

    #[test]
    fn a_cycle_that_only_itself_leads_to_is_garbage_with_what_it_holds() {
        // 0 -> 1; 2 <-> 3 -> 4
        let heap = marked(&[(1, &[1]), (1, &[]), (1, &[3]), (1, &[2, 4]), (1, &[])], true);
        assert_eq!(flagged(&heap, Flags::GARBAGE), [2, 3, 4]);
        assert_eq!(flagged(&heap, Flags::ORPHAN), [0u32; 0]);
    }

    #[test]
    fn a_count_beyond_all_references_makes_orphans_where_everything_was_searched() {
        // 2 has one reference too many, and leads to 3.
        let objects: [(u64, &[u32]); 4] = [(1, &[1]), (1, &[]), (1, &[3]), (1, &[])];
        assert_eq!(flagged(&marked(&objects, true), Flags::ORPHAN), [2, 3]);
        let unsearched = marked(&objects, false);
        assert_eq!(flagged(&unsearched, Flags::ORPHAN), [0u32; 0]);
        assert_eq!(flagged(&unsearched, Flags::GARBAGE), [0u32; 0]);
    }

    #[test]
    fn what_is_not_counted_lives() {
        let heap = marked(&[(1, &[]), (0, &[2]), (1, &[1])], true);
        assert_eq!(flagged(&heap, Flags::GARBAGE), [0u32; 0]);
    }
}
