//! How do objects found in any order become a sealed [`HeapGraph`]?
//!
//! Twice over: first every object is pushed; [`HeapBuilder::seal_objects`] sorts them and so gives
//! them their ids; then sizes and references are filled in, object after object in id order.

use super::{Flags, HeapGraph, NOT_COUNTED, ObjectId, Root, TypeId, TypeRow};
use crate::{Addr, Bytes};

/// Makes a [`HeapGraph`].
#[derive(Debug, Default)]
pub struct HeapBuilder {
    found: Vec<Found>,
    graph: HeapGraph,
    incomplete: bool,
}

/// An object as it was found, 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Found {
    addr: Addr,
    ty: TypeId,
    /// What its block or chunk takes; `u32::MAX` stands for that and more.
    block: u32,
    flags: Flags,
}

impl HeapBuilder {
    /// Notes an object at `addr` whose own block or chunk takes `block` bytes.
    pub fn push(&mut self, addr: Addr, ty: TypeId, block: u64, flags: Flags) {
        let block = u32::try_from(block).unwrap_or(u32::MAX);
        self.found.push(Found { addr, ty, block, flags });
    }

    /// Says that some place where objects can be was not read.
    pub fn incomplete(&mut self) {
        self.incomplete = true;
    }

    /// Whether every place was read so far.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// Number of objects pushed so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether nothing was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Sorts the objects by address, drops doubles and so gives every object its id.
    pub fn seal_objects(&mut self) {
        let mut found = std::mem::take(&mut self.found);
        found.sort_unstable_by_key(|object| object.addr);
        found.dedup_by_key(|object| object.addr);
        let graph = &mut self.graph;
        graph.addr = found.iter().map(|object| object.addr).collect();
        graph.ty = found.iter().map(|object| object.ty).collect();
        graph.flags = found.iter().map(|object| object.flags).collect();
        graph.footprint = found.iter().map(|object| object.block).collect();
        drop(found);
        graph.size = vec![0; graph.addr.len()];
        graph.counts = vec![NOT_COUNTED; graph.addr.len()];
    }

    /// The graph so far: addresses, types and flags once the objects are sealed.
    #[must_use]
    pub const fn graph(&self) -> &HeapGraph {
        &self.graph
    }

    /// States the sizes of an object: shallow, and the `buffers` it holds outside of its block.
    pub fn set_size(&mut self, id: ObjectId, block: u64, shallow: u64, buffers: u64) {
        let n = id.0 as usize;
        let footprint = block.saturating_add(buffers);
        let (Some(size), Some(taken)) =
            (self.graph.size.get_mut(n), self.graph.footprint.get_mut(n))
        else {
            return;
        };
        match (u32::try_from(shallow), u32::try_from(footprint)) {
            (Ok(shallow), Ok(footprint)) if shallow != u32::MAX && footprint != u32::MAX => {
                (*size, *taken) = (shallow, footprint);
            }
            _ => {
                (*size, *taken) = (u32::MAX, u32::MAX);
                self.graph.big.insert(id, (Bytes(shallow), Bytes(footprint)));
            }
        }
    }

    /// States the reference count of an object that has one.
    pub fn set_reference_count(&mut self, id: ObjectId, count: u64) {
        if let Some(known) = self.graph.counts.get_mut(id.0 as usize) {
            *known = u32::try_from(count).unwrap_or(NOT_COUNTED).min(NOT_COUNTED - 1);
        }
    }

    /// Adds a flag to an object.
    pub fn flag(&mut self, id: ObjectId, flag: Flags) {
        if let Some(flags) = self.graph.flags.get_mut(id.0 as usize) {
            *flags = flags.and(flag);
        }
    }

    /// Appends the references of the next object in id order.
    pub fn push_references(&mut self, targets: impl IntoIterator<Item = ObjectId>) {
        if !self.graph.out.push_row(targets) {
            self.incomplete = true;
        }
    }

    /// Adds roots.
    pub fn roots(&mut self, roots: impl IntoIterator<Item = Root>) {
        self.graph.roots.extend(roots);
    }

    /// The finished graph; `types` in the order of their [`TypeId`]s, their sums still empty.
    #[must_use]
    pub fn finish(mut self, types: Vec<TypeRow>) -> HeapGraph {
        self.graph.types = types;
        let mut sums = vec![(0u64, Bytes(0), Bytes(0)); self.graph.types.len()];
        for id in self.graph.ids() {
            if let Some(sum) = sums.get_mut(self.graph.type_of(id).0 as usize) {
                sum.0 += 1;
                sum.1 += self.graph.size(id);
                sum.2 += self.graph.footprint(id);
            }
        }
        for (ty, (count, bytes, footprint)) in self.graph.types.iter_mut().zip(sums) {
            (ty.count, ty.bytes, ty.footprint) = (count, bytes, footprint);
        }
        self.graph.out.shrink();
        self.graph.complete = !self.incomplete;
        self.graph
    }
}

#[cfg(test)]
mod tests {
    use super::HeapBuilder;
    use crate::{Addr, Bytes, Flags, ObjectId, TypeId, TypeRow};

    #[test]
    fn address_order_is_id_order() {
        let mut heap = HeapBuilder::default();
        heap.push(Addr(0x300), TypeId(0), 64, Flags::TRACKED);
        heap.push(Addr(0x100), TypeId(1), 32, Flags::default());
        heap.push(Addr(0x300), TypeId(0), 64, Flags::TRACKED);
        heap.seal_objects();
        heap.set_size(ObjectId(0), 32, 28, 0);
        heap.set_size(ObjectId(1), 64, 56, 5 << 30);
        heap.push_references([]);
        heap.push_references([ObjectId(0)]);
        let graph = heap.finish(vec![TypeRow::default(), TypeRow::default()]);
        assert_eq!(graph.len(), 2);
        assert_eq!(graph.find(Addr(0x300)), Some(ObjectId(1)));
        assert_eq!(graph.references(ObjectId(1)), [ObjectId(0)]);
        assert_eq!(graph.footprint(ObjectId(1)), Bytes((5 << 30) + 64));
        assert_eq!(graph.types()[1].bytes, Bytes(28));
        assert!(graph.complete());
    }
}
