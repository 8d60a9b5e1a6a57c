//! `PyIntObject`: a small integer of Python 2.
//!
//! Source: `Include/intobject.h`, 2.7.

use crate::layout::{Field, Member, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, Version, v3};

/// Where things are in `PyIntObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntObject {
    /// `sizeof`.
    pub size: u64,
    /// The number.
    pub ob_ival: Field<i64>,
}

/// Every layout of the struct, oldest first.
pub const INT_OBJECT: Table<IntObject> = Table(&[Row {
    since: V2_7,
    free_threaded: false,
    layout: IntObject { size: 24, ob_ival: at("ob_ival", 16) },
}]);

impl Shape for IntObject {
    const C_NAMES: &'static [&'static str] = &["PyIntObject"];
    const GONE_SINCE: Option<Version> = Some(v3(0));

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyIntObject";
        self.ob_ival.visit_in(of, visit);
    }
}
