//! `PyTypeObject`: a type.
//!
//! From `tp_name` to `tp_weaklist` nothing moved from 2.7 to 3.15: types can be found before the
//! version is known.
//!
//! Source: `Include/object.h`; `Include/cpython/object.h` from 3.8.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `_typeobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeObject {
    /// `sizeof`.
    pub size: u64,
    /// Its name, a C string; with the module for static types.
    pub tp_name: Field<Ptr>,
    /// Size of an instance without items.
    pub tp_basicsize: Field<i64>,
    /// Size of one item.
    pub tp_itemsize: Field<i64>,
    /// See [`crate::layout::TypeFlags`].
    pub tp_flags: Field<u64>,
    /// Its docstring, a C string.
    pub tp_doc: Field<Ptr>,
    /// The function that visits what an instance refers to.
    pub tp_traverse: Field<Ptr>,
    /// The function that drops it.
    pub tp_clear: Field<Ptr>,
    /// Where in an instance the list of weak references is, 0 if nowhere.
    pub tp_weaklistoffset: Field<i64>,
    /// The first base.
    pub tp_base: Field<Ptr>,
    /// Its attributes. Null for static types of the interpreter from 3.12 on.
    pub tp_dict: Field<Ptr>,
    /// Where in an instance its dict is: 0 nowhere, negative from the end, -1 managed.
    pub tp_dictoffset: Field<i64>,
    /// All bases, a tuple.
    pub tp_bases: Field<Ptr>,
    /// The method resolution order, a tuple.
    pub tp_mro: Field<Ptr>,
    /// Unused, or the index of a static type.
    pub tp_cache: Field<Ptr>,
    /// A dict of weak references.
    pub tp_subclasses: Field<Ptr>,
    /// The weak references to the type.
    pub tp_weaklist: Field<Ptr>,
    /// `__del__` of old-style finalizers.
    pub tp_del: Field<Ptr>,
    /// `__del__` from 3.4 on.
    pub tp_finalize: Option<Field<Ptr>>,
}

/// Every layout of the struct, oldest first.
pub const TYPE_OBJECT: Table<TypeObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: TypeObject {
            size: 392,
            tp_name: at("tp_name", 24),
            tp_basicsize: at("tp_basicsize", 32),
            tp_itemsize: at("tp_itemsize", 40),
            tp_flags: at("tp_flags", 168),
            tp_doc: at("tp_doc", 176),
            tp_traverse: at("tp_traverse", 184),
            tp_clear: at("tp_clear", 192),
            tp_weaklistoffset: at("tp_weaklistoffset", 208),
            tp_base: at("tp_base", 256),
            tp_dict: at("tp_dict", 264),
            tp_dictoffset: at("tp_dictoffset", 288),
            tp_bases: at("tp_bases", 336),
            tp_mro: at("tp_mro", 344),
            tp_cache: at("tp_cache", 352),
            tp_subclasses: at("tp_subclasses", 360),
            tp_weaklist: at("tp_weaklist", 368),
            tp_del: at("tp_del", 376),
            tp_finalize: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: TypeObject {
            size: 400,
            tp_name: at("tp_name", 24),
            tp_basicsize: at("tp_basicsize", 32),
            tp_itemsize: at("tp_itemsize", 40),
            tp_flags: at("tp_flags", 168),
            tp_doc: at("tp_doc", 176),
            tp_traverse: at("tp_traverse", 184),
            tp_clear: at("tp_clear", 192),
            tp_weaklistoffset: at("tp_weaklistoffset", 208),
            tp_base: at("tp_base", 256),
            tp_dict: at("tp_dict", 264),
            tp_dictoffset: at("tp_dictoffset", 288),
            tp_bases: at("tp_bases", 336),
            tp_mro: at("tp_mro", 344),
            tp_cache: at("tp_cache", 352),
            tp_subclasses: at("tp_subclasses", 360),
            tp_weaklist: at("tp_weaklist", 368),
            tp_del: at("tp_del", 376),
            tp_finalize: Some(at("tp_finalize", 392)),
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: TypeObject {
            size: 416,
            tp_name: at("tp_name", 24),
            tp_basicsize: at("tp_basicsize", 32),
            tp_itemsize: at("tp_itemsize", 40),
            tp_flags: at("tp_flags", 168),
            tp_doc: at("tp_doc", 176),
            tp_traverse: at("tp_traverse", 184),
            tp_clear: at("tp_clear", 192),
            tp_weaklistoffset: at("tp_weaklistoffset", 208),
            tp_base: at("tp_base", 256),
            tp_dict: at("tp_dict", 264),
            tp_dictoffset: at("tp_dictoffset", 288),
            tp_bases: at("tp_bases", 336),
            tp_mro: at("tp_mro", 344),
            tp_cache: at("tp_cache", 352),
            tp_subclasses: at("tp_subclasses", 360),
            tp_weaklist: at("tp_weaklist", 368),
            tp_del: at("tp_del", 376),
            tp_finalize: Some(at("tp_finalize", 392)),
        },
    },
    Row {
        since: v3(9),
        free_threaded: false,
        layout: TypeObject {
            size: 408,
            tp_name: at("tp_name", 24),
            tp_basicsize: at("tp_basicsize", 32),
            tp_itemsize: at("tp_itemsize", 40),
            tp_flags: at("tp_flags", 168),
            tp_doc: at("tp_doc", 176),
            tp_traverse: at("tp_traverse", 184),
            tp_clear: at("tp_clear", 192),
            tp_weaklistoffset: at("tp_weaklistoffset", 208),
            tp_base: at("tp_base", 256),
            tp_dict: at("tp_dict", 264),
            tp_dictoffset: at("tp_dictoffset", 288),
            tp_bases: at("tp_bases", 336),
            tp_mro: at("tp_mro", 344),
            tp_cache: at("tp_cache", 352),
            tp_subclasses: at("tp_subclasses", 360),
            tp_weaklist: at("tp_weaklist", 368),
            tp_del: at("tp_del", 376),
            tp_finalize: Some(at("tp_finalize", 392)),
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: TypeObject {
            size: 416,
            tp_name: at("tp_name", 24),
            tp_basicsize: at("tp_basicsize", 32),
            tp_itemsize: at("tp_itemsize", 40),
            tp_flags: at("tp_flags", 168),
            tp_doc: at("tp_doc", 176),
            tp_traverse: at("tp_traverse", 184),
            tp_clear: at("tp_clear", 192),
            tp_weaklistoffset: at("tp_weaklistoffset", 208),
            tp_base: at("tp_base", 256),
            tp_dict: at("tp_dict", 264),
            tp_dictoffset: at("tp_dictoffset", 288),
            tp_bases: at("tp_bases", 336),
            tp_mro: at("tp_mro", 344),
            tp_cache: at("tp_cache", 352),
            tp_subclasses: at("tp_subclasses", 360),
            tp_weaklist: at("tp_weaklist", 368),
            tp_del: at("tp_del", 376),
            tp_finalize: Some(at("tp_finalize", 392)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: false,
        layout: TypeObject {
            size: 424,
            tp_name: at("tp_name", 24),
            tp_basicsize: at("tp_basicsize", 32),
            tp_itemsize: at("tp_itemsize", 40),
            tp_flags: at("tp_flags", 168),
            tp_doc: at("tp_doc", 176),
            tp_traverse: at("tp_traverse", 184),
            tp_clear: at("tp_clear", 192),
            tp_weaklistoffset: at("tp_weaklistoffset", 208),
            tp_base: at("tp_base", 256),
            tp_dict: at("tp_dict", 264),
            tp_dictoffset: at("tp_dictoffset", 288),
            tp_bases: at("tp_bases", 336),
            tp_mro: at("tp_mro", 344),
            tp_cache: at("tp_cache", 352),
            tp_subclasses: at("tp_subclasses", 360),
            tp_weaklist: at("tp_weaklist", 368),
            tp_del: at("tp_del", 376),
            tp_finalize: Some(at("tp_finalize", 392)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: TypeObject {
            size: 432,
            tp_name: at("tp_name", 40),
            tp_basicsize: at("tp_basicsize", 48),
            tp_itemsize: at("tp_itemsize", 56),
            tp_flags: at("tp_flags", 184),
            tp_doc: at("tp_doc", 192),
            tp_traverse: at("tp_traverse", 200),
            tp_clear: at("tp_clear", 208),
            tp_weaklistoffset: at("tp_weaklistoffset", 224),
            tp_base: at("tp_base", 272),
            tp_dict: at("tp_dict", 280),
            tp_dictoffset: at("tp_dictoffset", 304),
            tp_bases: at("tp_bases", 352),
            tp_mro: at("tp_mro", 360),
            tp_cache: at("tp_cache", 368),
            tp_subclasses: at("tp_subclasses", 376),
            tp_weaklist: at("tp_weaklist", 384),
            tp_del: at("tp_del", 392),
            tp_finalize: Some(at("tp_finalize", 408)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: true,
        layout: TypeObject {
            size: 440,
            tp_name: at("tp_name", 40),
            tp_basicsize: at("tp_basicsize", 48),
            tp_itemsize: at("tp_itemsize", 56),
            tp_flags: at("tp_flags", 184),
            tp_doc: at("tp_doc", 192),
            tp_traverse: at("tp_traverse", 200),
            tp_clear: at("tp_clear", 208),
            tp_weaklistoffset: at("tp_weaklistoffset", 224),
            tp_base: at("tp_base", 272),
            tp_dict: at("tp_dict", 280),
            tp_dictoffset: at("tp_dictoffset", 304),
            tp_bases: at("tp_bases", 352),
            tp_mro: at("tp_mro", 360),
            tp_cache: at("tp_cache", 368),
            tp_subclasses: at("tp_subclasses", 376),
            tp_weaklist: at("tp_weaklist", 384),
            tp_del: at("tp_del", 392),
            tp_finalize: Some(at("tp_finalize", 408)),
        },
    },
]);

impl Shape for TypeObject {
    const C_NAMES: &'static [&'static str] = &["_typeobject", "PyTypeObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_typeobject";
        self.tp_name.visit_in(of, visit);
        self.tp_basicsize.visit_in(of, visit);
        self.tp_itemsize.visit_in(of, visit);
        self.tp_flags.visit_in(of, visit);
        self.tp_doc.visit_in(of, visit);
        self.tp_traverse.visit_in(of, visit);
        self.tp_clear.visit_in(of, visit);
        self.tp_weaklistoffset.visit_in(of, visit);
        self.tp_base.visit_in(of, visit);
        self.tp_dict.visit_in(of, visit);
        self.tp_dictoffset.visit_in(of, visit);
        self.tp_bases.visit_in(of, visit);
        self.tp_mro.visit_in(of, visit);
        self.tp_cache.visit_in(of, visit);
        self.tp_subclasses.visit_in(of, visit);
        self.tp_weaklist.visit_in(of, visit);
        self.tp_del.visit_in(of, visit);
        self.tp_finalize.visit_in(of, visit);
    }
}
