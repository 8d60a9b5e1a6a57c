//! Which memory of C do objects lead to?
//!
//! What the search for the holders of malloc's chunks (`memwhy_native::held`) has to know of Python:
//! which chunks are objects' own, what is in the blocks of its allocators, and which types only have
//! data in them.

use crate::Python;
use crate::heap::Heap;
use crate::layout::TypeFlags;
use crate::types::TypeInfo;
use memwhy_model::{Addr, AddrRange, ObjectId};
use memwhy_native::alloc::mimalloc::Mimalloc;
use memwhy_native::held::{Chunk, Objects, Rank, Source, Told};
use memwhy_target::{Memory, View};
use rustc_hash::FxHashSet;
use std::sync::OnceLock;

/// Bytes of a block that are read at once.
const PIECE: u64 = 1 << 20;

/// The objects of a process, as holders of memory.
#[derive(Debug)]
pub struct ObjectMemory<'a> {
    python: &'a Python,
    view: &'a View,
    /// Pairs of types, of which objects of the first refer to objects of the second.
    refers: OnceLock<FxHashSet<(u32, u32)>>,
}

impl<'a> ObjectMemory<'a> {
    pub(crate) const fn of(python: &'a Python, view: &'a View) -> Self {
        Self { python, view, refers: OnceLock::new() }
    }

    const fn heap(&self) -> &Heap {
        &self.python.heap
    }

    fn info(&self, object: ObjectId) -> Option<(u32, &TypeInfo)> {
        let ty = self.heap().graph.type_of(object).0;
        Some((ty, self.heap().types.get(ty as usize)?))
    }

    fn source(&self, object: ObjectId) -> Option<Source> {
        let (holder, info) = self.info(object)?;
        let rank = if leads_to_memory(info) {
            Rank::Type
        } else if info.has(TypeFlags::UNICODE_SUBCLASS) {
            Rank::Text
        } else {
            Rank::Data
        };
        Some(Source { holder, rank })
    }

    /// What a `PyLong` stands for that may be an address. It has digits of 30 bits; addresses have
    /// two, or one where a program is not position-independent. Source: `Objects/longobject.c`.
    fn number(&self, object: ObjectId, start: Addr, block: &[u8]) -> Option<u64> {
        let (_, info) = self.info(object)?;
        if !info.has(TypeFlags::LONG_SUBCLASS) {
            return None;
        }
        let graph = &self.heap().graph;
        let digits = graph.size(object).0.checked_sub(info.basicsize)?;
        let at = graph.addr(object).at(info.basicsize).checked_since(start)?;
        let digits = block.get(usize::try_from(at).ok()?..usize::try_from(at + digits).ok()?)?;
        let digit = |four: &[u8; 4]| u64::from(u32::from_le_bytes(*four));
        match digits.as_chunks::<4>().0 {
            [low] => Some(digit(low)),
            [low, high] => Some(digit(low) | digit(high) << 30),
            _ => None,
        }
    }

    fn pools(&self, each: &mut dyn FnMut(Option<Source>, &[u8])) {
        let pymalloc = &self.python.pymalloc;
        let mut objects = Cursor::new(self.heap());
        let mut bytes = Vec::new();
        for pool in &pymalloc.pools {
            let end = pymalloc.block_addr(pool, pool.blocks);
            let len = usize::try_from(end.0.saturating_sub(pool.base.0)).unwrap_or(0);
            bytes.resize(len, 0);
            // That a pool cannot be read was said when objects were looked for.
            if self.view.read(pool.base, &mut bytes).is_err() {
                continue;
            }
            for index in (0..pool.blocks).filter(|index| pymalloc.is_live(pool, *index)) {
                let block = AddrRange::sized(pymalloc.block_addr(pool, index), pool.block.into());
                let at = usize::try_from(block.start.0 - pool.base.0).unwrap_or(usize::MAX);
                let end = at.saturating_add(pool.block as usize);
                let Some(bytes) = bytes.get(at..end) else { continue };
                self.block(objects.within(block), block.start, bytes, each);
            }
        }
    }

    fn block(
        &self,
        object: Option<ObjectId>,
        start: Addr,
        bytes: &[u8],
        each: &mut dyn FnMut(Option<Source>, &[u8]),
    ) {
        let owner = object.or_else(|| self.heap().owner_of(start));
        let source = owner.and_then(|owner| self.source(owner));
        if source.is_some_and(|source| source.rank == Rank::Text) {
            return;
        }
        if let Some(number) = object.and_then(|object| self.number(object, start, bytes)) {
            each(source, &number.to_le_bytes());
            return;
        }
        let bytes = object.and_then(|object| self.fields(object, start, bytes)).unwrap_or(bytes);
        each(source, bytes);
    }

    /// What of a block an object has: behind its end is what was there before.
    fn fields<'b>(&self, object: ObjectId, start: Addr, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (_, info) = self.info(object)?;
        let graph = &self.heap().graph;
        // With what lies elsewhere (keys of a dict) it is larger than its block, which is then whole.
        let size = graph.size(object).0.saturating_sub(info.pre).max(info.basicsize);
        let end = graph.addr(object).at(size).checked_since(start)?;
        bytes.get(..usize::try_from(end.next_multiple_of(8)).ok()?)
    }

    fn pages(&self, each: &mut dyn FnMut(Option<Source>, &[u8])) {
        let Some(mimalloc) = &self.python.mimalloc else { return };
        let mut objects = Cursor::new(self.heap());
        let mut bytes = Vec::new();
        for page in &mimalloc.pages {
            for start in mimalloc.in_use(page) {
                let block = AddrRange::sized(start, page.block);
                let object = objects.within(block);
                for run in self.view.pages().within(block) {
                    let mut at = run.range.start;
                    while at < run.range.end {
                        let len = PIECE.min(run.range.end.0 - at.0);
                        bytes.resize(usize::try_from(len).unwrap_or(0), 0);
                        if self.view.read(at, &mut bytes).is_ok() {
                            self.block(object, start, &bytes, each);
                        }
                        at = at.at(len);
                    }
                }
            }
        }
    }

    /// Pairs of types of which the first refers to the second.
    fn refers(&self) -> &FxHashSet<(u32, u32)> {
        self.refers.get_or_init(|| {
            let graph = &self.heap().graph;
            let leads = |ty: u32| self.heap().types.get(ty as usize).is_some_and(leads_to_memory);
            let mut pairs = FxHashSet::default();
            let mut last = (0, 0);
            for id in graph.ids() {
                let from = graph.type_of(id).0;
                if !leads(from) {
                    continue;
                }
                for to in graph.references(id) {
                    let pair = (from, graph.type_of(*to).0);
                    if pair != last && pair.0 != pair.1 {
                        pairs.insert(pair);
                        last = pair;
                    }
                }
            }
            pairs
        })
    }
}

impl Objects for ObjectMemory<'_> {
    fn told(&self, chunk: Chunk) -> Option<Told> {
        let start = chunk.memory();
        if self.python.pymalloc.covers(start)
            || self.heap().free_numbers.binary_search(&start).is_ok()
        {
            return Some(Told::Arena);
        }
        let block = AddrRange::sized(start, chunk.usable());
        if let Some(object) = self.python.object_in(block) {
            return self.source(object).map(Told::Own);
        }
        let owner = self.heap().owner_of(start)?;
        let (_, info) = self.info(owner)?;
        // What the kind does not know of may have several owners: the search tells.
        let sure = !leads_to_memory(info) || info.kind.may_keep();
        self.source(owner).filter(|_| sure).map(Told::Buffer)
    }

    fn arenas(&self) -> Vec<AddrRange> {
        let mut arenas = self.python.pymalloc.arenas.clone();
        arenas.extend(self.python.mimalloc.iter().flat_map(Mimalloc::segments));
        arenas
    }

    fn blocks(&self, each: &mut dyn FnMut(Option<Source>, &[u8])) {
        self.pools(each);
        self.pages(each);
    }

    fn name(&self, holder: u32) -> String {
        self.heap().types.get(holder as usize).map(|info| info.name.clone()).unwrap_or_default()
    }

    /// A type whose objects refer to those of another one is further away: elements of a tree keep
    /// their document, and it keeps the nodes.
    fn nearest(&self, holders: &[u32]) -> Vec<u32> {
        if holders.len() < 2 {
            return holders.to_vec();
        }
        let refers = self.refers();
        let is_further = |holder: &u32| {
            let mut others = holders.iter().filter(|other| *other != holder);
            others.any(|other| {
                refers.contains(&(*holder, *other)) && !refers.contains(&(*other, *holder))
            })
        };
        let nearest: Vec<u32> =
            holders.iter().copied().filter(|holder| !is_further(holder)).collect();
        if nearest.is_empty() { holders.to_vec() } else { nearest }
    }
}

/// Whether objects of a type have structs of C that lead to others. What is built in has references
/// and data, but for the kinds that say otherwise.
fn leads_to_memory(info: &TypeInfo) -> bool {
    let built_in = info.name.starts_with("builtins.") && info.kind.names().is_empty();
    info.kind.leads_to_memory() && !built_in
}

/// The objects in blocks that come in ascending order.
struct Cursor<'a> {
    heap: &'a Heap,
    next: u32,
}

impl<'a> Cursor<'a> {
    const fn new(heap: &'a Heap) -> Self {
        Self { heap, next: 0 }
    }

    /// The first object in `block`.
    fn within(&mut self, block: AddrRange) -> Option<ObjectId> {
        let graph = &self.heap.graph;
        let count = u32::try_from(graph.len()).unwrap_or(u32::MAX);
        while self.next < count && graph.addr(ObjectId(self.next)) < block.start {
            self.next += 1;
        }
        let found = ObjectId(self.next);
        (self.next < count && block.contains(graph.addr(found))).then_some(found)
    }
}
