//! `PyWeakReference`: a weak reference or proxy.
//!
//! Source: `Include/weakrefobject.h`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `_PyWeakReference`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakReference {
    /// `sizeof`.
    pub size: u64,
    /// Its referent, not owned; `None` once that died.
    pub wr_object: Field<Ptr>,
    /// What to call then.
    pub wr_callback: Field<Ptr>,
    /// The previous one to the same object.
    pub wr_prev: Field<Ptr>,
    /// The next one to the same object.
    pub wr_next: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const WEAK_REFERENCE: Table<WeakReference> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: WeakReference {
            size: 56,
            wr_object: at("wr_object", 16),
            wr_callback: at("wr_callback", 24),
            wr_prev: at("wr_prev", 40),
            wr_next: at("wr_next", 48),
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: WeakReference {
            size: 64,
            wr_object: at("wr_object", 16),
            wr_callback: at("wr_callback", 24),
            wr_prev: at("wr_prev", 40),
            wr_next: at("wr_next", 48),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: WeakReference {
            size: 88,
            wr_object: at("wr_object", 32),
            wr_callback: at("wr_callback", 40),
            wr_prev: at("wr_prev", 56),
            wr_next: at("wr_next", 64),
        },
    },
]);

impl Shape for WeakReference {
    const C_NAMES: &'static [&'static str] = &["_PyWeakReference", "PyWeakReference"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_PyWeakReference";
        self.wr_object.visit_in(of, visit);
        self.wr_callback.visit_in(of, visit);
        self.wr_prev.visit_in(of, visit);
        self.wr_next.visit_in(of, visit);
    }
}
