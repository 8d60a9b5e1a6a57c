//! `_obmalloc_state`: pymalloc of one interpreter.
//!
//! Before 3.12 all this is in static variables.
//!
//! Source: `Include/internal/pycore_obmalloc.h`, 3.12.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `_obmalloc_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObmallocState {
    /// `sizeof`.
    pub size: u64,
    /// An array of [`super::arena_object::ArenaObject`].
    pub arenas: Field<Ptr>,
    /// Its length.
    pub maxarenas: Field<u32>,
    /// How many arenas there are.
    pub narenas: Field<u64>,
}

/// Every layout of the struct, oldest first.
pub const OBMALLOC_STATE: Table<ObmallocState> = Table(&[
    Row {
        since: v3(12),
        free_threaded: false,
        layout: ObmallocState {
            size: 263_248,
            arenas: at("mgmt.arenas", 512),
            maxarenas: at("mgmt.maxarenas", 520),
            narenas: at("mgmt.narenas_currently_allocated", 1064),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: ObmallocState {
            size: 263_248,
            arenas: at("mgmt.arenas", 512),
            maxarenas: at("mgmt.maxarenas", 520),
            narenas: at("mgmt.narenas_currently_allocated", 1064),
        },
    },
]);

impl Shape for ObmallocState {
    const C_NAMES: &'static [&'static str] = &["_obmalloc_state"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_obmalloc_state";
        self.arenas.visit_in(of, visit);
        self.maxarenas.visit_in(of, visit);
        self.narenas.visit_in(of, visit);
    }
}
