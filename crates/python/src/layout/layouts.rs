//! Which layouts does one build have?

use super::tables::{
    arena_object, array, ascii_object, base_exception, buffered, byte_array, bytes_io,
    bytes_object, cell, class_object, code_object, compact_unicode, deque, deque_block, dict_entry,
    dict_keys, dict_object, dict_unicode_entry, dict_values, frame_object, free_lists,
    function_object, gc_generation, gc_head, gc_state, generator, gil_state, heap_type, instance,
    int_object, interpreter_frame, interpreter_state, list_object, lock, long_object, lru_cache,
    lru_link, memory_view, method, module, object, obmalloc_state, ordered_dict, ordered_dict_node,
    partial, pending_calls, pool_header, property, rlock, runtime_state, set_entry, set_object,
    simple_queue, stack_chunk, stg_dict, stg_info, string_io, task, thread_handle, thread_state,
    traceback, tuple_object, type_object, unicode_object, var_object, wait_entry, weak_reference,
};
use super::{
    ManagedSlots, NumberBlocks, PreHeader, PymallocGeometry, Shape, Spot, StatedSizes, Table,
    Wording, debug_build, facts, stated_sizes, trust, wording,
};
use crate::version::Build;
use memwhy_model::Trust;
use std::fmt;

/// Every layout of one build. A struct that the build does not have is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Layouts {
    /// Whose layouts they are.
    pub build: Build,
    /// What lies before an object, and in which order.
    pub pre_header: PreHeader,
    /// How large arenas and pools of pymalloc are.
    pub pymalloc: PymallocGeometry,
    /// What `__sizeof__` counts.
    pub stated_sizes: StatedSizes,
    /// How objects are printed.
    pub wording: Wording,
    /// Where numbers lie that are in no pool, 2.7.
    pub number_blocks: Option<NumberBlocks>,
    /// Bytes of a `Py_UNICODE` in 2.7: 4, or 2 as a build option. Symbols tell, not structs.
    pub unicode_unit: u64,
    /// What every object begins with.
    pub object: object::Object,
    /// An object with a length.
    pub var_object: var_object::VarObject,
    /// The links of the garbage collector; `None` without GIL.
    pub gc_head: Option<gc_head::GcHead>,
    /// A type.
    pub type_object: type_object::TypeObject,
    /// A type made by a `class` statement.
    pub heap_type: heap_type::HeapType,
    /// A dict.
    pub dict_object: dict_object::DictObject,
    /// An entry with hash.
    pub dict_entry: dict_entry::DictEntry,
    /// An entry without hash, 3.11.
    pub dict_unicode_entry: Option<dict_unicode_entry::DictUnicodeEntry>,
    /// The header of a dict's key table, 3.6.
    pub dict_keys: Option<dict_keys::DictKeys>,
    /// The values of a split dict, 3.11; before, a plain array.
    pub dict_values: Option<dict_values::DictValues>,
    /// A list.
    pub list_object: list_object::ListObject,
    /// A tuple.
    pub tuple_object: tuple_object::TupleObject,
    /// A set.
    pub set_object: set_object::SetObject,
    /// One slot of a set.
    pub set_entry: set_entry::SetEntry,
    /// Bytes, and `str` in 2.7.
    pub bytes_object: bytes_object::BytesObject,
    /// A bytearray.
    pub byte_array: byte_array::ByteArray,
    /// The first part of every `str`, 3.x.
    pub ascii_object: Option<ascii_object::AsciiObject>,
    /// The first parts of a `str` that is not ASCII, 3.x.
    pub compact_unicode: Option<compact_unicode::CompactUnicode>,
    /// A `str` whose text is elsewhere, and `unicode` in 2.7.
    pub unicode_object: unicode_object::UnicodeObject,
    /// An integer.
    pub long_object: long_object::LongObject,
    /// A function.
    pub function_object: function_object::FunctionObject,
    /// Compiled code.
    pub code_object: code_object::CodeObject,
    /// A running call, 3.11.
    pub interpreter_frame: Option<interpreter_frame::InterpreterFrame>,
    /// A frame as Python code sees it.
    pub frame_object: frame_object::FrameObject,
    /// A generator.
    pub generator: generator::Generator,
    /// A module.
    pub module: module::Module,
    /// A cell.
    pub cell: cell::Cell,
    /// A bound method.
    pub method: method::Method,
    /// A view of memory.
    pub memory_view: memory_view::MemoryView,
    /// A weak reference.
    pub weak_reference: weak_reference::WeakReference,
    /// A step of a traceback.
    pub traceback: traceback::Traceback,
    /// The first part of every exception.
    pub base_exception: base_exception::BaseException,
    /// A deque.
    pub deque: Option<deque::Deque>,
    /// A block of a deque.
    pub deque_block: Option<deque_block::DequeBlock>,
    /// An `OrderedDict`, 3.x.
    pub ordered_dict: Option<ordered_dict::OrderedDict>,
    /// A key in the order of an `OrderedDict`, 3.x.
    pub ordered_dict_node: Option<ordered_dict_node::OrderedDictNode>,
    /// An `array.array`.
    pub array: Option<array::Array>,
    /// What `lru_cache` returns, 3.x.
    pub lru_cache: Option<lru_cache::LruCache>,
    /// A remembered call, 3.x.
    pub lru_link: Option<lru_link::LruLink>,
    /// A `functools.partial`.
    pub partial: Option<partial::Partial>,
    /// A property.
    pub property: Option<property::Property>,
    /// A buffered file.
    pub buffered: Option<buffered::Buffered>,
    /// An `io.BytesIO`.
    pub bytes_io: Option<bytes_io::BytesIo>,
    /// The dict of a type of `ctypes`, 3.x up to 3.12.
    pub stg_dict: Option<stg_dict::StgDict>,
    /// What a type of `ctypes` knows of its instances, 3.13.
    pub stg_info: Option<stg_info::StgInfo>,
    /// An `io.StringIO`.
    pub string_io: Option<string_io::StringIo>,
    /// A `threading.Lock`.
    pub lock: Option<lock::Lock>,
    /// A `threading.RLock`, 3.x.
    pub rlock: Option<rlock::RLock>,
    /// Functions that the interpreter calls at its next bytecode, 3.7.
    pub pending_calls: Option<pending_calls::PendingCalls>,
    /// A `queue.SimpleQueue`.
    pub simple_queue: Option<simple_queue::SimpleQueue>,
    /// What `Thread.join` waits for, 3.13.
    pub thread_handle: Option<thread_handle::ThreadHandle>,
    /// A parked thread, 3.13.
    pub wait_entry: Option<wait_entry::WaitEntry>,
    /// An `asyncio.Task`, 3.x.
    pub task: Option<task::Task>,
    /// What all interpreters share, 3.7.
    pub runtime_state: Option<runtime_state::RuntimeState>,
    /// An interpreter.
    pub interpreter_state: interpreter_state::InterpreterState,
    /// The garbage collector, 3.7.
    pub gc_state: Option<gc_state::GcState>,
    /// One generation of the collector.
    pub gc_generation: gc_generation::GcGeneration,
    /// Dead objects kept for reuse, 3.13.
    pub free_lists: Option<free_lists::FreeLists>,
    /// The GIL, 3.7.
    pub gil_state: Option<gil_state::GilState>,
    /// A thread that runs Python code.
    pub thread_state: thread_state::ThreadState,
    /// A piece of a data stack, 3.11.
    pub stack_chunk: Option<stack_chunk::StackChunk>,
    /// What pymalloc knows of one arena.
    pub arena_object: arena_object::ArenaObject,
    /// The beginning of a pool.
    pub pool_header: pool_header::PoolHeader,
    /// Pymalloc of one interpreter, 3.12.
    pub obmalloc_state: Option<obmalloc_state::ObmallocState>,
    /// A small integer, 2.7.
    pub int_object: Option<int_object::IntObject>,
    /// An instance of an old-style class, 2.7.
    pub instance: Option<instance::Instance>,
    /// An old-style class, 2.7.
    pub class_object: Option<class_object::ClassObject>,
}

/// A build that no table covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownBuild {
    /// The build.
    pub build: Build,
    /// A struct whose layout is not known in it.
    pub missing: &'static str,
}

impl fmt::Display for UnknownBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the layout of {} in CPython {} is not known", self.missing, self.build)
    }
}

impl std::error::Error for UnknownBuild {}

impl Layouts {
    /// The layouts that the tables have for `build`, and how far they can be trusted.
    ///
    /// # Errors
    /// [`UnknownBuild`] for 3.0 to 3.5, and for builds without GIL before 3.13.
    pub fn for_build(build: Build) -> Result<(Self, Trust), UnknownBuild> {
        let mut layouts = Self {
            build,
            pre_header: facts::pre_header(build),
            pymalloc: facts::pymalloc(build),
            stated_sizes: stated_sizes::stated_sizes(build),
            wording: wording::wording(build),
            number_blocks: facts::numbers(build),
            unicode_unit: 4,
            object: required(&object::OBJECT, build)?,
            var_object: required(&var_object::VAR_OBJECT, build)?,
            gc_head: optional(&gc_head::GC_HEAD, build),
            type_object: required(&type_object::TYPE_OBJECT, build)?,
            heap_type: required(&heap_type::HEAP_TYPE, build)?,
            dict_object: required(&dict_object::DICT_OBJECT, build)?,
            dict_entry: required(&dict_entry::DICT_ENTRY, build)?,
            dict_unicode_entry: optional(&dict_unicode_entry::DICT_UNICODE_ENTRY, build),
            dict_keys: optional(&dict_keys::DICT_KEYS, build),
            dict_values: optional(&dict_values::DICT_VALUES, build),
            list_object: required(&list_object::LIST_OBJECT, build)?,
            tuple_object: required(&tuple_object::TUPLE_OBJECT, build)?,
            set_object: required(&set_object::SET_OBJECT, build)?,
            set_entry: required(&set_entry::SET_ENTRY, build)?,
            bytes_object: required(&bytes_object::BYTES_OBJECT, build)?,
            byte_array: required(&byte_array::BYTE_ARRAY, build)?,
            ascii_object: optional(&ascii_object::ASCII_OBJECT, build),
            compact_unicode: optional(&compact_unicode::COMPACT_UNICODE, build),
            unicode_object: required(&unicode_object::UNICODE_OBJECT, build)?,
            long_object: required(&long_object::LONG_OBJECT, build)?,
            function_object: required(&function_object::FUNCTION_OBJECT, build)?,
            code_object: required(&code_object::CODE_OBJECT, build)?,
            interpreter_frame: optional(&interpreter_frame::INTERPRETER_FRAME, build),
            frame_object: required(&frame_object::FRAME_OBJECT, build)?,
            generator: required(&generator::GENERATOR, build)?,
            module: required(&module::MODULE, build)?,
            cell: required(&cell::CELL, build)?,
            method: required(&method::METHOD, build)?,
            memory_view: required(&memory_view::MEMORY_VIEW, build)?,
            weak_reference: required(&weak_reference::WEAK_REFERENCE, build)?,
            traceback: required(&traceback::TRACEBACK, build)?,
            base_exception: required(&base_exception::BASE_EXCEPTION, build)?,
            deque: optional(&deque::DEQUE, build),
            deque_block: optional(&deque_block::DEQUE_BLOCK, build),
            ordered_dict: optional(&ordered_dict::ORDERED_DICT, build),
            ordered_dict_node: optional(&ordered_dict_node::ORDERED_DICT_NODE, build),
            array: optional(&array::ARRAY, build),
            lru_cache: optional(&lru_cache::LRU_CACHE, build),
            lru_link: optional(&lru_link::LRU_LINK, build),
            partial: optional(&partial::PARTIAL, build),
            property: optional(&property::PROPERTY, build),
            buffered: optional(&buffered::BUFFERED, build),
            bytes_io: optional(&bytes_io::BYTES_IO, build),
            stg_dict: optional(&stg_dict::STG_DICT, build),
            stg_info: optional(&stg_info::STG_INFO, build),
            string_io: optional(&string_io::STRING_IO, build),
            lock: optional(&lock::LOCK, build),
            rlock: optional(&rlock::RLOCK, build),
            pending_calls: optional(&pending_calls::PENDING_CALLS, build),
            simple_queue: optional(&simple_queue::SIMPLE_QUEUE, build),
            thread_handle: optional(&thread_handle::THREAD_HANDLE, build),
            wait_entry: optional(&wait_entry::WAIT_ENTRY, build),
            task: optional(&task::TASK, build),
            runtime_state: optional(&runtime_state::RUNTIME_STATE, build),
            interpreter_state: required(&interpreter_state::INTERPRETER_STATE, build)?,
            gc_state: optional(&gc_state::GC_STATE, build),
            gc_generation: required(&gc_generation::GC_GENERATION, build)?,
            free_lists: optional(&free_lists::FREE_LISTS, build),
            gil_state: optional(&gil_state::GIL_STATE, build),
            thread_state: required(&thread_state::THREAD_STATE, build)?,
            stack_chunk: optional(&stack_chunk::STACK_CHUNK, build),
            arena_object: required(&arena_object::ARENA_OBJECT, build)?,
            pool_header: required(&pool_header::POOL_HEADER, build)?,
            obmalloc_state: optional(&obmalloc_state::OBMALLOC_STATE, build),
            int_object: optional(&int_object::INT_OBJECT, build),
            instance: optional(&instance::INSTANCE, build),
            class_object: optional(&class_object::CLASS_OBJECT, build),
        };
        if build.version.series() > (2, 7) && !build.version.reaches(crate::version::v3(6)) {
            return Err(UnknownBuild { build, missing: "objects" });
        }
        if build.debug {
            debug_build::apply(&mut layouts);
        }
        Ok((layouts, trust(build.version)))
    }

    /// Hands out size (under an empty name) and members of every struct, to be changed in place.
    pub(crate) fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        hand_out(&mut self.object, visit);
        hand_out(&mut self.var_object, visit);
        each(&mut self.gc_head, visit);
        hand_out(&mut self.type_object, visit);
        hand_out(&mut self.heap_type, visit);
        hand_out(&mut self.dict_object, visit);
        hand_out(&mut self.dict_entry, visit);
        each(&mut self.dict_unicode_entry, visit);
        each(&mut self.dict_keys, visit);
        each(&mut self.dict_values, visit);
        hand_out(&mut self.list_object, visit);
        hand_out(&mut self.tuple_object, visit);
        hand_out(&mut self.set_object, visit);
        hand_out(&mut self.set_entry, visit);
        hand_out(&mut self.bytes_object, visit);
        hand_out(&mut self.byte_array, visit);
        each(&mut self.ascii_object, visit);
        each(&mut self.compact_unicode, visit);
        hand_out(&mut self.unicode_object, visit);
        hand_out(&mut self.long_object, visit);
        hand_out(&mut self.function_object, visit);
        hand_out(&mut self.code_object, visit);
        each(&mut self.interpreter_frame, visit);
        hand_out(&mut self.frame_object, visit);
        hand_out(&mut self.generator, visit);
        hand_out(&mut self.module, visit);
        hand_out(&mut self.cell, visit);
        hand_out(&mut self.method, visit);
        hand_out(&mut self.memory_view, visit);
        hand_out(&mut self.weak_reference, visit);
        hand_out(&mut self.traceback, visit);
        hand_out(&mut self.base_exception, visit);
        each(&mut self.deque, visit);
        each(&mut self.deque_block, visit);
        each(&mut self.ordered_dict, visit);
        each(&mut self.ordered_dict_node, visit);
        each(&mut self.array, visit);
        each(&mut self.lru_cache, visit);
        each(&mut self.lru_link, visit);
        each(&mut self.partial, visit);
        each(&mut self.property, visit);
        each(&mut self.buffered, visit);
        each(&mut self.bytes_io, visit);
        each(&mut self.string_io, visit);
        each(&mut self.lock, visit);
        each(&mut self.rlock, visit);
        each(&mut self.pending_calls, visit);
        each(&mut self.simple_queue, visit);
        each(&mut self.thread_handle, visit);
        each(&mut self.wait_entry, visit);
        each(&mut self.task, visit);
        each(&mut self.runtime_state, visit);
        each(&mut self.stg_dict, visit);
        each(&mut self.stg_info, visit);
        hand_out(&mut self.interpreter_state, visit);
        each(&mut self.gc_state, visit);
        hand_out(&mut self.gc_generation, visit);
        each(&mut self.free_lists, visit);
        each(&mut self.gil_state, visit);
        hand_out(&mut self.thread_state, visit);
        each(&mut self.stack_chunk, visit);
        hand_out(&mut self.arena_object, visit);
        hand_out(&mut self.pool_header, visit);
        each(&mut self.obmalloc_state, visit);
        each(&mut self.int_object, visit);
        each(&mut self.instance, visit);
        each(&mut self.class_object, visit);
    }

    /// The dict and values pointers of `build`'s objects.
    #[must_use]
    pub const fn managed(&self) -> ManagedSlots {
        self.pre_header.managed
    }
}

/// The size under an empty name, then the members.
/// [`hand_out`], of a struct that the build may not have.
fn each<T: Shape>(layout: &mut Option<T>, visit: &mut dyn FnMut(Spot<'_>)) {
    if let Some(layout) = layout {
        hand_out(layout, visit);
    }
}

fn hand_out<T: Shape>(layout: &mut T, visit: &mut dyn FnMut(Spot<'_>)) {
    let of = T::C_NAMES.first().copied().unwrap_or_default();
    visit(Spot { of, name: "", offset: layout.size_mut(), bits: None });
    layout.visit(visit);
}

fn optional<T: Shape>(table: &Table<T>, build: Build) -> Option<T> {
    table.placed_in(build)
}

fn required<T: Shape>(table: &Table<T>, build: Build) -> Result<T, UnknownBuild> {
    let missing = T::C_NAMES.first().copied().unwrap_or_default();
    optional(table, build).ok_or(UnknownBuild { build, missing })
}

#[cfg(test)]
mod tests {
    use super::Layouts;
    use crate::version::{Build, V2_7, v3};
    use memwhy_model::Trust;

    #[test]
    fn every_supported_release_has_layouts() {
        let releases = [V2_7].into_iter().chain((6..=15).map(v3)).map(Build::gil);
        for build in releases.chain((13..=15).map(v3).map(Build::free_threaded)) {
            let (layouts, trust) = Layouts::for_build(build).expect("supported");
            assert_eq!(trust, Trust::Table);
            assert_eq!(layouts.dict_keys.is_none(), build.version == V2_7);
            assert_eq!(layouts.gc_head.is_none(), build.free_threaded);
        }
    }

    #[test]
    fn a_release_that_nobody_has_seen_is_read_but_not_trusted() {
        let (layouts, trust) = Layouts::for_build(Build::gil(v3(99))).expect("open-ended");
        assert!(layouts.interpreter_frame.is_some());
        assert_eq!(trust, Trust::Extrapolated);
    }

    #[test]
    fn builds_that_never_existed_are_refused() {
        assert!(Layouts::for_build(Build::gil(v3(5))).is_err());
        assert!(Layouts::for_build(Build::free_threaded(v3(12))).is_err());
    }
}
