//! `wait_entry`: one thread that is parked, on that thread's stack, 3.13.
//!
//! Who waits for a `PyMutex` sleeps on the semaphore in it, and the address of the mutex is beside
//! that.
//!
//! Source: `Python/parking_lot.c`.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;
use memwhy_model::Addr;
use memwhy_target::Memory;

/// Where things are in `wait_entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitEntry {
    /// `sizeof`.
    pub size: u64,
    /// What the thread waits at.
    pub addr: Field<Ptr>,
    /// The semaphore that it sleeps on.
    pub sema: Field<Inline>,
}

impl WaitEntry {
    /// What the thread is parked at whose entry has the semaphore at `word`.
    pub(crate) fn parked_at(&self, memory: &dyn Memory, word: Addr) -> Option<Addr> {
        self.addr.read(memory, word.before(self.sema.offset)).ok()?
    }
}

/// Every layout of the struct, oldest first.
pub const WAIT_ENTRY: Table<WaitEntry> = Table(&[
    Row { since: v3(13), free_threaded: false, layout: ENTRY },
    Row { since: v3(13), free_threaded: true, layout: ENTRY },
]);

const ENTRY: WaitEntry = WaitEntry { size: 72, addr: at("addr", 8), sema: at("sema", 16) };

impl Shape for WaitEntry {
    const C_NAMES: &'static [&'static str] = &["wait_entry"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "wait_entry";
        self.addr.visit_in(of, visit);
        self.sema.visit_in(of, visit);
    }
}
