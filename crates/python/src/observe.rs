//! Everything of one Python process: found, walked, and turned into the facts of a case.

use crate::alloc::find_arenas;
use crate::alloc::pymalloc::Pymalloc;
use crate::details::Details;
use crate::find::{self, Interpreter, Refusal};
use crate::heap::{self, Heap, Places};
use crate::held::ObjectMemory;
use crate::layout::Layouts;
use crate::locks::{self, Observed};
use crate::runtime::{self, InterpreterState};
use crate::thread_names::thread_names;
use crate::threads::PythonThreads;
use crate::{closeups, free_lists, gc, places, reach, roots, sampled, type_cache, type_rows};
use memwhy_model::{
    Addr, AddrRange, Case, Closeups, Flags, FreeList, GcFacts, HeapBuilder, InterpreterFacts,
    Layer, LockFacts, ObjectId, Owner, PageState, Partition, ProblemKind, Problems, PythonAbout,
    SourcePlaces, TaskFacts, ThreadFacts,
};
use memwhy_native::alloc::glibc::Glibc;
use memwhy_native::alloc::mimalloc::Mimalloc;
use memwhy_native::alloc::stand_in::Walked;
use memwhy_native::{Image, Images};
use memwhy_target::progress::{self, Step};
use memwhy_target::{Memory, Thread, View};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Chunks of the stack that Python frames lie on, of one thread.
const MOST_STACK_CHUNKS: usize = 1 << 16;
/// An interpreter that has just started has more objects.
const FEWEST_OBJECTS: usize = 5000;
/// Rows of the tables that name what pins memory.
const PINS_NAMED: usize = 8;

/// Who serves `malloc`, as far as it was walked.
#[derive(Clone, Copy, Debug)]
pub enum Malloc<'a> {
    /// glibc.
    Glibc(&'a Glibc),
    /// Another one.
    StandIn(&'a Walked),
    /// It is not known, or could not be walked: memory is searched word by word.
    Unknown,
}

impl<'a> Malloc<'a> {
    const fn parts(self) -> (Option<&'a Glibc>, Option<&'a Walked>) {
        match self {
            Self::Glibc(glibc) => (Some(glibc), None),
            Self::StandIn(walked) => (None, Some(walked)),
            Self::Unknown => (None, None),
        }
    }
}

/// A Python process, observed.
#[derive(Debug)]
pub struct Python {
    interpreter: Interpreter,
    pub(crate) pymalloc: Pymalloc,
    pub(crate) mimalloc: Option<Mimalloc>,
    pub(crate) heap: Heap,
    gc: Option<GcFacts>,
    interpreters: Vec<InterpreterFacts>,
    free_lists: Vec<FreeList>,
    sources: SourcePlaces,
    closeups: Closeups,
    threads: PythonThreads,
    locks: Observed,
    /// Memory of the interpreter itself: the runtime, the stacks of Python frames.
    own: Vec<AddrRange>,
}

impl Python {
    /// Finds the interpreter, and walks its allocator and its objects.
    ///
    /// # Errors
    /// If there is no interpreter, or one that cannot be read: a sentence for the user.
    pub fn observe(
        view: &View,
        images: &Images,
        malloc: Malloc<'_>,
        native: &[Thread],
        problems: &mut Problems,
    ) -> Result<Self, Refusal> {
        let interpreter = find::find(view, images, problems)?;
        Ok(Self::of(interpreter, view, images, malloc, native, problems))
    }

    /// Walks the allocator and the objects of an interpreter that was found.
    ///
    /// Whatever does not hold of what its layouts say is among the problems.
    #[must_use]
    pub fn of(
        interpreter: Interpreter,
        view: &View,
        images: &Images,
        malloc: Malloc<'_>,
        native: &[Thread],
        problems: &mut Problems,
    ) -> Self {
        let (malloc, stand_in) = malloc.parts();
        let layouts = interpreter.layouts;
        let interpreters = runtime::interpreters(view, &interpreter, problems);
        let pymalloc = find_arenas::walk(view, &interpreter, &interpreters, problems);
        // Without GIL, and with PYTHONMALLOC=mimalloc.
        let own = pymalloc.arenas.is_empty();
        let mimalloc = own.then(|| Mimalloc::walk(view, images, &interpreter.image, problems));
        let mimalloc = mimalloc.flatten();
        // Of the interpreter all data counts: constants on pages that nobody has touched are in
        // its file.
        let others = images.0.iter().filter(|image| image.path != interpreter.image);
        let others: Vec<AddrRange> = others.flat_map(|image| image.data.clone()).collect();
        let mut data = view.pages().present(&others);
        data.extend(interpreter.all_data.iter().copied());
        let places = Places {
            pymalloc: &pymalloc,
            mimalloc: mimalloc.as_ref(),
            malloc,
            stand_in,
            data,
            wild: if mimalloc.is_some() || malloc.is_some() || stand_in.is_some() {
                Vec::new()
            } else {
                wild(view, &pymalloc)
            },
        };
        let (mut builder, mut heap) =
            heap::walk(view, &layouts, interpreter.type_type, &places, problems);
        if pymalloc.arenas.is_empty() && mimalloc.is_none() {
            expect_objects(&interpreter, &mut builder, problems);
        }
        let refused = sampled::check(view, &layouts, &heap.types, &mut builder, problems);
        let modules = interpreters.first().and_then(|state| state.modules);
        let names = modules
            .and_then(|modules| thread_names(view, &layouts, modules).ok())
            .unwrap_or_default();
        let sources = roots::Sources {
            view,
            interpreter: &interpreter,
            interpreters: &interpreters,
            heap: &heap,
            pymalloc: &pymalloc,
            mimalloc: mimalloc.as_ref(),
            malloc,
            images,
            threads: native,
            thread_names: &names,
        };
        progress::begin(Step::Keeping, 0);
        roots::collect(&sources, &mut builder);
        let by_c = |root: &memwhy_model::Root| !root.kind.certain();
        let searched = builder.is_complete() && builder.graph().roots().iter().any(by_c);
        reach::mark(&mut builder, &heap.types, searched);
        let rows = type_rows::of(view, &layouts, images, &interpreter.image, &heap.types);
        heap.graph = builder.finish(rows);
        let image = images.by_path(&interpreter.image);
        let (gc, states) =
            inside(view, &interpreter, &interpreters, &mut heap, (image, native), problems);
        let kept = free_lists::Sources {
            memory: view,
            python: &interpreter,
            interpreters: &interpreters,
            image,
            pymalloc: &pymalloc,
            mimalloc: mimalloc.as_ref(),
            malloc,
        };
        let mut free_lists: Vec<FreeList> = heap.free_list.take().into_iter().collect();
        free_lists.extend(free_lists::collect(&kept, problems));
        let sources = places::collect(view, &layouts, &heap.graph);
        let closeups = closeups::collect(view, &layouts, &heap.types, &heap.graph);
        let own = own_memory(view, &interpreter, &interpreters);
        // Calls lead to code, and what reads that would invent it.
        let has_code = !refused.contains(&"code");
        let threads = has_code
            .then(|| PythonThreads::observe(view, images, &interpreter, &interpreters, problems));
        let known = locks::Known {
            images,
            python: &interpreter,
            interpreters: &interpreters,
            native,
            now_s: view.process().map(memwhy_target::Process::now_s),
        };
        let locks = locks::observe(view, &heap, known, problems);
        let mut python = Self {
            interpreter,
            pymalloc,
            mimalloc,
            heap,
            gc,
            interpreters: states,
            free_lists,
            sources,
            closeups,
            threads: threads.unwrap_or_default(),
            locks,
            own,
        };
        python.name_sparse_pools();
        python.name_sparse_pages();
        python
    }

    /// Which interpreter it is.
    #[must_use]
    pub fn about(&self) -> PythonAbout {
        self.interpreter.about()
    }

    /// Its objects.
    #[must_use]
    pub const fn graph(&self) -> &memwhy_model::HeapGraph {
        &self.heap.graph
    }

    /// Where things are in it.
    #[must_use]
    pub const fn layouts(&self) -> &Layouts {
        &self.interpreter.layouts
    }

    /// Who owns the chunk whose memory begins at `addr`, if it is Python's.
    #[must_use]
    pub fn owner_of(&self, addr: Addr) -> Option<Owner> {
        let free = || self.heap.free_numbers.binary_search(&addr).is_ok();
        let object = self.heap.owner_of(addr).map(|id| self.owner(id));
        object.or_else(|| free().then_some(Owner::PythonFree))
    }

    /// Who owns what an object takes.
    fn owner(&self, object: ObjectId) -> Owner {
        let flags = self.heap.graph.flags(object);
        if flags.has(Flags::GARBAGE) {
            Owner::PythonGarbage
        } else if flags.has(Flags::ORPHAN) {
            Owner::PythonOrphans
        } else {
            Owner::PythonObjects
        }
    }

    /// Says of the chunks that pin memory which Python object is in them.
    pub fn name_pins(&self, malloc: &mut Glibc) {
        for arena in &mut malloc.facts.arenas {
            let last = arena.last_in_use.and_then(|(memory, _)| self.heap.owner_of(memory));
            arena.last_in_use_owner = last.map(|id| self.heap.graph.addr(id));
        }
        let owners = malloc.lone.iter().filter_map(|memory| self.heap.owner_of(*memory));
        malloc.facts.pins.lone_by_type = self.most_common(owners);
    }

    /// The types of the objects that keep pools which are nearly empty.
    fn name_sparse_pools(&mut self) {
        let sparse = self
            .pymalloc
            .pools
            .iter()
            .filter(|pool| pool.used > 0 && u64::from(pool.used) * 8 < u64::from(pool.blocks));
        let keepers = sparse.filter_map(|pool| {
            let live = (0..pool.blocks).filter(|index| self.pymalloc.is_live(pool, *index));
            live.map(|index| self.pymalloc.block_addr(pool, index))
                .find_map(|block| self.occupant(AddrRange::sized(block, u64::from(pool.block))))
        });
        let named = self.most_common(keepers);
        self.pymalloc.facts.pinned_by_type = named;
    }

    /// The same of mimalloc's pages.
    fn name_sparse_pages(&mut self) {
        let Some(mimalloc) = &self.mimalloc else { return };
        let sparse = mimalloc.pages.iter().filter(|page| page.is_sparse());
        let keepers = sparse.filter_map(|page| {
            mimalloc
                .in_use(page)
                .find_map(|block| self.occupant(AddrRange::sized(block, page.block)))
        });
        let named = self.most_common(keepers);
        if let Some(mimalloc) = &mut self.mimalloc {
            mimalloc.facts.pinned_by_type = named;
        }
    }

    /// Who owns a block in use of an allocator that stands in, if it is Python's.
    #[must_use]
    pub fn owner_of_block(&self, block: AddrRange) -> Option<Owner> {
        self.occupant(block).map(|object| self.owner(object))
    }

    /// The object in a block, or the one whose buffer the block is.
    fn occupant(&self, block: AddrRange) -> Option<ObjectId> {
        self.object_in(block).or_else(|| self.heap.owner_of(block.start))
    }

    fn most_common(&self, objects: impl Iterator<Item = ObjectId>) -> Vec<(String, u64)> {
        let mut counts: FxHashMap<u32, u64> = FxHashMap::default();
        for object in objects {
            *counts.entry(self.heap.graph.type_of(object).0).or_default() += 1;
        }
        let mut rows: Vec<(u32, u64)> = counts.into_iter().collect();
        rows.sort_unstable_by_key(|(ty, count)| (std::cmp::Reverse(*count), *ty));
        let name = |ty: u32| self.heap.types.get(ty as usize).map(|info| info.name.clone());
        rows.into_iter()
            .take(PINS_NAMED)
            .filter_map(|(ty, count)| Some((name(ty)?, count)))
            .collect()
    }

    /// The segments of the interpreter's own mimalloc, where objects are in one.
    #[must_use]
    pub fn segments(&self) -> Vec<AddrRange> {
        self.mimalloc.iter().flat_map(Mimalloc::segments).collect()
    }

    /// Claims pymalloc's arenas, static objects, and the interpreter's own memory.
    pub fn claim(&self, claims: &mut Partition) {
        for range in &self.own {
            claims.claim(Layer::Region, *range, Owner::PythonRuntime);
        }
        for range in &self.heap.statics {
            claims.claim(Layer::Block, *range, Owner::PythonObjects);
        }
        if let Some(mimalloc) = &self.mimalloc {
            self.claim_mimalloc(mimalloc, claims);
        }
        for arena in &self.pymalloc.arenas {
            claims.claim(Layer::Chunk, *arena, Owner::PymallocFree);
        }
        for pool in &self.pymalloc.pools {
            let first = self.pymalloc.block_addr(pool, 0);
            let header = AddrRange::new(pool.base, first);
            claims.claim(Layer::Block, header, Owner::PythonRuntime);
            for index in 0..pool.blocks {
                let addr = self.pymalloc.block_addr(pool, index);
                let block = AddrRange::sized(addr, u64::from(pool.block));
                let owner = if self.pymalloc.is_live(pool, index) {
                    let occupant = self.occupant(block);
                    occupant.map_or(Owner::PythonRuntime, |object| self.owner(object))
                } else {
                    Owner::PymallocFree
                };
                claims.claim(Layer::Block, block, owner);
            }
        }
    }

    fn claim_mimalloc(&self, mimalloc: &Mimalloc, claims: &mut Partition) {
        mimalloc.claim(claims, |page, addr| {
            let block = AddrRange::sized(addr, page.block);
            self.occupant(block).map_or(Owner::PythonRuntime, |object| self.owner(object))
        });
    }

    /// The object in a block: at its start, or behind what may lie before it.
    pub(crate) fn object_in(&self, block: AddrRange) -> Option<ObjectId> {
        let places = (0..=64).step_by(16).map(|before| block.start.at(before));
        places
            .take_while(|at| block.contains(*at))
            .find_map(|at| self.heap.index.find(&self.heap.graph, at))
    }

    /// Its objects as holders of memory of C.
    #[must_use]
    pub const fn memory<'a>(&'a self, view: &'a View) -> ObjectMemory<'a> {
        ObjectMemory::of(self, view)
    }

    /// The threads of Python.
    pub fn take_threads(&mut self) -> PythonThreads {
        std::mem::take(&mut self.threads)
    }

    /// Every lock and task; says of each thread what it waits for.
    #[must_use]
    pub fn join_locks(&mut self, threads: &mut [ThreadFacts]) -> (Vec<LockFacts>, Vec<TaskFacts>) {
        std::mem::take(&mut self.locks).join(threads)
    }

    /// Moves the facts into a case; `view` is kept for as long as the case is, to look at single
    /// objects.
    pub fn fill(self, view: Arc<View>, case: &mut Case) {
        let details = Details::new(view, &self.interpreter.layouts, self.heap.types);
        case.details = Some(Arc::new(details));
        case.heap = Some(self.heap.graph);
        case.mimalloc = self.mimalloc.map(|mimalloc| mimalloc.facts);
        case.pymalloc = Some(self.pymalloc.facts).filter(|_| case.mimalloc.is_none());
        case.free_lists = self.free_lists;
        case.interpreters = self.interpreters;
        case.gc = self.gc;
        case.places = self.sources;
        case.closeups = self.closeups;
    }
}

/// With `PYTHONMALLOC=malloc` there are no arenas: then the objects are in malloc's chunks.
fn expect_objects(python: &Interpreter, builder: &mut HeapBuilder, problems: &mut Problems) {
    if builder.graph().len() >= FEWEST_OBJECTS {
        return;
    }
    problems.note(ProblemKind::CalibrationFailed, || {
        if python.build.free_threaded {
            "mimalloc's segments, in which objects of a build without GIL are, were not found"
        } else {
            "pymalloc's arenas were not found, nor are the objects in malloc's chunks"
        }
        .into()
    });
    builder.incomplete();
}

/// The state of the main interpreter's collector, and every interpreter with what it has of its own.
fn inside(
    view: &View,
    python: &Interpreter,
    interpreters: &[InterpreterState],
    heap: &mut Heap,
    (image, native): (Option<&Image>, &[Thread]),
    problems: &mut Problems,
) -> (Option<GcFacts>, Vec<InterpreterFacts>) {
    let main = interpreters.first().and_then(|state| state.gc);
    let collector = gc::Source {
        memory: view,
        layouts: &python.layouts,
        image,
        state: main,
        modules: interpreters.first().and_then(|state| state.modules),
        one_of_several: interpreters.iter().any(|other| other.gc.is_some() && other.gc != main),
    };
    let gc = collector.facts(&mut heap.graph, problems);
    let facts = interpreters.iter().enumerate().map(|(number, state)| {
        let own = state.gc.filter(|gc| Some(*gc) != main);
        let own = own.map(|gc| gc::Source { state: Some(gc), modules: state.modules, ..collector });
        let gc = own.and_then(|own| own.facts(&mut heap.graph, problems));
        let seen = (&heap.graph, heap.types.as_slice());
        InterpreterFacts {
            gc,
            type_cache: type_cache::read(view, python, image, state.addr, seen, problems),
            ..runtime::facts(view, python, (number, state), native)
        }
    });
    (gc, facts.collect())
}

/// Writable anonymous memory that may hold objects, where malloc's chunks cannot tell which.
fn wild(view: &View, pymalloc: &Pymalloc) -> Vec<AddrRange> {
    let anonymous = view.maps().0.iter().filter(|m| m.anonymous() && m.writable() && m.private());
    let ranges: Vec<AddrRange> = anonymous.map(memwhy_target::Mapping::range).collect();
    let filled = ranges.iter().flat_map(|range| view.pages().within(*range));
    let filled = filled.filter(|run| run.state != PageState::Zero).map(|run| run.range);
    filled.filter(|range| !pymalloc.covers(range.start)).collect()
}

/// The runtime's state and the chunks that the frames of threads lie in.
fn own_memory(
    memory: &dyn Memory,
    python: &Interpreter,
    interpreters: &[InterpreterState],
) -> Vec<AddrRange> {
    let layouts = &python.layouts;
    let mut own = Vec::new();
    if let (Some(at), Some(fields)) = (python.runtime, layouts.runtime_state) {
        own.push(AddrRange::sized(at, fields.size));
    }
    let (Some(first), Some(chunk)) = (layouts.thread_state.datastack_chunk, layouts.stack_chunk)
    else {
        return own;
    };
    for thread in interpreters.iter().flat_map(|state| &state.threads) {
        let head = first.read(memory, thread.state).ok().flatten();
        let next = |at| chunk.previous.read(memory, at).ok().flatten();
        let (chunks, _) = runtime::walk_list(head, MOST_STACK_CHUNKS, next);
        let sized = chunks.into_iter().filter_map(|at| {
            let size = chunk.chunk_size.read(memory, at).ok()?;
            (size < 1 << 32).then(|| AddrRange::sized(at, size))
        });
        own.extend(sized);
    }
    own
}
