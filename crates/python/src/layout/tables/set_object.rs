//! `PySetObject`: a set or frozenset.
//!
//! Source: `Include/setobject.h`; `Include/cpython/setobject.h` from 3.11.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PySetObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetObject {
    /// `sizeof`.
    pub size: u64,
    /// Entries in use, deleted ones included.
    pub fill: Field<i64>,
    /// How many items.
    pub used: Field<i64>,
    /// Capacity less one.
    pub mask: Field<i64>,
    /// The table: `smalltable` or a block of its own.
    pub table: Field<Ptr>,
    /// The first table.
    pub smalltable: Field<Inline>,
}

/// Every layout of the struct, oldest first.
pub const SET_OBJECT: Table<SetObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: SetObject {
            size: 200,
            fill: at("fill", 16),
            used: at("used", 24),
            mask: at("mask", 32),
            table: at("table", 40),
            smalltable: at("smalltable", 56),
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: SetObject {
            size: 200,
            fill: at("fill", 16),
            used: at("used", 24),
            mask: at("mask", 32),
            table: at("table", 40),
            smalltable: at("smalltable", 64),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: SetObject {
            size: 216,
            fill: at("fill", 32),
            used: at("used", 40),
            mask: at("mask", 48),
            table: at("table", 56),
            smalltable: at("smalltable", 80),
        },
    },
]);

impl Shape for SetObject {
    const C_NAMES: &'static [&'static str] = &["PySetObject", "_setobject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PySetObject";
        self.fill.visit_in(of, visit);
        self.used.visit_in(of, visit);
        self.mask.visit_in(of, visit);
        self.table.visit_in(of, visit);
        self.smalltable.visit_in(of, visit);
    }
}
