//! How are the objects of each type read?
//!
//! A kind knows three things of its objects: the fewest bytes that one takes, what `__sizeof__`
//! states, and which words of it are pointers. Whether a pointer is a reference or leads to a buffer
//! of the object's own is told by what it points to. Types without a kind of their own are scanned
//! word by word ([`ANY`]), which is right for nearly all of C's.
//!
//! A new kind is one file and one line in [`KINDS`].

mod any;
mod array;
mod byte_array;
mod c_types;
mod code;
mod counters;
mod datetime;
mod decimal;
mod deque;
mod dict;
mod flat;
mod frame;
mod generator;
mod int;
mod io;
mod leading;
mod list;
mod lru;
mod memory_view;
mod module;
mod numpy;
mod opaque;
mod ordered_dict;
mod pattern;
mod set;
mod str;
mod struct_;
mod tee;
mod type_;
mod weakref;

use crate::layout::{Layouts, TypeFlags};
use crate::object::Object;
use crate::types::TypeInfo;
use memwhy_model::Addr;
use memwhy_target::Fault;
use std::fmt::Debug;

/// How objects of some types are read.
pub trait Kind: Debug + Sync {
    /// `tp_name` of the types that C defines with this layout; subclasses inherit it.
    fn names(&self) -> &'static [&'static str];

    /// The bit of `tp_flags` that marks the types of this kind, if there is one.
    fn flag(&self) -> Option<u64> {
        None
    }

    /// The fewest bytes that an object takes.
    fn least(&self, _layouts: &Layouts, ty: &TypeInfo) -> u64 {
        ty.basicsize
    }

    /// What `__sizeof__` states: without what lies before the object.
    ///
    /// # Errors
    /// If something of it cannot be read.
    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        any::shallow(object)
    }

    /// Whether it is a text that the table of interned strings has.
    fn is_interned(&self, _object: &Object<'_>) -> bool {
        false
    }

    /// Whether what its buffers hold may be references that it does not hand out itself.
    fn buffers_hold_references(&self) -> bool {
        false
    }

    /// Whether [`Kind::keeps`] may have an answer.
    fn may_keep(&self) -> bool {
        false
    }

    /// A buffer that is surely the object's own, whoever else points to it.
    fn keeps(&self, _object: &Object<'_>) -> Option<Addr> {
        None
    }

    /// Whether its objects have memory of C that this kind does not know: structs of libraries, which
    /// lead to others. Objects of other kinds have data, or references only.
    fn leads_to_memory(&self) -> bool {
        false
    }

    /// Hands out its pointers: to objects it keeps alive, and to the starts of buffers it owns. By
    /// default every word of it that its type declares.
    ///
    /// # Errors
    /// If something of it cannot be read; what came before has been handed out.
    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        any::fields(object, object.layouts.object.size, object.basic_size()?, each)
    }
}

/// Every kind, more special ones first: an `OrderedDict` is a dict as well.
static KINDS: &[&dyn Kind] = &[
    &ordered_dict::ORDERED_DICT,
    &dict::DICT,
    &str::STR,
    &int::INT,
    &flat::FLAT,
    &datetime::DATETIME,
    &list::LIST,
    &set::SET,
    &type_::TYPE,
    &code::CODE,
    &frame::FRAME,
    &generator::GENERATOR,
    &byte_array::BYTE_ARRAY,
    &deque::DEQUE,
    &array::ARRAY,
    &io::STRING_IO,
    &io::BYTES_IO,
    &io::BUFFERED,
    &weakref::WEAK_REFERENCE,
    &leading::DESCRIPTOR,
    &leading::CONTEXT_VARIABLE,
    &leading::DEQUE_ITERATOR,
    &lru::CACHE,
    &lru::LINK,
    &memory_view::MEMORY_VIEW,
    &memory_view::MANAGED_BUFFER,
    &module::MODULE,
    &pattern::PATTERN,
    &tee::TEE_DATA,
    &decimal::DECIMAL,
    &numpy::ARRAY,
    &struct_::STRUCT,
    &counters::PRODUCT,
    &counters::COMBINATIONS,
    &counters::PERMUTATIONS,
    &c_types::STG_DICT,
    &c_types::C_TYPE,
    &opaque::OPAQUE,
];

/// Objects about which nothing more is known than their type says.
pub(crate) static ANY: &dyn Kind = &any::ANY;

/// The kind of the type that C calls `name`.
pub(crate) fn by_name(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().find(|kind| kind.names().contains(&name)).copied()
}

/// The kind that `tp_flags` tell.
pub(crate) fn by_flags(flags: u64) -> Option<&'static dyn Kind> {
    let of = |kind: &&&dyn Kind| kind.flag().is_some_and(|flag| flags & flag != 0);
    KINDS.iter().find(of).copied()
}

/// Whether an object has the collector's header: all of a collected type have, but for types that
/// C defines (`type_is_gc`).
pub(crate) fn is_collected(layouts: &Layouts, object: &Object<'_>) -> bool {
    let own_flags = || object.word(layouts.type_object.tp_flags.offset).unwrap_or(0);
    object.ty.has(TypeFlags::HAVE_GC)
        && (!object.ty.has(TypeFlags::TYPE_SUBCLASS) || own_flags() & TypeFlags::HEAPTYPE != 0)
}

/// What `sys.getsizeof` adds for the words before an object (`Python/sysmodule.c`,
/// `_PySys_GetSizeOf`).
pub(crate) fn before_object(layouts: &Layouts, object: &Object<'_>) -> u64 {
    use crate::layout::ManagedSlots::{Dict, DictAndValues, DictOrValues, None};
    let collected = || is_collected(layouts, object);
    match layouts.pre_header.managed {
        None => {
            if collected() {
                layouts.pre_header.gc_head
            } else {
                0
            }
        }
        // 3.11 and 3.12 ask the type alone, also of objects that have nothing before them.
        DictAndValues { .. } | DictOrValues { .. } => object.ty.pre,
        Dict { .. } => {
            if collected() {
                object.ty.pre
            } else {
                0
            }
        }
    }
}
