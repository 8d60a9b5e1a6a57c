//! `arrayobject`: an `array.array`.
//!
//! Source: `Modules/arraymodule.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `arrayobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// `sizeof`.
    pub size: u64,
    /// The items.
    pub ob_item: Field<Ptr>,
    /// How many fit.
    pub allocated: Field<i64>,
    /// What an item is: a struct with the type code, then the size as a C int.
    pub ob_descr: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const ARRAY: Table<Array> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Array {
            size: 56,
            ob_item: at("ob_item", 24),
            allocated: at("allocated", 32),
            ob_descr: at("ob_descr", 40),
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: Array {
            size: 64,
            ob_item: at("ob_item", 24),
            allocated: at("allocated", 32),
            ob_descr: at("ob_descr", 40),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Array {
            size: 80,
            ob_item: at("ob_item", 40),
            allocated: at("allocated", 48),
            ob_descr: at("ob_descr", 56),
        },
    },
]);

impl Shape for Array {
    const C_NAMES: &'static [&'static str] = &["arrayobject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "arrayobject";
        self.ob_item.visit_in(of, visit);
        self.allocated.visit_in(of, visit);
        self.ob_descr.visit_in(of, visit);
    }
}
