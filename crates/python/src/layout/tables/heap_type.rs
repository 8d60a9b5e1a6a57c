//! `PyHeapTypeObject`: a type made by a `class` statement.
//!
//! Source: `Include/object.h`; `Include/cpython/object.h` from 3.8.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `_heaptypeobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapType {
    /// `sizeof`.
    pub size: u64,
    /// Its name, a `str`.
    pub ht_name: Field<Ptr>,
    /// `__slots__`, a tuple or null.
    pub ht_slots: Field<Ptr>,
    /// Its qualified name.
    pub ht_qualname: Option<Field<Ptr>>,
    /// The key table that the dicts of its instances share.
    pub ht_cached_keys: Option<Field<Ptr>>,
    /// The module that made it.
    pub ht_module: Option<Field<Ptr>>,
    /// What specialised bytecode remembers.
    pub spec_cache: Option<Field<Inline>>,
}

/// Every layout of the struct, oldest first.
pub const HEAP_TYPE: Table<HeapType> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: HeapType {
            size: 872,
            ht_name: at("ht_name", 856),
            ht_slots: at("ht_slots", 864),
            ht_qualname: None,
            ht_cached_keys: None,
            ht_module: None,
            spec_cache: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: HeapType {
            size: 864,
            ht_name: at("ht_name", 832),
            ht_slots: at("ht_slots", 840),
            ht_qualname: Some(at("ht_qualname", 848)),
            ht_cached_keys: Some(at("ht_cached_keys", 856)),
            ht_module: None,
            spec_cache: None,
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: HeapType {
            size: 880,
            ht_name: at("ht_name", 848),
            ht_slots: at("ht_slots", 856),
            ht_qualname: Some(at("ht_qualname", 864)),
            ht_cached_keys: Some(at("ht_cached_keys", 872)),
            ht_module: None,
            spec_cache: None,
        },
    },
    Row {
        since: v3(9),
        free_threaded: false,
        layout: HeapType {
            size: 880,
            ht_name: at("ht_name", 840),
            ht_slots: at("ht_slots", 848),
            ht_qualname: Some(at("ht_qualname", 856)),
            ht_cached_keys: Some(at("ht_cached_keys", 864)),
            ht_module: Some(at("ht_module", 872)),
            spec_cache: None,
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: HeapType {
            size: 888,
            ht_name: at("ht_name", 848),
            ht_slots: at("ht_slots", 856),
            ht_qualname: Some(at("ht_qualname", 864)),
            ht_cached_keys: Some(at("ht_cached_keys", 872)),
            ht_module: Some(at("ht_module", 880)),
            spec_cache: None,
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: HeapType {
            size: 904,
            ht_name: at("ht_name", 848),
            ht_slots: at("ht_slots", 856),
            ht_qualname: Some(at("ht_qualname", 864)),
            ht_cached_keys: Some(at("ht_cached_keys", 872)),
            ht_module: Some(at("ht_module", 880)),
            spec_cache: Some(at("_spec_cache", 896)),
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: HeapType {
            size: 920,
            ht_name: at("ht_name", 856),
            ht_slots: at("ht_slots", 864),
            ht_qualname: Some(at("ht_qualname", 872)),
            ht_cached_keys: Some(at("ht_cached_keys", 880)),
            ht_module: Some(at("ht_module", 888)),
            spec_cache: Some(at("_spec_cache", 904)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: HeapType {
            size: 928,
            ht_name: at("ht_name", 856),
            ht_slots: at("ht_slots", 864),
            ht_qualname: Some(at("ht_qualname", 872)),
            ht_cached_keys: Some(at("ht_cached_keys", 880)),
            ht_module: Some(at("ht_module", 888)),
            spec_cache: Some(at("_spec_cache", 904)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: HeapType {
            size: 936,
            ht_name: at("ht_name", 856),
            ht_slots: at("ht_slots", 864),
            ht_qualname: Some(at("ht_qualname", 872)),
            ht_cached_keys: Some(at("ht_cached_keys", 880)),
            ht_module: Some(at("ht_module", 888)),
            spec_cache: Some(at("_spec_cache", 912)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: false,
        layout: HeapType {
            size: 944,
            ht_name: at("ht_name", 864),
            ht_slots: at("ht_slots", 872),
            ht_qualname: Some(at("ht_qualname", 880)),
            ht_cached_keys: Some(at("ht_cached_keys", 888)),
            ht_module: Some(at("ht_module", 896)),
            spec_cache: Some(at("_spec_cache", 920)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: HeapType {
            size: 944,
            ht_name: at("ht_name", 872),
            ht_slots: at("ht_slots", 880),
            ht_qualname: Some(at("ht_qualname", 888)),
            ht_cached_keys: Some(at("ht_cached_keys", 896)),
            ht_module: Some(at("ht_module", 904)),
            spec_cache: Some(at("_spec_cache", 920)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: HeapType {
            size: 960,
            ht_name: at("ht_name", 872),
            ht_slots: at("ht_slots", 880),
            ht_qualname: Some(at("ht_qualname", 888)),
            ht_cached_keys: Some(at("ht_cached_keys", 896)),
            ht_module: Some(at("ht_module", 904)),
            spec_cache: Some(at("_spec_cache", 928)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: true,
        layout: HeapType {
            size: 968,
            ht_name: at("ht_name", 880),
            ht_slots: at("ht_slots", 888),
            ht_qualname: Some(at("ht_qualname", 896)),
            ht_cached_keys: Some(at("ht_cached_keys", 904)),
            ht_module: Some(at("ht_module", 912)),
            spec_cache: Some(at("_spec_cache", 936)),
        },
    },
]);

impl Shape for HeapType {
    const C_NAMES: &'static [&'static str] = &["_heaptypeobject", "PyHeapTypeObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_heaptypeobject";
        self.ht_name.visit_in(of, visit);
        self.ht_slots.visit_in(of, visit);
        self.ht_qualname.visit_in(of, visit);
        self.ht_cached_keys.visit_in(of, visit);
        self.ht_module.visit_in(of, visit);
        self.spec_cache.visit_in(of, visit);
    }
}
