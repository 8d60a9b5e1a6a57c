//! `PyMethodObject`: a bound method.
//!
//! Source: `Include/classobject.h`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyMethodObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// `sizeof`.
    pub size: u64,
    /// The function.
    pub im_func: Field<Ptr>,
    /// What it is bound to.
    pub im_self: Field<Ptr>,
    /// 2.7: the class that was asked.
    pub im_class: Option<Field<Ptr>>,
}

/// Every layout of the struct, oldest first.
pub const METHOD: Table<Method> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Method {
            size: 48,
            im_func: at("im_func", 16),
            im_self: at("im_self", 24),
            im_class: Some(at("im_class", 32)),
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: Method {
            size: 40,
            im_func: at("im_func", 16),
            im_self: at("im_self", 24),
            im_class: None,
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: Method {
            size: 48,
            im_func: at("im_func", 16),
            im_self: at("im_self", 24),
            im_class: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Method {
            size: 64,
            im_func: at("im_func", 32),
            im_self: at("im_self", 40),
            im_class: None,
        },
    },
]);

impl Shape for Method {
    const C_NAMES: &'static [&'static str] = &["PyMethodObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyMethodObject";
        self.im_func.visit_in(of, visit);
        self.im_self.visit_in(of, visit);
        self.im_class.visit_in(of, visit);
    }
}
