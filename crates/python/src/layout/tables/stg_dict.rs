//! `StgDictObject`: the dict of a type of `ctypes`, up to 3.12, which knows how instances are stored.
//!
//! Source: `Modules/_ctypes/ctypes.h`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{Version, v3};

/// Where things are in `StgDictObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StgDict {
    /// `sizeof`.
    pub size: u64,
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
pub const STG_DICT: Table<StgDict> = Table(&[Row {
    since: v3(6),
    free_threaded: false,
    layout: StgDict {
        size: 192,
        format: at("format", 168),
        ndim: at("ndim", 176),
        length: at("length", 64),
        elements: at("ffi_type_pointer.elements", 88),
    },
}]);

impl Shape for StgDict {
    const C_NAMES: &'static [&'static str] = &["StgDictObject"];

    const GONE_SINCE: Option<Version> = Some(v3(13));

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "StgDictObject";
        self.format.visit_in(of, visit);
        self.ndim.visit_in(of, visit);
        self.length.visit_in(of, visit);
        self.elements.visit_in(of, visit);
    }
}
