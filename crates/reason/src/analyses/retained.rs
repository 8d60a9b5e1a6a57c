//! How much would be freed if an object were?
//!
//! The *retained size* of an object is what it takes together with everything that it dominates:
//! what is reached from the roots only through it.

use super::reachability::{Reachability, keeps};
use super::{Analysis, Dominators};
use crate::Ask;
use memwhy_model::{Bytes, HeapGraph, ObjectId};

/// No object.
const NOBODY: u32 = u32::MAX;
/// Nothing but the roots as a whole.
const ROOTS: u32 = u32::MAX - 1;

/// See the [module](self).
#[derive(Debug)]
pub struct RetainedSizes;

/// What each object keeps alive by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptAlive {
    above: Vec<u32>,
    bytes: Vec<u64>,
    objects: Vec<u32>,
}

impl KeptAlive {
    /// What would be freed with `object`, itself included: its retained size. Of what no root leads
    /// to, its own memory.
    #[must_use]
    pub fn bytes(&self, object: ObjectId) -> Bytes {
        Bytes(self.bytes.get(object.0 as usize).copied().unwrap_or(0))
    }

    /// How many objects that is, itself included.
    #[must_use]
    pub fn objects(&self, object: ObjectId) -> u64 {
        u64::from(self.objects.get(object.0 as usize).copied().unwrap_or(0))
    }

    /// The nearest object without which `object` would not be there; none where that is the roots
    /// as a whole, or nothing.
    #[must_use]
    pub fn dominator(&self, object: ObjectId) -> Option<ObjectId> {
        let above = self.above.get(object.0 as usize).copied();
        above.filter(|above| *above < ROOTS).map(ObjectId)
    }

    /// Whether only the roots as a whole dominate `object`: the top of the tree.
    #[must_use]
    pub fn is_top(&self, object: ObjectId) -> bool {
        self.above.get(object.0 as usize) == Some(&ROOTS)
    }
}

impl KeptAlive {
    /// What would be freed if all objects of a group were, at least: for each of `groups` groups
    /// what its objects keep, those below another one of the group counted with that one only. What
    /// several objects of a group keep together is not in it.
    #[must_use]
    pub fn of_groups(
        &self,
        groups: usize,
        group_of: impl Fn(ObjectId) -> Option<u32>,
    ) -> Vec<Bytes> {
        let mut kept = vec![Bytes(0); groups];
        let below = self.below();
        let mut open = vec![0u32; groups];
        let mut way: Vec<(ObjectId, usize)> = Vec::new();
        let tops = (0u32..).zip(&self.above).filter(|(_, above)| **above >= ROOTS);
        for (top, _) in tops {
            way.push((ObjectId(top), 0));
            while let Some((object, next)) = way.last_mut() {
                let (object, child) = (*object, *next);
                *next += 1;
                let group = group_of(object).map(|group| group as usize).filter(|at| *at < groups);
                if let (0, Some(group)) = (child, group) {
                    if open[group] == 0 {
                        kept[group] += self.bytes(object);
                    }
                    open[group] += 1;
                }
                if let Some(child) = below.row(object).get(child) {
                    way.push((*child, 0));
                } else {
                    if let Some(group) = group {
                        open[group] -= 1;
                    }
                    way.pop();
                }
            }
        }
        kept
    }

    /// What each object dominates immediately.
    #[must_use]
    pub fn below(&self) -> Below {
        let mut offsets = vec![0u32; self.above.len() + 1];
        for above in self.above.iter().filter(|above| **above < ROOTS) {
            offsets[*above as usize + 1] += 1;
        }
        for n in 1..offsets.len() {
            offsets[n] += offsets[n - 1];
        }
        let mut objects = vec![ObjectId(0); offsets.last().map_or(0, |end| *end as usize)];
        // Each offset moves to the end of its row, which is where the next one begins.
        for (object, above) in (0u32..).zip(&self.above).filter(|(_, above)| **above < ROOTS) {
            let at = &mut offsets[*above as usize];
            objects[*at as usize] = ObjectId(object);
            *at += 1;
        }
        offsets.rotate_right(1);
        if let Some(first) = offsets.first_mut() {
            *first = 0;
        }
        Below { offsets, objects }
    }
}

/// The tree of dominators, downwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Below {
    offsets: Vec<u32>,
    objects: Vec<ObjectId>,
}

impl Below {
    /// What an object dominates immediately.
    #[must_use]
    pub fn row(&self, object: ObjectId) -> &[ObjectId] {
        let n = object.0 as usize;
        match (self.offsets.get(n), self.offsets.get(n + 1)) {
            (Some(start), Some(end)) => &self.objects[*start as usize..*end as usize],
            _ => &[],
        }
    }
}

impl Analysis for RetainedSizes {
    /// Empty where there is no heap.
    type Answer = KeptAlive;
    const NAME: &'static str = "retained sizes";

    fn compute(ask: &Ask<'_>) -> KeptAlive {
        let Some(heap) = &ask.heap else { return KeptAlive::default() };
        of(heap, ask.get::<Reachability>().entries())
    }
}

fn of(heap: &HeapGraph, entries: &[ObjectId]) -> KeptAlive {
    let dominators = Dominators::of(heap.len(), entries, |id| keeps(heap, id));
    let mut kept = KeptAlive {
        above: vec![NOBODY; heap.len()],
        bytes: heap.ids().map(|id| heap.footprint(id).0).collect(),
        objects: vec![1; heap.len()],
    };
    for (object, dominator) in dominators.pairs().rev() {
        let n = object.0 as usize;
        kept.above[n] = dominator.map_or(ROOTS, |dominator| dominator.0);
        if let Some(dominator) = dominator {
            let up = dominator.0 as usize;
            kept.bytes[up] = kept.bytes[up].saturating_add(kept.bytes[n]);
            kept.objects[up] = kept.objects[up].saturating_add(kept.objects[n]);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::of;
    use memwhy_model::{Addr, Flags, HeapBuilder, HeapGraph, ObjectId, TypeId, TypeRow};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn heap(rows: &[(Vec<u32>, u64)]) -> HeapGraph {
        let mut heap = HeapBuilder::default();
        for (n, (_, size)) in rows.iter().enumerate() {
            heap.push(Addr(0x1000 + n as u64 * 64), TypeId(0), *size, Flags::default());
        }
        heap.seal_objects();
        for (n, (row, size)) in (0u32..).zip(rows) {
            heap.set_size(ObjectId(n), *size, *size, 0);
            heap.push_references(row.iter().map(|n| ObjectId(*n)));
        }
        heap.finish(vec![TypeRow::default()])
    }

    /// What is reached without `without`.
    fn reached(heap: &HeapGraph, entries: &[ObjectId], without: ObjectId) -> u64 {
        let mut todo = entries.to_vec();
        let mut seen = vec![false; heap.len()];
        let mut bytes = 0;
        while let Some(id) = todo.pop() {
            if id != without && !std::mem::replace(&mut seen[id.0 as usize], true) {
                bytes += heap.footprint(id).0;
                todo.extend(heap.references(id));
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn the_retained_size_is_what_deleting_the_object_frees(
            rows in vec((vec(0u32..12, 0..4), 1u64..1000), 12),
            entries in vec((0u32..12).prop_map(ObjectId), 1..4),
        ) {
            let heap = heap(&rows);
            let kept = of(&heap, &entries);
            let all = reached(&heap, &entries, ObjectId(u32::MAX));
            for id in heap.ids() {
                let freed = all - reached(&heap, &entries, id);
                if freed > 0 {
                    prop_assert_eq!(kept.bytes(id).0, freed);
                    let alone = kept.of_groups(1, |other| (other == id).then_some(0));
                    prop_assert_eq!(alone, [kept.bytes(id)]);
                } else {
                    prop_assert_eq!(kept.bytes(id), heap.footprint(id));
                    prop_assert!(kept.dominator(id).is_none() && !kept.is_top(id));
                }
            }
        }
    }
}
