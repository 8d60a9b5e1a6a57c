//! `PyTupleObject`: a tuple.
//!
//! From 3.14 on the hash is kept.
//!
//! Source: `Include/tupleobject.h`; `Include/cpython/tupleobject.h` from 3.9.

use crate::layout::{Field, Inline, Member, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyTupleObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TupleObject {
    /// `sizeof`, one item included.
    pub size: u64,
    /// The items, `ob_size` of them.
    pub ob_item: Field<Inline>,
}

/// Every layout of the struct, oldest first.
pub const TUPLE_OBJECT: Table<TupleObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: TupleObject { size: 32, ob_item: at("ob_item", 24) },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: TupleObject { size: 40, ob_item: at("ob_item", 32) },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: TupleObject { size: 48, ob_item: at("ob_item", 40) },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: TupleObject { size: 56, ob_item: at("ob_item", 48) },
    },
]);

impl Shape for TupleObject {
    const C_NAMES: &'static [&'static str] = &["PyTupleObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyTupleObject";
        self.ob_item.visit_in(of, visit);
    }
}
