//! Which objects refer to each object?

use super::Analysis;
use super::reachability::keeps;
use crate::Ask;
use memwhy_model::{HeapGraph, ObjectId};

/// See the [module](self).
#[derive(Debug)]
pub struct Referrers;

/// The references of the heap, the other way round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferredBy {
    offsets: Vec<u32>,
    from: Vec<ObjectId>,
}

impl ReferredBy {
    /// The objects that refer to `object`, in address order, each as often as it does.
    #[must_use]
    pub fn of(&self, object: ObjectId) -> &[ObjectId] {
        let n = object.0 as usize;
        match (self.offsets.get(n), self.offsets.get(n + 1)) {
            (Some(start), Some(end)) => &self.from[*start as usize..*end as usize],
            _ => &[],
        }
    }
}

impl Analysis for Referrers {
    /// Empty where there is no heap.
    type Answer = ReferredBy;
    const NAME: &'static str = "referrers";

    fn compute(ask: &Ask<'_>) -> ReferredBy {
        ask.heap.as_ref().map(of).unwrap_or_default()
    }
}

fn of(heap: &HeapGraph) -> ReferredBy {
    let mut offsets = vec![0u32; heap.len() + 1];
    for id in heap.ids() {
        for to in keeps(heap, id) {
            if let Some(count) = offsets.get_mut(to.0 as usize + 1) {
                *count += 1;
            }
        }
    }
    for n in 1..offsets.len() {
        offsets[n] += offsets[n - 1];
    }
    let mut from = vec![ObjectId(0); offsets.last().map_or(0, |end| *end as usize)];
    // Each offset moves to the end of its row, which is where the next one begins.
    for id in heap.ids() {
        for to in keeps(heap, id) {
            if let Some(at) =
                offsets.get_mut(to.0 as usize).filter(|_| (to.0 as usize) < heap.len())
            {
                from[*at as usize] = id;
                *at += 1;
            }
        }
    }
    offsets.rotate_right(1);
    if let Some(first) = offsets.first_mut() {
        *first = 0;
    }
    ReferredBy { offsets, from }
}

#[cfg(test)]
mod tests {
    use super::of;
    use memwhy_model::{Addr, Flags, HeapBuilder, ObjectId, TypeId, TypeRow};

    #[test]
    fn who_refers_to_an_object_is_found_as_often_as_it_does() {
        let mut heap = HeapBuilder::default();
        for n in 0..3 {
            heap.push(Addr(0x1000 + n * 64), TypeId(0), 64, Flags::default());
        }
        heap.seal_objects();
        for row in [vec![1, 2], vec![2, 2], vec![]] {
            heap.push_references(row.into_iter().map(ObjectId));
        }
        let referrers = of(&heap.finish(vec![TypeRow::default()]));
        assert_eq!(referrers.of(ObjectId(2)), [0, 1, 1].map(ObjectId));
        assert_eq!(referrers.of(ObjectId(1)), [ObjectId(0)]);
        assert!(referrers.of(ObjectId(0)).is_empty() && referrers.of(ObjectId(9)).is_empty());
    }
}
