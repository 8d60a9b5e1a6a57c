//! What differs between releases and is written in no struct?
//!
//! Numbers of the C source that debug information does not show: flags, the words before an
//! object, the sizes of arenas and pools. The oracle tests check them against live interpreters.

use super::{Row, Table};
use crate::version::{Build, V2_7, v3, v3p};

/// What lies before an object that the collector or a managed dict needs.
///
/// Source: `Include/internal/pycore_object.h: _PyType_PreHeaderSize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreHeader {
    /// Bytes of the collector's header, before objects whose type has [`TypeFlags::HAVE_GC`].
    pub gc_head: u64,
    /// The pointers before that.
    pub managed: ManagedSlots,
}

/// The pointers to attributes and weak references that lie before an object.
///
/// All distances are counted back from the object. The pair takes [`ManagedSlots::SIZE`] bytes if
/// the type has one of the flags in [`PreHeader::managed_flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagedSlots {
    /// There are none.
    None,
    /// 3.11: the dict or null, and the values (an array, see `dict_values.rs`) or null.
    DictAndValues {
        /// Where the pointer to the dict is.
        dict: u64,
        /// Where the pointer to the values is.
        values: u64,
    },
    /// 3.12: one word for both; if odd, the values are one byte further than it says.
    DictOrValues {
        /// Where the word is.
        either: u64,
        /// Where the list of weak references is.
        weaklist: u64,
    },
    /// 3.13: the dict or null. The values lie inside the object, at `tp_basicsize`, if the type
    /// has [`TypeFlags::INLINE_VALUES`] and they are marked valid.
    Dict {
        /// Where the pointer to the dict is.
        dict: u64,
        /// Where the list of weak references is.
        weaklist: u64,
        /// Whose references the values are where there are both a dict and values.
        values_of: ValuesOf,
    },
}

/// Who visits the values inside an instance once it has been asked for its dict.
///
/// Source: `Objects/dictobject.c: PyObject_VisitManagedDict, dict_traverse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValuesOf {
    /// 3.13.0: the instance, the dict passes them by.
    Instance,
    /// Since: the dict, and the instance only its dict.
    Dict,
}

impl ManagedSlots {
    /// What the two pointers take together.
    pub const SIZE: u64 = 16;
}

impl PreHeader {
    /// The type flags that demand the managed slots.
    #[must_use]
    pub const fn managed_flags(&self) -> u64 {
        match self.managed {
            ManagedSlots::None => 0,
            ManagedSlots::DictAndValues { .. } => TypeFlags::MANAGED_DICT,
            ManagedSlots::DictOrValues { .. } | ManagedSlots::Dict { .. } => {
                TypeFlags::MANAGED_DICT | TypeFlags::MANAGED_WEAKREF
            }
        }
    }

    /// How many bytes of its block lie before an object whose type has `tp_flags`.
    #[must_use]
    pub const fn size(&self, tp_flags: u64) -> u64 {
        let gc = if tp_flags & TypeFlags::HAVE_GC == 0 { 0 } else { self.gc_head };
        let managed = tp_flags & self.managed_flags() != 0;
        gc + if managed { ManagedSlots::SIZE } else { 0 }
    }

    /// Whether instances of a type with `tp_flags` have their attributes in managed slots.
    #[must_use]
    pub const fn has_managed_dict(&self, tp_flags: u64) -> bool {
        tp_flags & self.managed_flags() & TypeFlags::MANAGED_DICT != 0
    }

    /// Whether an instance's own dict has the references to the values inside the instance.
    #[must_use]
    pub const fn dict_has_values(&self) -> bool {
        matches!(self.managed, ManagedSlots::Dict { values_of: ValuesOf::Dict, .. })
    }

    /// Whether instances of a type with `tp_flags` begin their life with values inside.
    #[must_use]
    pub const fn has_inline_values(&self, tp_flags: u64) -> bool {
        matches!(self.managed, ManagedSlots::Dict { .. })
            && tp_flags & TypeFlags::INLINE_VALUES != 0
    }
}

/// Bits of `tp_flags`.
///
/// Source: `Include/object.h`. The three lowest mean something else before the releases named in
/// [`PreHeader`], which knows whether to look at them.
#[derive(Clone, Copy, Debug)]
pub enum TypeFlags {}

impl TypeFlags {
    /// Values of attributes lie inside the instance.
    pub const INLINE_VALUES: u64 = 1 << 2;
    /// The list of weak references lies before the instance.
    pub const MANAGED_WEAKREF: u64 = 1 << 3;
    /// The dict lies before the instance.
    pub const MANAGED_DICT: u64 = 1 << 4;
    /// Made at run time.
    pub const HEAPTYPE: u64 = 1 << 9;
    /// Can be subclassed.
    pub const BASETYPE: u64 = 1 << 10;
    /// `PyType_Ready` has run.
    pub const READY: u64 = 1 << 12;
    /// The collector may track instances.
    pub const HAVE_GC: u64 = 1 << 14;
    /// 2.7: a subclass of `int`.
    pub const INT_SUBCLASS: u64 = 1 << 23;
    /// A subclass of `int` (of `long` in 2.7).
    pub const LONG_SUBCLASS: u64 = 1 << 24;
    /// A subclass of `list`.
    pub const LIST_SUBCLASS: u64 = 1 << 25;
    /// A subclass of `tuple`.
    pub const TUPLE_SUBCLASS: u64 = 1 << 26;
    /// A subclass of `bytes` (of `str` in 2.7).
    pub const BYTES_SUBCLASS: u64 = 1 << 27;
    /// A subclass of `str` (of `unicode` in 2.7).
    pub const UNICODE_SUBCLASS: u64 = 1 << 28;
    /// A subclass of `dict`.
    pub const DICT_SUBCLASS: u64 = 1 << 29;
    /// A subclass of `BaseException`.
    pub const BASE_EXC_SUBCLASS: u64 = 1 << 30;
    /// A subclass of `type`.
    pub const TYPE_SUBCLASS: u64 = 1 << 31;
}

const PRE_HEADERS: Table<PreHeader> = Table(&[
    Row { since: V2_7, free_threaded: false, layout: pre(32, ManagedSlots::None) },
    Row { since: v3(8), free_threaded: false, layout: pre(16, ManagedSlots::None) },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: pre(16, ManagedSlots::DictAndValues { dict: 24, values: 32 }),
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: pre(16, ManagedSlots::DictOrValues { either: 24, weaklist: 32 }),
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: pre(16, inside(24, 32, ValuesOf::Instance)),
    },
    // Not yet so in 3.13.0, and so in 3.13.5.
    Row {
        since: v3p(13, 1),
        free_threaded: false,
        layout: pre(16, inside(24, 32, ValuesOf::Dict)),
    },
    // Without GIL there is no header of the collector, so the pair is next to the object.
    Row { since: v3(13), free_threaded: true, layout: pre(0, inside(8, 16, ValuesOf::Instance)) },
    // Seen so in 3.13.5, too.
    Row { since: v3(14), free_threaded: true, layout: pre(0, inside(8, 16, ValuesOf::Dict)) },
]);

const fn inside(dict: u64, weaklist: u64, values_of: ValuesOf) -> ManagedSlots {
    ManagedSlots::Dict { dict, weaklist, values_of }
}

const fn pre(gc_head: u64, managed: ManagedSlots) -> PreHeader {
    PreHeader { gc_head, managed }
}

/// How large the pieces are that pymalloc works with.
///
/// Source: `Objects/obmalloc.c`; `Include/internal/pycore_obmalloc.h` from 3.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PymallocGeometry {
    /// `ARENA_SIZE`. Builds with huge pages have 2 MiB from 3.15 on.
    pub arena_size: u64,
    /// `POOL_SIZE`; pools are aligned to it.
    pub pool_size: u64,
    /// `SMALL_REQUEST_THRESHOLD`: larger requests go to malloc.
    pub small_request: u64,
}

const PYMALLOC: Table<PymallocGeometry> = Table(&[
    Row { since: V2_7, free_threaded: false, layout: pools(256 << 10, 4 << 10) },
    Row { since: v3(10), free_threaded: false, layout: pools(1 << 20, 16 << 10) },
    Row { since: v3(13), free_threaded: true, layout: pools(1 << 20, 16 << 10) },
]);

const fn pools(arena_size: u64, pool_size: u64) -> PymallocGeometry {
    PymallocGeometry { arena_size, pool_size, small_request: 512 }
}

/// Blocks of malloc in which numbers lie in cells, instead of in pools.
///
/// Source: `Objects/intobject.c`, 2.7: `struct _intblock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberBlocks {
    /// Where the first cell is.
    pub first: u64,
    /// Bytes of a cell.
    pub cell: u64,
    /// How many cells.
    pub cells: u64,
    /// Where in a cell its count of references is.
    pub count: u64,
}

impl NumberBlocks {
    /// Bytes of a block.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.first + self.cell * self.cells
    }

    /// Whether this is the name of a type whose objects lie in such blocks.
    #[must_use]
    pub fn hold(name: &str) -> bool {
        matches!(name, "builtins.int" | "builtins.float")
    }
}

const NUMBERS: Table<Option<NumberBlocks>> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Some(NumberBlocks { first: 8, cell: 24, cells: 41, count: 0 }),
    },
    Row { since: v3(0), free_threaded: false, layout: None },
    Row { since: v3(13), free_threaded: true, layout: None },
]);

/// The same with `Py_DEBUG`: objects have two links more, and a block as many bytes.
const NUMBERS_DEBUG: NumberBlocks = NumberBlocks { first: 8, cell: 40, cells: 24, count: 16 };

pub(super) fn numbers(build: Build) -> Option<NumberBlocks> {
    let usual = NUMBERS.get(build).and_then(|(layout, _)| layout);
    usual.map(|usual| if build.debug { NUMBERS_DEBUG } else { usual })
}

pub(super) fn pre_header(build: Build) -> PreHeader {
    PRE_HEADERS.get(build).map_or(pre(0, ManagedSlots::None), |(layout, _)| layout)
}

pub(super) fn pymalloc(build: Build) -> PymallocGeometry {
    PYMALLOC.get(build).map_or(pools(256 << 10, 4 << 10), |(layout, _)| layout)
}

#[cfg(test)]
mod tests {
    use super::{TypeFlags, pre_header};
    use crate::version::{Build, V2_7, v3};

    #[test]
    fn low_flags_count_only_where_they_mean_something() {
        let flags = TypeFlags::HAVE_GC | TypeFlags::MANAGED_DICT | TypeFlags::MANAGED_WEAKREF;
        assert_eq!(pre_header(Build::gil(V2_7)).size(flags), 32);
        assert_eq!(pre_header(Build::gil(v3(10))).size(flags), 16);
        assert_eq!(pre_header(Build::gil(v3(11))).size(flags), 32);
        let weak = TypeFlags::HAVE_GC | TypeFlags::MANAGED_WEAKREF;
        assert_eq!(pre_header(Build::gil(v3(11))).size(weak), 16);
        assert_eq!(pre_header(Build::gil(v3(12))).size(weak), 32);
        assert_eq!(pre_header(Build::free_threaded(v3(14))).size(weak), 16);
    }
}
