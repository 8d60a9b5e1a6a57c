//! One C struct a file; the numbers come from the debug information in `testdata/dwarf/`.
//!
//! To print a struct over all versions: `cargo xtask layout show _dictkeysobject`.

use super::AnyTable;

pub mod arena_object;
pub mod array;
pub mod ascii_object;
pub mod base_exception;
pub mod buffered;
pub mod byte_array;
pub mod bytes_io;
pub mod bytes_object;
pub mod cell;
pub mod class_object;
pub mod code_object;
pub mod compact_unicode;
pub mod deque;
pub mod deque_block;
pub mod dict_entry;
pub mod dict_keys;
pub mod dict_object;
pub mod dict_unicode_entry;
pub mod dict_values;
pub mod frame_object;
pub mod free_lists;
pub mod function_object;
pub mod gc_generation;
pub mod gc_head;
pub mod gc_state;
pub mod generator;
pub mod gil_state;
pub mod heap_type;
pub mod instance;
pub mod int_object;
pub mod interpreter_frame;
pub mod interpreter_state;
pub mod list_object;
pub mod lock;
pub mod long_object;
pub mod lru_cache;
pub mod lru_link;
pub mod memory_view;
pub mod method;
pub mod module;
pub mod object;
pub mod obmalloc_state;
pub mod ordered_dict;
pub mod ordered_dict_node;
pub mod partial;
pub mod pending_calls;
pub mod pool_header;
pub mod property;
pub mod rlock;
pub mod runtime_state;
pub mod set_entry;
pub mod set_object;
pub mod simple_queue;
pub mod stack_chunk;
pub mod stg_dict;
pub mod stg_info;
pub mod string_io;
pub mod task;
pub mod thread_handle;
pub mod thread_state;
pub mod traceback;
pub mod tuple_object;
pub mod type_object;
pub mod unicode_object;
pub mod var_object;
pub mod wait_entry;
pub mod weak_reference;

/// Every table, for the tests and for `cargo xtask layout`.
pub const ALL: &[&dyn AnyTable] = &[
    &arena_object::ARENA_OBJECT,
    &array::ARRAY,
    &ascii_object::ASCII_OBJECT,
    &base_exception::BASE_EXCEPTION,
    &buffered::BUFFERED,
    &byte_array::BYTE_ARRAY,
    &bytes_io::BYTES_IO,
    &bytes_object::BYTES_OBJECT,
    &cell::CELL,
    &class_object::CLASS_OBJECT,
    &code_object::CODE_OBJECT,
    &compact_unicode::COMPACT_UNICODE,
    &deque::DEQUE,
    &deque_block::DEQUE_BLOCK,
    &dict_entry::DICT_ENTRY,
    &dict_keys::DICT_KEYS,
    &dict_object::DICT_OBJECT,
    &dict_unicode_entry::DICT_UNICODE_ENTRY,
    &dict_values::DICT_VALUES,
    &frame_object::FRAME_OBJECT,
    &free_lists::FREE_LISTS,
    &function_object::FUNCTION_OBJECT,
    &gc_generation::GC_GENERATION,
    &gc_head::GC_HEAD,
    &gc_state::GC_STATE,
    &generator::GENERATOR,
    &gil_state::GIL_STATE,
    &heap_type::HEAP_TYPE,
    &instance::INSTANCE,
    &int_object::INT_OBJECT,
    &interpreter_frame::INTERPRETER_FRAME,
    &interpreter_state::INTERPRETER_STATE,
    &list_object::LIST_OBJECT,
    &lock::LOCK,
    &long_object::LONG_OBJECT,
    &lru_cache::LRU_CACHE,
    &lru_link::LRU_LINK,
    &memory_view::MEMORY_VIEW,
    &method::METHOD,
    &module::MODULE,
    &object::OBJECT,
    &obmalloc_state::OBMALLOC_STATE,
    &ordered_dict::ORDERED_DICT,
    &ordered_dict_node::ORDERED_DICT_NODE,
    &partial::PARTIAL,
    &pending_calls::PENDING_CALLS,
    &pool_header::POOL_HEADER,
    &property::PROPERTY,
    &rlock::RLOCK,
    &runtime_state::RUNTIME_STATE,
    &set_entry::SET_ENTRY,
    &set_object::SET_OBJECT,
    &simple_queue::SIMPLE_QUEUE,
    &stack_chunk::STACK_CHUNK,
    &stg_dict::STG_DICT,
    &stg_info::STG_INFO,
    &string_io::STRING_IO,
    &task::TASK,
    &thread_handle::THREAD_HANDLE,
    &thread_state::THREAD_STATE,
    &traceback::TRACEBACK,
    &tuple_object::TUPLE_OBJECT,
    &type_object::TYPE_OBJECT,
    &unicode_object::UNICODE_OBJECT,
    &var_object::VAR_OBJECT,
    &wait_entry::WAIT_ENTRY,
    &weak_reference::WEAK_REFERENCE,
];
