//! `PyVarObject`: an object with a length.
//!
//! Source: `Include/object.h`.

use crate::layout::{Field, Member, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyVarObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VarObject {
    /// `sizeof`.
    pub size: u64,
    /// How many items. The sign is that of the number in an `int` before 3.12.
    pub ob_size: Field<i64>,
}

/// Every layout of the struct, oldest first.
pub const VAR_OBJECT: Table<VarObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: VarObject { size: 24, ob_size: at("ob_size", 16) },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: VarObject { size: 40, ob_size: at("ob_size", 32) },
    },
]);

impl Shape for VarObject {
    const C_NAMES: &'static [&'static str] = &["PyVarObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyVarObject";
        self.ob_size.visit_in(of, visit);
    }
}
