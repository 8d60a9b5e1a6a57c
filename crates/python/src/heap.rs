//! Which objects does the process have, how big are they, and what do they refer to?
//!
//! In two passes. The first finds every object: in the blocks of pymalloc, in chunks of malloc, in
//! the data of loaded images. The second, in address order, asks each object's kind for its size
//! and its pointers; a pointer to an object is a reference, one to the start of another block
//! makes that block a buffer of the object.

use crate::alive::{alive, are_addresses, items_fit};
use crate::alloc::debug;
use crate::alloc::numbers;
use crate::alloc::pymalloc::{Pool, Pymalloc, read_pool};
use crate::buffers::{Buffers, resident};
use crate::kinds;
use crate::layout::tables::object::{Count, Refcount};
use crate::layout::{Layouts, NumberBlocks, TypeFlags};
use crate::object::Object;
use crate::types::{TypeInfo, Types};
use memwhy_model::{
    Addr, AddrRange, Flags, FreeList, HeapBuilder, HeapGraph, ObjectId, ProblemKind, Problems,
    TypeId,
};
use memwhy_native::alloc::glibc::Glibc;
use memwhy_native::alloc::mimalloc::{Mimalloc, Page};
use memwhy_native::alloc::stand_in::Walked;
use memwhy_target::progress::{self, Step};
use memwhy_target::{Fault, MAX_READ, Memory, MemoryExt, View};
use rustc_hash::FxHashMap;

/// Bytes of an object that are read at once; the fields of larger ones are read when asked for.
const HEAD: usize = 512;

/// `_Py_REF_DEFERRED` (without GIL) is an eighth of what a count can be: objects that have it are
/// referred to by frames that do not count.
const DEFERRED: u64 = 1 << 58;

/// Bytes of a block that are looked at: what may lie before an object, and its first words.
const BLOCK_HEAD: usize = 96;

/// `_Py_MIMALLOC_HEAP_MEM`, the heap of what is no object.
const MEMORY_HEAP: u8 = 0;

/// Where images that are not position-independent begin. Smaller counts are no addresses, and
/// larger ones are rarely counts.
const LOWEST_IMAGE: u64 = 0x40_0000;

/// The objects of a process, and which memory is theirs.
#[derive(Debug)]
pub struct Heap {
    /// The objects.
    pub graph: HeapGraph,
    /// What is known of each type, by [`TypeId`].
    pub types: Vec<TypeInfo>,
    /// Blocks and chunks that hold an object or belong to one: where each begins, and whose it is.
    owners: FxHashMap<u64, ObjectId>,
    /// Static objects: ranges in the data of images.
    pub statics: Vec<AddrRange>,
    /// Blocks of malloc for numbers, without any, ascending: where each begins.
    pub free_numbers: Vec<Addr>,
    /// What the lists of free numbers come to, where there are such blocks.
    pub free_list: Option<FreeList>,
    /// From addresses to the objects of the graph.
    pub(crate) index: Index,
}

/// Where to look for objects.
#[derive(Debug)]
pub struct Places<'a> {
    /// The small-object allocator.
    pub pymalloc: &'a Pymalloc,
    /// mimalloc, if the objects are in it.
    pub mimalloc: Option<&'a Mimalloc>,
    /// malloc, if it could be walked.
    pub malloc: Option<&'a Glibc>,
    /// What stands in for malloc, if that could be walked.
    pub stand_in: Option<&'a Walked>,
    /// Present parts of the writable data of images.
    pub data: Vec<AddrRange>,
    /// Anonymous memory of unknown management, to be searched word by word: where malloc is not
    /// glibc's.
    pub wild: Vec<AddrRange>,
}

/// Finds and reads every object. `root` is the address of `type`.
#[must_use]
pub fn walk(
    view: &View,
    layouts: &Layouts,
    root: Addr,
    places: &Places<'_>,
    problems: &mut Problems,
) -> (HeapBuilder, Heap) {
    let mut finder = Finder {
        memory: view,
        layouts,
        types: Types::new(view, layouts, root),
        heap: HeapBuilder::default(),
        in_chunks: Vec::new(),
        statics: Vec::new(),
        data: &places.data,
        debug: false,
        number_blocks: numbers::Blocks::default(),
    };
    let parts = places.pymalloc.pools.len() + places.mimalloc.map_or(0, |found| found.pages.len());
    progress::begin(Step::Finding, parts as u64);
    finder.pools(places.pymalloc, problems);
    match (places.mimalloc, places.malloc) {
        // Where objects are in mimalloc, all of them are, whatever their size.
        (Some(mimalloc), _) => finder.pages(mimalloc, problems),
        (None, Some(malloc)) => finder.chunks(malloc, places.pymalloc),
        (None, None) => match places.stand_in {
            Some(walked) => finder.blocks(walked, places.pymalloc),
            None => finder.heap.incomplete(),
        },
    }
    for range in &places.wild {
        finder.words(*range, Flags::default());
    }
    finder.static_types(&places.data);
    for range in &places.data {
        finder.words(*range, Flags::STATIC);
    }
    let Finder { types, mut heap, in_chunks, statics, debug, number_blocks, .. } = finder;
    let shape = layouts.number_blocks;
    let free_numbers = shape.map(|shape| number_blocks.free(view, &shape)).unwrap_or_default();
    let free_list = shape.map(|shape| number_blocks.facts(&shape, free_numbers.len() as u64));
    heap.seal_objects();
    let mut reader = Reader {
        memory: view,
        layouts,
        types: types.infos().to_vec(),
        index: Index::of(heap.graph()),
        buffers: Buffers::new(view, places, debug),
    };
    for (block, object) in in_chunks {
        if let Some(id) = reader.index.find(heap.graph(), object) {
            reader.buffers.occupy(block, id);
        }
    }
    reader.read(&mut heap, problems);
    let Reader { types: infos, buffers, index, .. } = reader;
    let graph = HeapGraph::default();
    let owners = buffers.owners();
    (heap, Heap { graph, types: infos, owners, statics, free_numbers, free_list, index })
}

impl Heap {
    /// The object that is in the block or chunk that begins at `addr`, or that owns it.
    #[must_use]
    pub fn owner_of(&self, addr: Addr) -> Option<ObjectId> {
        self.owners.get(&addr.0).copied()
    }
}

/// The first pass.
pub(crate) struct Finder<'m> {
    pub(crate) memory: &'m View,
    pub(crate) layouts: &'m Layouts,
    pub(crate) types: Types<'m>,
    pub(crate) heap: HeapBuilder,
    /// Chunks with an object in them: memory of the chunk, address of the object.
    in_chunks: Vec<(Addr, Addr)>,
    pub(crate) statics: Vec<AddrRange>,
    /// Variables of images.
    pub(crate) data: &'m [AddrRange],
    /// Whether blocks carry what `PYTHONMALLOC=debug` puts before them.
    debug: bool,
    number_blocks: numbers::Blocks,
}

impl Finder<'_> {
    fn pools(&mut self, pymalloc: &Pymalloc, problems: &mut Problems) {
        // A few come of a process that runs on; many, of a table that is wrong.
        if pymalloc.facts.torn_pools.saturating_mul(100) > pymalloc.facts.used_pools {
            self.heap.incomplete();
        }
        let size = usize::try_from(self.layouts.pymalloc.pool_size).unwrap_or(0);
        let mut bytes = vec![0; size];
        for pool in &pymalloc.pools {
            progress::add(1);
            if read_pool(self.memory, self.layouts, pool.base, &mut bytes).is_err() {
                problems.note(ProblemKind::UnreadablePointer, || format!("pool {}", pool.base));
                self.heap.incomplete();
                continue;
            }
            self.pool(pymalloc, pool, &bytes);
        }
    }

    fn pool(&mut self, pymalloc: &Pymalloc, pool: &Pool, bytes: &[u8]) {
        let room = u64::from(pool.block);
        for index in (0..pool.blocks).filter(|index| pymalloc.is_live(pool, *index)) {
            let addr = pymalloc.block_addr(pool, index);
            let at = addr.checked_since(pool.base).and_then(|at| usize::try_from(at).ok());
            let Some(block) = at.and_then(|at| bytes.get(at..at + pool.block as usize)) else {
                continue;
            };
            if let Some((object, ty, flags)) = self.classify(addr, block, room) {
                self.heap.push(object, ty, room, flags);
            }
        }
    }

    /// Takes the objects in blocks of mimalloc.
    fn pages(&mut self, mimalloc: &Mimalloc, problems: &mut Problems) {
        if mimalloc.facts.torn_pages > 0 {
            self.heap.incomplete();
        }
        for page in &mimalloc.pages {
            progress::add(1);
            // The heap tells what its blocks are for, where each has its own.
            let raw = self.layouts.build.free_threaded && page.tag == MEMORY_HEAP;
            if raw {
                continue;
            }
            if self.page(mimalloc, page).is_err() {
                let name = || format!("mimalloc's page at {}", page.start);
                problems.note(ProblemKind::UnreadablePointer, name);
                self.heap.incomplete();
            }
        }
    }

    fn page(&mut self, mimalloc: &Mimalloc, page: &Page) -> Result<(), Fault> {
        let head = page.block.min(BLOCK_HEAD as u64);
        let len = page.block.saturating_mul(page.blocks.into());
        // Small blocks are read together, of large ones only what they begin with.
        let small = page.block <= BLOCK_HEAD as u64 * 8;
        let bytes = if small { self.memory.bytes(page.start, len, MAX_READ)? } else { Vec::new() };
        let mut buf = [0; BLOCK_HEAD];
        for index in (0..page.blocks).filter(|index| mimalloc.is_live(page, *index)) {
            let addr = page.block_addr(index);
            let block = if small {
                let at = usize::try_from(u64::from(index) * page.block).unwrap_or(usize::MAX);
                let end = at.saturating_add(usize::try_from(head).unwrap_or(0));
                bytes.get(at..end).unwrap_or_default()
            } else {
                self.memory.read(addr, &mut buf)?;
                &buf[..]
            };
            if let Some((object, ty, flags)) = self.classify(addr, block, page.block) {
                let taken = resident(self.memory, AddrRange::sized(addr, page.block));
                self.heap.push(object, ty, taken, flags);
            }
        }
        Ok(())
    }

    fn chunks(&mut self, malloc: &Glibc, pymalloc: &Pymalloc) {
        if !malloc.complete() {
            self.heap.incomplete();
        }
        for chunk in malloc.chunks.iter().filter(|chunk| chunk.in_use()) {
            self.block(chunk.memory(), chunk.usable(), chunk.range(), pymalloc);
        }
    }

    /// Takes the objects in blocks of an allocator that stands in for malloc.
    fn blocks(&mut self, walked: &Walked, pymalloc: &Pymalloc) {
        if !walked.complete() {
            self.heap.incomplete();
        }
        for block in &walked.used {
            self.block(block.start, block.len(), *block, pymalloc);
        }
    }

    /// Takes what is in `room` bytes that malloc gave out at `at`, of which `taken` is what it costs.
    fn block(&mut self, at: Addr, room: u64, taken: AddrRange, pymalloc: &Pymalloc) {
        if pymalloc.covers(at) {
            return;
        }
        let mut head = [0; BLOCK_HEAD];
        let len = usize::try_from(room.min(BLOCK_HEAD as u64)).unwrap_or(0) & !7;
        let head = head.get_mut(..len).unwrap_or_default();
        if self.memory.read(at, head).is_err() {
            return;
        }
        if let Some((object, ty, flags)) = self.classify(at, head, room) {
            self.heap.push(object, ty, resident(self.memory, taken), flags);
            self.in_chunks.push((at, object));
        } else if let Some(shape) = self.layouts.number_blocks {
            let prefix = debug::prefix(head);
            self.numbers(&shape, at, prefix, room);
        }
    }

    /// Takes the numbers of 2.7 in a chunk, if it is a block of them.
    ///
    /// It begins `prefix` bytes into the chunk.
    fn numbers(&mut self, shape: &NumberBlocks, chunk: Addr, prefix: u64, room: u64) {
        let (at, room) = (chunk.at(prefix), room.saturating_sub(prefix));
        // malloc rounds up to 16 bytes, and gives what is left over too where it is less than 32;
        // debugging puts 16 behind a block.
        if room < shape.size() || room > shape.size() + 48 {
            return;
        }
        let Ok(bytes) = self.memory.bytes(at, shape.size(), MAX_READ) else { return };
        let types = &mut self.types;
        let mut ty = None;
        let found = numbers::cells(shape, &bytes, &mut |addr| {
            ty = types.at(addr);
            let info = ty.and_then(|id| types.info(id));
            info.is_some_and(|info| NumberBlocks::hold(&info.name) && info.basicsize == shape.cell)
        });
        let (Some(found), Some(ty)) = (found, ty) else {
            if numbers::may_be_free(shape, &bytes) {
                self.number_blocks.maybe(at, chunk);
            }
            return;
        };
        self.number_blocks.used(shape, at, found.len() as u64);
        for (cell, index) in found.iter().zip(0..) {
            let object = at.at(*cell);
            self.heap.push(object, ty, shape.cell, Flags::default());
            if index == 0 {
                self.in_chunks.push((chunk, object));
            }
        }
    }

    /// The object in the block of `room` bytes at `addr`, which begins with `bytes`.
    ///
    /// Where in its block an object begins is dictated by its type, so at most one place fits.
    fn classify(&mut self, addr: Addr, bytes: &[u8], room: u64) -> Option<(Addr, TypeId, Flags)> {
        let (prefix, bytes) = debug::strip(bytes)?;
        self.debug |= prefix > 0;
        let (addr, room) = (addr.at(prefix), room.saturating_sub(prefix));
        let gc = self.layouts.pre_header.gc_head;
        // Nothing before the object is tried first: the digits of an integer may be the address of
        // a type (`id(int)`), where the words before an object never are.
        for pre in [0, gc, gc + 16] {
            let at = usize::try_from(pre).ok()?;
            let Some(object) = bytes.get(at..) else { continue };
            let Some(Some(ty)) = self.layouts.object.ob_type.from(object) else { continue };
            let Some(id) = self.types.at(ty) else { continue };
            let Some(info) = self.types.info(id) else { continue };
            if info.pre != pre || info.pre + info.least > room {
                continue;
            }
            if !items_fit(self.layouts, info, object, room - info.pre) {
                continue;
            }
            let Some(mut flags) = alive(&self.layouts.object.refcount, object) else { continue };
            if pre > gc && !are_addresses(bytes.get(..16).unwrap_or_default()) {
                continue;
            }
            // A key and a value of a dict, where the image lies low: an address, then a type.
            if self.begins_with_address(object, LOWEST_IMAGE) {
                continue;
            }
            if info.has(TypeFlags::HAVE_GC) && self.is_tracked(bytes, pre) {
                flags = flags.and(Flags::TRACKED);
            }
            return Some((addr.at(pre), id, flags));
        }
        None
    }

    /// Whether what should be a count of references, if it is `lowest` or more, is an address.
    pub(crate) fn begins_with_address(&self, object: &[u8], lowest: u64) -> bool {
        // Without GIL every object begins with the address of the thread that owns it.
        let Some(word) = self.layouts.object.refcount.word(object) else { return false };
        word >= lowest && self.memory.maps().find(Addr(word)).is_some()
    }

    /// Whether the collector's header, which ends where the object begins, is linked.
    fn is_tracked(&self, block: &[u8], pre: u64) -> bool {
        if let Refcount::Shared { gc_bits, .. } = self.layouts.object.refcount {
            let at = usize::try_from(pre).unwrap_or(usize::MAX);
            let bits = gc_bits.from(block.get(at..).unwrap_or_default());
            // `_PyGC_BITS_TRACKED`.
            return bits.is_some_and(|bits| bits & 1 != 0);
        }
        let Some(head) = self.layouts.gc_head else { return false };
        let at = usize::try_from(pre.saturating_sub(head.size)).unwrap_or(0);
        let bytes = block.get(at..).unwrap_or_default();
        match head.refs {
            // `_PyGC_REFS_UNTRACKED`.
            Some(refs) => refs.from(bytes).is_some_and(|refs| refs != -2),
            None => head.next.from(bytes).is_some_and(|next| next != 0),
        }
    }
}

/// The second pass.
struct Reader<'a> {
    memory: &'a View,
    layouts: &'a Layouts,
    types: Vec<TypeInfo>,
    index: Index,
    buffers: Buffers<'a>,
}

impl Reader<'_> {
    fn read(&mut self, heap: &mut HeapBuilder, problems: &mut Problems) {
        let mut references = Vec::new();
        let mut buffers = Vec::new();
        let mut kept = self.kept(heap.graph());
        progress::begin(Step::Reading, heap.graph().len() as u64);
        for id in heap.graph().ids() {
            progress::add(1);
            references.clear();
            buffers.clear();
            let graph = heap.graph();
            let block = graph.footprint(id).0;
            let Some(info) = self.types.get(graph.type_of(id).0 as usize) else {
                heap.push_references([]);
                continue;
            };
            let addr = graph.addr(id);
            let mut first = [0; HEAD];
            let bytes = self.head(addr, info, &mut first);
            let object =
                Object { memory: self.memory, layouts: self.layouts, ty: info, addr, head: bytes };
            // A count that is written while it is read, or was put off (without GIL), is none.
            let count = match self.layouts.object.refcount.of(bytes) {
                Some(Count::Mortal(count)) => u64::try_from(count).ok().filter(|n| *n < DEFERRED),
                Some(Count::Immortal) | None => None,
            };
            let before = kinds::before_object(self.layouts, &object);
            let shallow = info.kind.shallow(&object);
            let mut each = |to: Addr| match self.index.find(graph, to) {
                Some(target) => references.push(target),
                None => buffers.push(to),
            };
            let pointers = info.kind.pointers(&object, &mut each);
            let failed = shallow.as_ref().err().or(pointers.as_ref().err()).copied();
            let shallow = shallow.unwrap_or(info.basicsize) + before;
            let mut held = 0;
            for buffer in &buffers {
                let taken = kept.remove(&(id, *buffer));
                let taken = taken.or_else(|| self.buffers.take(*buffer, id));
                let Some((start, size)) = taken else { continue };
                held += size;
                if info.kind.buffers_hold_references() && !object.is_values(*buffer) {
                    let mut each = |to: Addr| references.extend(self.index.find(graph, to));
                    // Memory that ends early has been handed out as far as it goes.
                    let _ = object.pointers(start, size / 8, &mut each);
                }
            }
            if let Some(fault) = failed {
                problems.note(ProblemKind::UnreadablePointer, || {
                    format!("{} at {addr}: {fault}", info.name)
                });
                heap.flag(id, Flags::PARTLY_READ);
            }
            if info.kind.is_interned(&object) {
                heap.flag(id, Flags::INTERNED);
            }
            let block = if block == 0 { shallow } else { block };
            heap.set_size(id, block, shallow, held);
            if let Some(count) = count {
                heap.set_reference_count(id, count);
            }
            heap.push_references(references.drain(..));
        }
    }

    /// The buffers that are surely their objects' own, taken before others that point to them are
    /// met.
    fn kept(&mut self, graph: &HeapGraph) -> FxHashMap<(ObjectId, Addr), (Addr, u64)> {
        let mut kept = FxHashMap::default();
        for id in graph.ids() {
            let Some(info) = self.types.get(graph.type_of(id).0 as usize) else { continue };
            if !info.kind.may_keep() {
                continue;
            }
            let (memory, layouts, addr) = (self.memory, self.layouts, graph.addr(id));
            let object = Object { memory, layouts, ty: info, addr, head: &[] };
            if let Some(buffer) = info.kind.keeps(&object)
                && let Some(taken) = self.buffers.take(buffer, id)
            {
                kept.insert((id, buffer), taken);
            }
        }
        kept
    }

    /// The first bytes of an object: as many as its type says, less where memory ends before.
    fn head<'b>(&self, addr: Addr, info: &TypeInfo, buf: &'b mut [u8; HEAD]) -> &'b [u8] {
        for len in [info.basicsize.clamp(32, HEAD as u64), self.layouts.object.size] {
            let len = usize::try_from(len).unwrap_or(0);
            if buf.get_mut(..len).is_some_and(|part| self.memory.read(addr, part).is_ok()) {
                return buf.get(..len).unwrap_or_default();
            }
        }
        &[]
    }
}

/// From an address to an object, faster than by searching all of them.
#[derive(Debug)]
pub(crate) struct Index {
    /// For each page with objects, the first of them.
    pages: FxHashMap<u64, u32>,
}

impl Index {
    pub(crate) fn of(graph: &HeapGraph) -> Self {
        let mut pages = FxHashMap::default();
        for id in graph.ids() {
            pages.entry(graph.addr(id).0 >> 12).or_insert(id.0);
        }
        Self { pages }
    }

    pub(crate) fn find(&self, graph: &HeapGraph, addr: Addr) -> Option<ObjectId> {
        let first = *self.pages.get(&(addr.0 >> 12))?;
        // At most 4096 / 8 objects begin on a page: a short search.
        let (mut low, mut high) = (first, first.saturating_add(512));
        while low < high {
            let middle = low + (high - low) / 2;
            let at = graph.addr(ObjectId(middle));
            if at == addr {
                return Some(ObjectId(middle));
            }
            // Past the last object `addr` gives zero, which would mislead the search.
            if at < addr && at.0 != 0 { low = middle + 1 } else { high = middle }
        }
        None
    }
}
