//! `PyGC_Head`: the links of the cyclic garbage collector, right before a container.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | next, previous and a count; 32 bytes with the padding |
//! | 3.8   | the count moved into the low bits of the links |
//! | 3.13t | none: builds without GIL mark tracked objects in the object itself |
//!
//! Source: `Include/objimpl.h`; `Include/internal/pycore_gc.h` from 3.9.

use crate::layout::{Field, Member, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `_gc_head`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcHead {
    /// `sizeof`.
    pub size: u64,
    /// The next tracked object; from 3.14 on the lowest bit is a flag.
    pub next: Field<u64>,
    /// The previous one; from 3.8 on the two lowest bits are flags.
    pub prev: Field<u64>,
    /// -2 when the object is not tracked. From 3.8 on `next` is null then.
    pub refs: Option<Field<i64>>,
}

/// Every layout of the struct, oldest first.
pub const GC_HEAD: Table<GcHead> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: GcHead {
            size: 32,
            next: at("gc.gc_next", 0),
            prev: at("gc.gc_prev", 8),
            refs: Some(at("gc.gc_refs", 16)),
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: GcHead { size: 16, next: at("_gc_next", 0), prev: at("_gc_prev", 8), refs: None },
    },
]);

impl Shape for GcHead {
    const C_NAMES: &'static [&'static str] = &["_gc_head", "PyGC_Head"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_gc_head";
        self.next.visit_in(of, visit);
        self.prev.visit_in(of, visit);
        self.refs.visit_in(of, visit);
    }
}
