//! `PyTracebackObject`: a step of a traceback.
//!
//! Source: `Include/traceback.h`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `_traceback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceback {
    /// `sizeof`.
    pub size: u64,
    /// The next step, inwards.
    pub tb_next: Field<Ptr>,
    /// Its frame.
    pub tb_frame: Field<Ptr>,
    /// The instruction.
    pub tb_lasti: Field<i32>,
    /// The line; -1 means to be computed.
    pub tb_lineno: Field<i32>,
}

/// Every layout of the struct, oldest first.
pub const TRACEBACK: Table<Traceback> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Traceback {
            size: 40,
            tb_next: at("tb_next", 16),
            tb_frame: at("tb_frame", 24),
            tb_lasti: at("tb_lasti", 32),
            tb_lineno: at("tb_lineno", 36),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Traceback {
            size: 56,
            tb_next: at("tb_next", 32),
            tb_frame: at("tb_frame", 40),
            tb_lasti: at("tb_lasti", 48),
            tb_lineno: at("tb_lineno", 52),
        },
    },
]);

impl Shape for Traceback {
    const C_NAMES: &'static [&'static str] = &["_traceback", "PyTracebackObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_traceback";
        self.tb_next.visit_in(of, visit);
        self.tb_frame.visit_in(of, visit);
        self.tb_lasti.visit_in(of, visit);
        self.tb_lineno.visit_in(of, visit);
    }
}
