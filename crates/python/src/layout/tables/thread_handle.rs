//! `ThreadHandle`: what `Thread.join` waits for from 3.13 on. It is in no object; a
//! `_thread._ThreadHandle` points at it.
//!
//! Source: `Modules/_threadmodule.c`.

use crate::layout::{Field, Member, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `ThreadHandle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadHandle {
    /// `sizeof`.
    pub size: u64,
    /// The thread, as `thread_id`.
    pub ident: Field<u64>,
    /// Who joins is parked at this event.
    pub thread_is_exiting: Field<u8>,
}

/// Every layout of the struct, oldest first.
pub const THREAD_HANDLE: Table<ThreadHandle> = Table(&[
    Row { since: v3(13), free_threaded: false, layout: HANDLE },
    Row { since: v3(13), free_threaded: true, layout: HANDLE },
]);

const HANDLE: ThreadHandle = ThreadHandle {
    size: 72,
    ident: at("ident", 32),
    thread_is_exiting: at("thread_is_exiting", 57),
};

impl Shape for ThreadHandle {
    const C_NAMES: &'static [&'static str] = &["ThreadHandle"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "ThreadHandle";
        self.ident.visit_in(of, visit);
        self.thread_is_exiting.visit_in(of, visit);
    }
}
