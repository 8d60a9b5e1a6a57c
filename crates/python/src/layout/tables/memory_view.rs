//! `PyMemoryViewObject`: a view of the memory of another object.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | the view follows the object that was asked for it |
//! | 3.3   | views of one buffer share a managed one |
//!
//! Source: `Include/memoryobject.h`; `Include/cpython/memoryobject.h` from 3.11.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyMemoryViewObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryView {
    /// `sizeof`.
    pub size: u64,
    /// The buffer that several views share.
    pub managed: Option<Field<Ptr>>,
    /// Whose memory is seen. Borrowed where there is a managed buffer.
    pub obj: Field<Ptr>,
    /// Bytes that are seen.
    pub len: Field<i64>,
}

/// Every layout of the struct, oldest first.
pub const MEMORY_VIEW: Table<MemoryView> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: MemoryView {
            size: 120,
            managed: None,
            obj: at("view.obj", 32),
            len: at("view.len", 40),
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: MemoryView {
            size: 152,
            managed: Some(at("mbuf", 24)),
            obj: at("view.obj", 64),
            len: at("view.len", 72),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: MemoryView {
            size: 168,
            managed: Some(at("mbuf", 40)),
            obj: at("view.obj", 80),
            len: at("view.len", 88),
        },
    },
]);

impl Shape for MemoryView {
    const C_NAMES: &'static [&'static str] = &["PyMemoryViewObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyMemoryViewObject";
        self.managed.visit_in(of, visit);
        self.obj.visit_in(of, visit);
        self.len.visit_in(of, visit);
    }
}
