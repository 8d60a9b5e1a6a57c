//! `PyClassObject`: a class that is no type, 2.7.
//!
//! Source: `Include/classobject.h`, 2.7.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, Version, v3};

/// Where things are in `PyClassObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassObject {
    /// `sizeof`.
    pub size: u64,
    /// Its bases, a tuple.
    pub cl_bases: Field<Ptr>,
    /// Its attributes.
    pub cl_dict: Field<Ptr>,
    /// Its name, a `str`.
    pub cl_name: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const CLASS_OBJECT: Table<ClassObject> = Table(&[Row {
    since: V2_7,
    free_threaded: false,
    layout: ClassObject {
        size: 72,
        cl_bases: at("cl_bases", 16),
        cl_dict: at("cl_dict", 24),
        cl_name: at("cl_name", 32),
    },
}]);

impl Shape for ClassObject {
    const C_NAMES: &'static [&'static str] = &["PyClassObject"];
    const GONE_SINCE: Option<Version> = Some(v3(0));

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyClassObject";
        self.cl_bases.visit_in(of, visit);
        self.cl_dict.visit_in(of, visit);
        self.cl_name.visit_in(of, visit);
    }
}
