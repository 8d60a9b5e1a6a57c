//! `PyCellObject`: a variable that functions share.
//!
//! Source: `Include/cellobject.h`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyCellObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// `sizeof`.
    pub size: u64,
    /// Its value, null if unset.
    pub ob_ref: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const CELL: Table<Cell> = Table(&[
    Row { since: V2_7, free_threaded: false, layout: Cell { size: 24, ob_ref: at("ob_ref", 16) } },
    Row { since: v3(13), free_threaded: true, layout: Cell { size: 40, ob_ref: at("ob_ref", 32) } },
]);

impl Shape for Cell {
    const C_NAMES: &'static [&'static str] = &["PyCellObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyCellObject";
        self.ob_ref.visit_in(of, visit);
    }
}
