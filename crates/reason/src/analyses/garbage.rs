//! What is dead and not freed: in which cycles, closed by what, and which counts are wrong?
//!
//! Which objects those are was observed (`Flags::GARBAGE`, `Flags::ORPHAN`). Here they are grouped:
//! cycles by the types that they go through, with what only they hold; orphans by type.

use super::origin::kind;
use super::{Analysis, components};
use crate::Ask;
use memwhy_model::{Bytes, Flags, HeapGraph, ObjectId, TypeId};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Nothing.
const NOBODY: u32 = u32::MAX;
/// Groups that are kept: what is beyond them is little.
const GROUPS: usize = 64;
/// Objects of a cycle that are searched for the shortest way around.
const LARGEST_SEARCHED: usize = 1 << 20;

/// See the [module](self).
#[derive(Debug)]
pub struct Garbage;

/// What is dead and not freed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfreed {
    /// Objects that only unreachable cycles hold, those of the cycles included.
    pub objects: u64,
    /// What they take in memory.
    pub bytes: Bytes,
    /// The cycles, by the types they go through, most bytes first.
    pub cycles: Vec<Cycles>,
    /// Objects that a reference count keeps that nothing accounts for, with what they hold.
    pub orphans: u64,
    /// What those take in memory.
    pub orphan_bytes: Bytes,
    /// The orphans whose count it is, by type, most bytes first.
    pub leaks: Vec<Leak>,
}

/// Cycles that go through the same types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cycles {
    /// The types, the one that tells most first.
    pub types: Vec<TypeId>,
    /// How many such cycles there are.
    pub count: u64,
    /// Objects in them and held by them.
    pub objects: u64,
    /// What those take in memory.
    pub bytes: Bytes,
    /// A shortest way around in one of them: the first object is not repeated at the end.
    pub example: Vec<ObjectId>,
    /// A type in them that the collector does not look through: it will never find them.
    pub blind: Option<TypeId>,
}

/// Objects of one type with a reference count too high.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leak {
    /// The type.
    pub ty: Option<TypeId>,
    /// How many objects.
    pub count: u64,
    /// References that are counted and nowhere to be found, of all of them.
    pub excess: u64,
    /// Objects that they hold, themselves included.
    pub objects: u64,
    /// What those take in memory.
    pub bytes: Bytes,
    /// One of them.
    pub example: Option<ObjectId>,
}

impl Analysis for Garbage {
    /// Empty where there is no heap.
    type Answer = Unfreed;
    const NAME: &'static str = "garbage";

    fn compute(ask: &Ask<'_>) -> Unfreed {
        ask.heap.as_ref().map(of).unwrap_or_default()
    }
}

fn of(heap: &HeapGraph) -> Unfreed {
    let has = |id: ObjectId, flag| heap.flags(id).has(flag);
    let garbage: Vec<ObjectId> = heap.ids().filter(|id| has(*id, Flags::GARBAGE)).collect();
    let orphans: Vec<ObjectId> = heap.ids().filter(|id| has(*id, Flags::ORPHAN)).collect();
    let sum = |ids: &[ObjectId]| ids.iter().map(|id| heap.footprint(*id)).sum();
    Unfreed {
        objects: garbage.len() as u64,
        bytes: sum(&garbage),
        cycles: if garbage.is_empty() { Vec::new() } else { cycles(heap, &garbage) },
        orphans: orphans.len() as u64,
        orphan_bytes: sum(&orphans),
        leaks: leaks(heap, &orphans),
    }
}

/// Adds the types of a cycle to the group of cycles that go through the same.
fn cycles(heap: &HeapGraph, garbage: &[ObjectId]) -> Vec<Cycles> {
    let dead = |id: ObjectId| heap.flags(id).has(Flags::GARBAGE);
    let of =
        components(
            heap.len(),
            |id| if dead(id) { heap.references(id) } else { Default::default() },
        );
    let component = |id: ObjectId| of.get(id.0 as usize).copied().unwrap_or(NOBODY);
    let mut sizes: HashMap<u32, u32> = HashMap::new();
    for id in garbage {
        *sizes.entry(component(*id)).or_default() += 1;
    }
    let is_cyclic = |id: ObjectId| {
        sizes.get(&component(id)).is_some_and(|size| *size > 1) || heap.references(id).contains(&id)
    };
    // Members of each cycle, and the group of each.
    let mut members: BTreeMap<u32, Vec<ObjectId>> = BTreeMap::new();
    for id in garbage.iter().copied().filter(|id| is_cyclic(*id)) {
        members.entry(component(id)).or_default().push(id);
    }
    let mut groups: Vec<Cycles> = Vec::new();
    let mut known: HashMap<Vec<TypeId>, usize> = HashMap::new();
    let mut group_of: HashMap<u32, usize> = HashMap::new();
    let mut smallest: Vec<(usize, u32)> = Vec::new();
    for (number, members) in &members {
        let mut types: Vec<TypeId> = members.iter().map(|id| heap.type_of(*id)).collect();
        types.sort_unstable();
        types.dedup();
        let at = *known.entry(types.clone()).or_insert_with(|| {
            groups.push(Cycles { types, ..Cycles::default() });
            smallest.push((usize::MAX, *number));
            groups.len() - 1
        });
        groups[at].count += 1;
        group_of.insert(*number, at);
        if members.len() < smallest[at].0 {
            smallest[at] = (members.len(), *number);
        }
    }
    share_out(heap, &members, &group_of, &mut groups);
    for (group, (_, number)) in groups.iter_mut().zip(&smallest) {
        if let Some(members) = members.get(number) {
            group.example = way_around(heap, members);
            let blind = members.iter().find(|id| {
                let ty = heap.type_row(heap.type_of(**id));
                ty.is_some_and(|ty| !ty.collected)
            });
            group.blind = blind.map(|id| heap.type_of(*id));
        }
        let first = group.example.first().map(|id| heap.type_of(*id));
        group.types.sort_by_key(|ty| (Some(*ty) != first, is_builtin(heap, *ty)));
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.bytes));
    groups.truncate(GROUPS);
    groups
}

/// Gives everything dead to the cycle that leads to it; what several lead to, to the first.
fn share_out(
    heap: &HeapGraph,
    members: &BTreeMap<u32, Vec<ObjectId>>,
    group_of: &HashMap<u32, usize>,
    groups: &mut [Cycles],
) {
    let mut given = vec![false; heap.len()];
    let mut take = |id: ObjectId| {
        let free = given.get_mut(id.0 as usize).filter(|given| !**given);
        free.is_some_and(|given| {
            *given = true;
            heap.flags(id).has(Flags::GARBAGE)
        })
    };
    // All members first: one cycle that leads to another does not get it.
    for id in members.values().flatten() {
        take(*id);
    }
    for (number, members) in members {
        let Some(group) = group_of.get(number).and_then(|at| groups.get_mut(*at)) else { continue };
        let mut todo = members.clone();
        while let Some(id) = todo.pop() {
            group.objects += 1;
            group.bytes += heap.footprint(id);
            todo.extend(heap.references(id).iter().copied().filter(|to| take(*to)));
        }
    }
}

/// A shortest way from the member that tells most back to itself.
fn way_around(heap: &HeapGraph, members: &[ObjectId]) -> Vec<ObjectId> {
    // What a cycle was made for refers back from what belongs to it: it has the data.
    let inside = |id: &ObjectId| members.binary_search(id).is_ok();
    let data = |id: ObjectId| -> Bytes {
        let own = heap.references(id).iter();
        let dict = own.clone().filter(|to| kind(heap, **to) == "dict" && inside(to));
        let all = own.chain(dict.flat_map(|dict| heap.references(*dict)));
        all.filter(|to| !inside(to)).map(|to| heap.footprint(*to)).sum()
    };
    let telling = |id: &&ObjectId| {
        (is_builtin(heap, heap.type_of(**id)), std::cmp::Reverse(data(**id)), **id)
    };
    if members.len() > LARGEST_SEARCHED {
        return members.first().copied().into_iter().collect();
    }
    let Some(start) = members.iter().min_by_key(telling).copied() else { return Vec::new() };
    let mut before: HashMap<ObjectId, ObjectId> = HashMap::new();
    let mut todo = VecDeque::from([start]);
    while let Some(id) = todo.pop_front() {
        for &to in heap.references(id) {
            if to == start {
                let mut way = vec![id];
                while let Some(before) = way.last().and_then(|id| before.get(id)) {
                    way.push(*before);
                }
                way.reverse();
                return way;
            }
            if members.binary_search(&to).is_ok() && !before.contains_key(&to) {
                before.insert(to, id);
                todo.push_back(to);
            }
        }
    }
    vec![start]
}

fn is_builtin(heap: &HeapGraph, ty: TypeId) -> bool {
    heap.type_row(ty).is_none_or(|ty| ty.name.starts_with("builtins."))
}

/// The orphans that have a count of their own too high, by type.
fn leaks(heap: &HeapGraph, orphans: &[ObjectId]) -> Vec<Leak> {
    // Only other orphans lead to an orphan.
    let mut inner: HashMap<ObjectId, u32> = HashMap::new();
    for id in orphans {
        for to in heap.references(*id) {
            *inner.entry(*to).or_default() += 1;
        }
    }
    let excess = |id: &ObjectId| {
        let count = heap.reference_count(*id).unwrap_or(0);
        count.saturating_sub(inner.get(id).copied().unwrap_or(0))
    };
    let mut by_type: BTreeMap<TypeId, Leak> = BTreeMap::new();
    let mut given: HashSet<ObjectId> = HashSet::new();
    // A class counts its instances, which are no references: it comes with them.
    let mut starts: Vec<ObjectId> = orphans.iter().copied().filter(|id| excess(id) > 0).collect();
    starts.retain(|id| kind(heap, *id) != "type");
    for id in &starts {
        given.insert(*id);
    }
    for id in starts {
        let ty = heap.type_of(id);
        let leak = by_type.entry(ty).or_default();
        leak.ty = Some(ty);
        leak.count += 1;
        leak.excess += u64::from(excess(&id));
        leak.example = leak.example.or(Some(id));
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            leak.objects += 1;
            leak.bytes += heap.footprint(id);
            for to in heap.references(id) {
                if heap.flags(*to).has(Flags::ORPHAN) && given.insert(*to) {
                    todo.push(*to);
                }
            }
        }
    }
    let mut leaks: Vec<Leak> = by_type.into_values().collect();
    leaks.sort_by_key(|leak| std::cmp::Reverse(leak.bytes));
    leaks.truncate(GROUPS);
    leaks
}

#[cfg(test)]
mod tests {
    use super::of;
    use memwhy_model::{Addr, Bytes, Flags, HeapBuilder, HeapGraph, ObjectId, TypeId, TypeRow};

    /// Objects of 64 bytes: type, flag, count, references.
    fn heap(objects: &[(u32, Flags, u64, &[u32])]) -> HeapGraph {
        let names = ["builtins.dict", "app.Node", "app.Leaf"];
        let mut heap = HeapBuilder::default();
        for (n, (ty, flags, ..)) in (1u64..).zip(objects) {
            heap.push(Addr(n * 0x40), TypeId(*ty), 64, *flags);
        }
        heap.seal_objects();
        for (id, (_, _, count, to)) in (0u32..).zip(objects) {
            heap.set_reference_count(ObjectId(id), *count);
            heap.push_references(to.iter().map(|n| ObjectId(*n)));
        }
        let row = |name: &str| TypeRow { name: name.into(), collected: true, ..TypeRow::default() };
        heap.finish(names.map(row).into())
    }

    #[test]
    fn cycles_through_the_same_types_are_one_group_with_what_they_hold() {
        let dead = Flags::GARBAGE;
        // Two of 1 Node -> 0 dict -> 1 Node, each with a Leaf.
        let heap = heap(&[
            (0, dead, 1, &[1, 2]),
            (1, dead, 1, &[0]),
            (2, dead, 1, &[]),
            (1, dead, 1, &[4]),
            (0, dead, 1, &[3, 5]),
            (2, dead, 1, &[]),
            (2, Flags::default(), 1, &[]),
        ]);
        let unfreed = of(&heap);
        assert_eq!((unfreed.objects, unfreed.bytes), (6, Bytes(6 * 64)));
        let [group] = unfreed.cycles.as_slice() else { panic!("{:?}", unfreed.cycles) };
        assert_eq!((group.count, group.objects, group.bytes), (2, 6, Bytes(6 * 64)));
        assert_eq!(group.types, [TypeId(1), TypeId(0)]);
        assert_eq!(group.example, [ObjectId(1), ObjectId(0)]);
        assert_eq!(group.blind, None);
    }

    #[test]
    fn a_leak_is_the_count_beyond_what_other_orphans_refer_to() {
        let lost = Flags::ORPHAN;
        let heap = heap(&[(1, lost, 3, &[1]), (2, lost, 1, &[]), (1, lost, 1, &[])]);
        let leaks = of(&heap).leaks;
        assert_eq!(leaks.len(), 1);
        assert_eq!((leaks[0].count, leaks[0].excess, leaks[0].objects), (2, 4, 3));
    }
}
