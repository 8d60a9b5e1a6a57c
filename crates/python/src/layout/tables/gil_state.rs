//! `_gil_runtime_state`: the GIL.
//!
//! `last_holder` is who had it last: it has it now only if `locked` is 1.
//!
//! Source: `Include/internal/pycore_gil.h`, 3.7.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `_gil_runtime_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GilState {
    /// `sizeof`.
    pub size: u64,
    /// The thread state that had it last.
    pub last_holder: Field<Ptr>,
    /// 1 held, 0 free, -1 not made yet.
    pub locked: Field<i32>,
    /// 0 when a build without GIL runs without it.
    pub enabled: Option<Field<i32>>,
}

/// Every layout of the struct, oldest first.
pub const GIL_STATE: Table<GilState> = Table(&[
    Row {
        since: v3(7),
        free_threaded: false,
        layout: GilState {
            size: 208,
            last_holder: at("last_holder", 8),
            locked: at("locked", 16),
            enabled: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: GilState {
            size: 216,
            last_holder: at("last_holder", 16),
            locked: at("locked", 24),
            enabled: Some(at("enabled", 0)),
        },
    },
]);

impl Shape for GilState {
    const C_NAMES: &'static [&'static str] = &["_gil_runtime_state"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_gil_runtime_state";
        self.last_holder.visit_in(of, visit);
        self.locked.visit_in(of, visit);
        self.enabled.visit_in(of, visit);
    }
}
