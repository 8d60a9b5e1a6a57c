//! `partialobject`: a `functools.partial`.
//!
//! Source: `Modules/_functoolsmodule.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `partialobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// `sizeof`.
    pub size: u64,
    /// The function.
    pub function: Field<Ptr>,
    /// Its arguments.
    pub args: Field<Ptr>,
    /// Its keyword arguments.
    pub keywords: Field<Ptr>,
    /// Its attributes.
    pub dict: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const PARTIAL: Table<Partial> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Partial {
            size: 56,
            function: at("fn", 16),
            args: at("args", 24),
            keywords: at("kw", 32),
            dict: at("dict", 40),
        },
    },
    Row {
        since: v3(7),
        free_threaded: false,
        layout: Partial {
            size: 64,
            function: at("fn", 16),
            args: at("args", 24),
            keywords: at("kw", 32),
            dict: at("dict", 40),
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: Partial {
            size: 80,
            function: at("fn", 16),
            args: at("args", 24),
            keywords: at("kw", 32),
            dict: at("dict", 40),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Partial {
            size: 80,
            function: at("fn", 32),
            args: at("args", 40),
            keywords: at("kw", 48),
            dict: at("dict", 56),
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: Partial {
            size: 96,
            function: at("fn", 32),
            args: at("args", 40),
            keywords: at("kw", 48),
            dict: at("dict", 56),
        },
    },
]);

impl Shape for Partial {
    const C_NAMES: &'static [&'static str] = &["partialobject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "partialobject";
        self.function.visit_in(of, visit);
        self.args.visit_in(of, visit);
        self.keywords.visit_in(of, visit);
        self.dict.visit_in(of, visit);
    }
}
