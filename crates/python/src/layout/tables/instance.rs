//! `PyInstanceObject`: an instance of a class that has no type, 2.7.
//!
//! Source: `Include/classobject.h`, 2.7.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, Version, v3};

/// Where things are in `PyInstanceObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `sizeof`.
    pub size: u64,
    /// Its class.
    pub in_class: Field<Ptr>,
    /// Its attributes.
    pub in_dict: Field<Ptr>,
    /// The weak references to it, not owned.
    pub in_weakreflist: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const INSTANCE: Table<Instance> = Table(&[Row {
    since: V2_7,
    free_threaded: false,
    layout: Instance {
        size: 40,
        in_class: at("in_class", 16),
        in_dict: at("in_dict", 24),
        in_weakreflist: at("in_weakreflist", 32),
    },
}]);

impl Shape for Instance {
    const C_NAMES: &'static [&'static str] = &["PyInstanceObject"];
    const GONE_SINCE: Option<Version> = Some(v3(0));

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyInstanceObject";
        self.in_class.visit_in(of, visit);
        self.in_dict.visit_in(of, visit);
        self.in_weakreflist.visit_in(of, visit);
    }
}
