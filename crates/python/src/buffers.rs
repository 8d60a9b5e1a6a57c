//! Which object does a block or chunk belong to that holds no object itself?

use crate::alloc::debug;
use crate::heap::Places;
use memwhy_model::{Addr, AddrRange, ObjectId};
use memwhy_target::View;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// Blocks and chunks, and whose they are: the first object's that points to the beginning of one.
pub(crate) struct Buffers<'a> {
    memory: &'a View,
    places: &'a Places<'a>,
    /// Whether blocks carry what `PYTHONMALLOC=debug` puts before them.
    debug: bool,
    owners: FxHashMap<u64, ObjectId>,
}

impl<'a> Buffers<'a> {
    pub(crate) fn new(memory: &'a View, places: &'a Places<'a>, debug: bool) -> Self {
        Self { memory, places, debug, owners: FxHashMap::default() }
    }

    /// Says that `object` itself is in the block or chunk that begins at `start`.
    pub(crate) fn occupy(&mut self, start: Addr, object: ObjectId) {
        self.owners.insert(start.0, object);
    }

    /// Makes what `pointer` leads to the beginning of a buffer of `owner`: where it begins and its
    /// size, `None` if there is nothing or it is another's.
    pub(crate) fn take(&mut self, pointer: Addr, owner: ObjectId) -> Option<(Addr, u64)> {
        // A pointer leads behind what debugging puts before a block.
        let starts = if self.debug { &debug::PREFIXES[..] } else { &[0] };
        starts.iter().map(|prefix| pointer.before(*prefix)).find_map(|start| {
            let size = self.size(start)?;
            match self.owners.entry(start.0) {
                Entry::Vacant(free) => {
                    free.insert(owner);
                    Some((start, size))
                }
                Entry::Occupied(_) => None,
            }
        })
    }

    fn size(&self, start: Addr) -> Option<u64> {
        let in_page = || {
            let size = self.places.mimalloc?.block_at(start)?;
            Some(resident(self.memory, AddrRange::sized(start, size)))
        };
        let of_stand_in = || {
            let block = self.places.stand_in?.block_at(start)?;
            Some(resident(self.memory, block))
        };
        let small = self.places.pymalloc.block_at(start).or_else(in_page).or_else(of_stand_in);
        small.or_else(|| {
            let chunk = self.places.malloc?.chunk_of(start)?;
            chunk.in_use().then(|| resident(self.memory, chunk.range()))
        })
    }

    /// Every block and chunk that belongs to an object.
    pub(crate) fn owners(self) -> FxHashMap<u64, ObjectId> {
        self.owners
    }
}

/// What a chunk takes: of a large one, of which much may never have been touched, the pages that
/// are there.
pub(crate) fn resident(memory: &View, chunk: AddrRange) -> u64 {
    /// Below it a page more or less does not matter, and the look-up would.
    const LARGE: u64 = 64 << 10;
    if chunk.len() < LARGE { chunk.len() } else { memory.pages().resident(chunk) }
}
