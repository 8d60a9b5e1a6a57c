//! `_PyRuntime`: what all interpreters of a process share.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | none: globals of the C files |
//! | 3.7   | one struct, with the collector and the GIL |
//! | 3.9   | the collector belongs to an interpreter |
//! | 3.12  | so does the GIL |
//!
//! The row of 3.14.0 is that of 3.14.4, the earliest that was seen.
//!
//! Source: `Include/internal/pycore_runtime.h`; `pycore_runtime_structs.h` from 3.14.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{v3, v3p};

/// Where things are in `pyruntimestate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeState {
    /// `sizeof`.
    pub size: u64,
    /// The newest interpreter.
    pub interpreters_head: Field<Ptr>,
    /// The collector.
    pub gc: Option<Field<Inline>>,
    /// The GIL.
    pub gil: Option<Field<Inline>>,
    /// The thread that has the GIL.
    pub tstate_current: Option<Field<Ptr>>,
}

/// Every layout of the struct, oldest first.
pub const RUNTIME_STATE: Table<RuntimeState> = Table(&[
    Row {
        since: v3(7),
        free_threaded: false,
        layout: RuntimeState {
            size: 1520,
            interpreters_head: at("interpreters.head", 24),
            gc: Some(at("gc", 320)),
            gil: Some(at("ceval.gil", 1264)),
            tstate_current: Some(at("gilstate.tstate_current", 1480)),
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: RuntimeState {
            size: 1464,
            interpreters_head: at("interpreters.head", 32),
            gc: Some(at("gc", 344)),
            gil: Some(at("ceval.gil", 1152)),
            tstate_current: Some(at("gilstate.tstate_current", 1368)),
        },
    },
    Row {
        since: v3(9),
        free_threaded: false,
        layout: RuntimeState {
            size: 656,
            interpreters_head: at("interpreters.head", 32),
            gc: None,
            gil: Some(at("ceval.gil", 352)),
            tstate_current: Some(at("gilstate.tstate_current", 568)),
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: RuntimeState {
            size: 672,
            interpreters_head: at("interpreters.head", 32),
            gc: None,
            gil: Some(at("ceval.gil", 352)),
            tstate_current: Some(at("gilstate.tstate_current", 568)),
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: RuntimeState {
            size: 166_688,
            interpreters_head: at("interpreters.head", 40),
            gc: None,
            gil: Some(at("ceval.gil", 360)),
            tstate_current: Some(at("gilstate.tstate_current", 576)),
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: RuntimeState {
            size: 459_944,
            interpreters_head: at("interpreters.head", 40),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: RuntimeState {
            size: 283_320,
            interpreters_head: at("interpreters.head", 632),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
    Row {
        since: v3p(13, 5),
        free_threaded: false,
        layout: RuntimeState {
            size: 283_376,
            interpreters_head: at("interpreters.head", 632),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
    Row {
        since: v3p(13, 18),
        free_threaded: false,
        layout: RuntimeState {
            size: 283_408,
            interpreters_head: at("interpreters.head", 632),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: RuntimeState {
            size: 316_592,
            interpreters_head: at("interpreters.head", 808),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
    Row {
        since: v3p(14, 5),
        free_threaded: false,
        layout: RuntimeState {
            size: 316_616,
            interpreters_head: at("interpreters.head", 808),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
    Row {
        since: v3(15),
        free_threaded: false,
        layout: RuntimeState {
            size: 346_568,
            interpreters_head: at("interpreters.head", 936),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: RuntimeState {
            size: 328_320,
            interpreters_head: at("interpreters.head", 632),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: RuntimeState {
            size: 362_368,
            interpreters_head: at("interpreters.head", 808),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
    Row {
        since: v3p(14, 10),
        free_threaded: true,
        layout: RuntimeState {
            size: 365_624,
            interpreters_head: at("interpreters.head", 808),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
    Row {
        since: v3(15),
        free_threaded: true,
        layout: RuntimeState {
            size: 409_296,
            interpreters_head: at("interpreters.head", 936),
            gc: None,
            gil: None,
            tstate_current: None,
        },
    },
]);

impl Shape for RuntimeState {
    const C_NAMES: &'static [&'static str] = &["pyruntimestate", "_PyRuntimeState"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "pyruntimestate";
        self.interpreters_head.visit_in(of, visit);
        self.gc.visit_in(of, visit);
        self.gil.visit_in(of, visit);
        self.tstate_current.visit_in(of, visit);
    }
}
