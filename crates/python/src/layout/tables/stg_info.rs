//! `StgInfo`: what a type of `ctypes` knows of how its instances are stored, behind the type itself.
//!
//! Source: `Modules/_ctypes/ctypes.h`, 3.13.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `StgInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StgInfo {
    /// `sizeof`.
    pub size: u64,
    /// Whether the rest means something.
    pub initialized: Field<i32>,
    /// The format of its instances, a C string.
    pub format: Field<Ptr>,
    /// How many dimensions an array of them has.
    pub ndim: Field<i32>,
    /// How many fields it has.
    pub length: Field<i64>,
    /// What libffi knows of the fields.
    pub elements: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const STG_INFO: Table<StgInfo> = Table(&[
    Row {
        since: v3(13),
        free_threaded: false,
        layout: StgInfo {
            size: 160,
            initialized: at("initialized", 0),
            format: at("format", 136),
            ndim: at("ndim", 144),
            length: at("length", 24),
            elements: at("ffi_type_pointer.elements", 48),
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: StgInfo {
            size: 168,
            initialized: at("initialized", 0),
            format: at("format", 144),
            ndim: at("ndim", 152),
            length: at("length", 24),
            elements: at("ffi_type_pointer.elements", 48),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: StgInfo {
            size: 160,
            initialized: at("initialized", 0),
            format: at("format", 136),
            ndim: at("ndim", 144),
            length: at("length", 24),
            elements: at("ffi_type_pointer.elements", 48),
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: StgInfo {
            size: 168,
            initialized: at("initialized", 0),
            format: at("format", 144),
            ndim: at("ndim", 152),
            length: at("length", 24),
            elements: at("ffi_type_pointer.elements", 48),
        },
    },
]);

impl Shape for StgInfo {
    const C_NAMES: &'static [&'static str] = &["StgInfo"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "StgInfo";
        self.initialized.visit_in(of, visit);
        self.format.visit_in(of, visit);
        self.ndim.visit_in(of, visit);
        self.length.visit_in(of, visit);
        self.elements.visit_in(of, visit);
    }
}
