//! `_pending_calls`: functions that the interpreter calls at its next bytecode.
//!
//! A ring of functions with one argument each; who adds one writes it behind the last, and sets the
//! eval breaker, at which the loop that runs bytecode looks at every jump back.
//!
//! Source: `Include/internal/pycore_ceval.h`, 3.7; `pycore_ceval_state.h`, 3.12. Before 3.7 these
//! were variables of `Python/ceval.c`.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `_pending_calls`, and where that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingCalls {
    /// `sizeof`.
    pub size: u64,
    /// Where the struct itself is.
    pub home: Home,
    /// Whether any thread calls them; before 3.12 the main thread alone.
    pub any_thread: bool,
    /// What protects it.
    pub lock: RingLock,
    /// Since 3.13 the number of entries, before a flag.
    pub to_do: Field<i32>,
    /// The entries.
    pub calls: Field<Inline>,
    /// How many entries there can be, and how large each is.
    pub slots: (u32, u64),
    /// The entry that is called next.
    pub first: Field<i32>,
    /// The entry to be written next.
    pub next: Field<i32>,
}

/// Which struct the ring is in, and where the eval breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the runtime, 3.7: only the main thread calls.
    Runtime(Field<Inline>, Field<i32>),
    /// In each interpreter, 3.9.
    Interpreter(Field<Inline>, Field<i32>),
    /// The same with an eval breaker in each thread, a word of bits, 3.13.
    Threads(Field<Inline>, Field<u64>),
}

/// What protects the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingLock {
    /// A lock of `_thread`: a pointer to a semaphore, which is 0 while it is held.
    Semaphore(Field<Ptr>),
    /// A `PyMutex`, a byte that is 0 while nobody has it.
    Mutex(Field<u8>),
}

const fn old(home: Home, size: u64, lock: u64, calls: u64, first: u64) -> PendingCalls {
    PendingCalls {
        size,
        home,
        any_thread: false,
        lock: RingLock::Semaphore(at("lock", lock)),
        to_do: at("calls_to_do", lock + 8),
        calls: at("calls", calls),
        slots: (32, 16),
        first: at("first", first),
        next: at("last", first + 4),
    }
}

const fn new() -> PendingCalls {
    PendingCalls {
        size: 7232,
        home: Home::Threads(at("ceval.pending", 32), at("eval_breaker", 24)),
        any_thread: true,
        lock: RingLock::Mutex(at("mutex", 8)),
        to_do: at("npending", 12),
        calls: at("calls", 24),
        slots: (300, 24),
        first: at("first", 7224),
        next: at("next", 7228),
    }
}

const fn runtime(pending: u64, breaker: u64) -> Home {
    Home::Runtime(at("ceval.pending", pending), at("ceval.eval_breaker", breaker))
}

const fn interpreter(pending: u64, breaker: u64) -> Home {
    Home::Interpreter(at("ceval.pending", pending), at("ceval.eval_breaker", breaker))
}

/// Every layout of the struct, oldest first.
pub const PENDING_CALLS: Table<PendingCalls> = Table(&[
    Row { since: v3(7), free_threaded: false, layout: old(runtime(720, 712), 544, 8, 24, 536) },
    Row { since: v3(8), free_threaded: false, layout: old(runtime(600, 592), 544, 8, 24, 536) },
    Row { since: v3(9), free_threaded: false, layout: old(interpreter(80, 72), 536, 0, 16, 528) },
    Row { since: v3(10), free_threaded: false, layout: old(interpreter(80, 68), 536, 0, 16, 528) },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: old(interpreter(112, 100), 536, 0, 16, 528),
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: PendingCalls { any_thread: true, ..old(interpreter(400, 368), 544, 8, 24, 536) },
    },
    Row { since: v3(13), free_threaded: false, layout: new() },
    Row { since: v3(13), free_threaded: true, layout: new() },
]);

impl Shape for PendingCalls {
    const C_NAMES: &'static [&'static str] = &["_pending_calls"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_pending_calls";
        match &mut self.home {
            Home::Runtime(pending, breaker) => {
                pending.visit_in("pyruntimestate", visit);
                breaker.visit_in("pyruntimestate", visit);
            }
            Home::Interpreter(pending, breaker) => {
                pending.visit_in("_is", visit);
                breaker.visit_in("_is", visit);
            }
            Home::Threads(pending, breaker) => {
                pending.visit_in("_is", visit);
                breaker.visit_in("_ts", visit);
            }
        }
        match &mut self.lock {
            RingLock::Semaphore(lock) => lock.visit_in(of, visit),
            RingLock::Mutex(mutex) => mutex.visit_in(of, visit),
        }
        self.to_do.visit_in(of, visit);
        self.calls.visit_in(of, visit);
        self.first.visit_in(of, visit);
        self.next.visit_in(of, visit);
    }
}
