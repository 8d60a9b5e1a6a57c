//! `_gc_runtime_state`: the cyclic garbage collector.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | none: static variables `generations`, `enabled`, `collecting` |
//! | 3.7   | a struct with three generations |
//! | 3.14  | young and old; three generations again from 3.14.5 on, not without GIL |
//!
//! Debian's 3.13 has a patched layout, see [`GC_STATE_DEBIAN_3_13`].
//! The row of 3.14.0 is that of 3.14.4, the earliest that was seen.
//!
//! Source: `Include/internal/pycore_mem.h`; `pycore_gc.h` from 3.9, `pycore_interp_structs.h` from 3.14.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{v3, v3p};

/// Where things are in `_gc_runtime_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcState {
    /// `sizeof`.
    pub size: u64,
    /// Whether it runs by itself.
    pub enabled: Field<i32>,
    /// `gc.set_debug`.
    pub debug: Field<i32>,
    /// The lists of tracked objects.
    pub heads: GcHeads,
    /// What `gc.freeze` put aside: a [`super::gc_generation::GcGeneration`].
    pub permanent: Field<Inline>,
    /// Whether it runs now.
    pub collecting: Field<i32>,
    /// `gc.garbage`.
    pub garbage: Field<Ptr>,
    /// `gc.callbacks`.
    pub callbacks: Field<Ptr>,
    /// How many objects it tracks.
    pub heap_size: Option<Field<i64>>,
}

/// The lists of tracked objects. Without GIL they are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GcHeads {
    /// Three [`super::gc_generation::GcGeneration`] in a row, the youngest first.
    Generations(Field<Inline>),
    /// A young generation, then two halves of the old one.
    YoungAndOld {
        /// The young generation.
        young: Field<Inline>,
        /// The first of the two halves.
        old: Field<Inline>,
    },
}

/// Every layout of the struct, oldest first.
pub const GC_STATE: Table<GcState> = Table(&[
    Row {
        since: v3(7),
        free_threaded: false,
        layout: GcState {
            size: 352,
            enabled: at("enabled", 12),
            debug: at("debug", 16),
            heads: GcHeads::Generations(at("generations", 32)),
            permanent: at("permanent_generation", 192),
            collecting: at("collecting", 312),
            garbage: at("garbage", 320),
            callbacks: at("callbacks", 328),
            heap_size: None,
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: GcState {
            size: 240,
            enabled: at("enabled", 12),
            debug: at("debug", 16),
            heads: GcHeads::Generations(at("generations", 24)),
            permanent: at("permanent_generation", 104),
            collecting: at("collecting", 200),
            garbage: at("garbage", 208),
            callbacks: at("callbacks", 216),
            heap_size: None,
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: GcState {
            size: 240,
            enabled: at("enabled", 12),
            debug: at("debug", 16),
            heads: GcHeads::YoungAndOld { young: at("young", 24), old: at("old", 48) },
            permanent: at("permanent_generation", 96),
            collecting: at("collecting", 192),
            garbage: at("garbage", 200),
            callbacks: at("callbacks", 208),
            heap_size: Some(at("heap_size", 216)),
        },
    },
    Row {
        since: v3p(14, 5),
        free_threaded: false,
        layout: GcState {
            size: 264,
            enabled: at("enabled", 12),
            debug: at("debug", 16),
            heads: GcHeads::Generations(at("generations", 24)),
            permanent: at("permanent_generation", 96),
            collecting: at("collecting", 192),
            garbage: at("garbage", 200),
            callbacks: at("callbacks", 208),
            heap_size: Some(at("heap_size", 216)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: false,
        layout: GcState {
            size: 176,
            enabled: at("enabled", 0),
            debug: at("debug", 4),
            heads: GcHeads::Generations(at("generations", 8)),
            permanent: at("permanent_generation", 80),
            collecting: at("collecting", 112),
            garbage: at("garbage", 128),
            callbacks: at("callbacks", 136),
            heap_size: Some(at("heap_size", 144)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: GcState {
            size: 248,
            enabled: at("enabled", 12),
            debug: at("debug", 16),
            heads: GcHeads::Generations(at("generations", 24)),
            permanent: at("permanent_generation", 104),
            collecting: at("collecting", 200),
            garbage: at("garbage", 208),
            callbacks: at("callbacks", 216),
            heap_size: None,
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: GcState {
            size: 288,
            enabled: at("enabled", 12),
            debug: at("debug", 16),
            heads: GcHeads::YoungAndOld { young: at("young", 24), old: at("old", 48) },
            permanent: at("permanent_generation", 96),
            collecting: at("collecting", 192),
            garbage: at("garbage", 200),
            callbacks: at("callbacks", 208),
            heap_size: Some(at("heap_size", 216)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: true,
        layout: GcState {
            size: 176,
            enabled: at("enabled", 0),
            debug: at("debug", 4),
            heads: GcHeads::YoungAndOld { young: at("young", 8), old: at("old", 32) },
            permanent: at("permanent_generation", 80),
            collecting: at("collecting", 112),
            garbage: at("garbage", 128),
            callbacks: at("callbacks", 136),
            heap_size: Some(at("heap_size", 144)),
        },
    },
]);

impl Shape for GcState {
    const C_NAMES: &'static [&'static str] = &["_gc_runtime_state"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_gc_runtime_state";
        self.enabled.visit_in(of, visit);
        self.debug.visit_in(of, visit);
        match &mut self.heads {
            GcHeads::Generations(field) => field.visit_in(of, visit),
            GcHeads::YoungAndOld { young, old } => {
                young.visit_in(of, visit);
                old.visit_in(of, visit);
            }
        }
        self.permanent.visit_in(of, visit);
        self.collecting.visit_in(of, visit);
        self.garbage.visit_in(of, visit);
        self.callbacks.visit_in(of, visit);
        self.heap_size.visit_in(of, visit);
    }
}

/// The struct of Debian's python3.13 (seen in 3.13.5-2), whose `gchead-alignment.diff` packs it.
///
/// No version tells it from the usual one: follow the lists, they close in one of the two only.
pub const GC_STATE_DEBIAN_3_13: GcState = GcState {
    heads: GcHeads::Generations(at("generations", 20)),
    size: 240,
    enabled: at("enabled", 12),
    debug: at("debug", 16),
    permanent: at("permanent_generation", 104),
    collecting: at("collecting", 200),
    garbage: at("garbage", 208),
    callbacks: at("callbacks", 216),
    heap_size: None,
};
