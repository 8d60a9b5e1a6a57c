//! `PyListObject`: a list.
//!
//! Source: `Include/listobject.h`; `Include/cpython/listobject.h` from 3.9.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyListObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListObject {
    /// `sizeof`.
    pub size: u64,
    /// The items, `ob_size` of them.
    pub ob_item: Field<Ptr>,
    /// How many fit.
    pub allocated: Field<i64>,
}

/// Every layout of the struct, oldest first.
pub const LIST_OBJECT: Table<ListObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: ListObject { size: 40, ob_item: at("ob_item", 24), allocated: at("allocated", 32) },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: ListObject { size: 56, ob_item: at("ob_item", 40), allocated: at("allocated", 48) },
    },
]);

impl Shape for ListObject {
    const C_NAMES: &'static [&'static str] = &["PyListObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyListObject";
        self.ob_item.visit_in(of, visit);
        self.allocated.visit_in(of, visit);
    }
}
