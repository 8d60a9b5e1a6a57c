//! `gc_generation`: one generation of the collector.
//!
//! Source: `Modules/gcmodule.c`; `Include/internal/pycore_gc.h` from 3.9.

use crate::layout::{Field, Inline, Member, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `gc_generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcGeneration {
    /// `sizeof`.
    pub size: u64,
    /// A [`super::gc_head::GcHead`]: the ends of the list.
    pub head: Field<Inline>,
    /// When to collect.
    pub threshold: Field<i32>,
    /// How near that is.
    pub count: Field<i32>,
}

/// Every layout of the struct, oldest first.
pub const GC_GENERATION: Table<GcGeneration> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: GcGeneration {
            size: 40,
            head: at("head", 0),
            threshold: at("threshold", 32),
            count: at("count", 36),
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: GcGeneration {
            size: 48,
            head: at("head", 0),
            threshold: at("threshold", 32),
            count: at("count", 36),
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: GcGeneration {
            size: 24,
            head: at("head", 0),
            threshold: at("threshold", 16),
            count: at("count", 20),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: GcGeneration {
            size: 24,
            head: at("head", 0),
            threshold: at("threshold", 16),
            count: at("count", 20),
        },
    },
]);

impl Shape for GcGeneration {
    const C_NAMES: &'static [&'static str] = &["gc_generation"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "gc_generation";
        self.head.visit_in(of, visit);
        self.threshold.visit_in(of, visit);
        self.count.visit_in(of, visit);
    }
}
