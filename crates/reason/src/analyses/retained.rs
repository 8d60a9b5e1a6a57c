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
                } else {
                    prop_assert_eq!(kept.bytes(id), heap.footprint(id));
                    prop_assert!(kept.dominator(id).is_none() && !kept.is_top(id));
                }
            }
        }
    }
}
