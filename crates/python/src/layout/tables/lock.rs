//! `lockobject`: a `threading.Lock`. It does not record who holds it.
//!
//! Source: `Modules/_threadmodule.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3, v3p};

/// Where things are in `lockobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// `sizeof`.
    pub size: u64,
    /// Whether it is held.
    pub state: LockState,
}

/// Whether it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// One byte: bit 0 held, bit 1 somebody waits.
    Mutex(Field<u8>),
    /// A POSIX semaphore, and a flag.
    Flag {
        /// The semaphore.
        semaphore: Field<Ptr>,
        /// 1 while held.
        locked: Field<u8>,
    },
    /// A POSIX semaphore, 0 while held.
    Semaphore(Field<Ptr>),
}

/// Every layout of the struct, oldest first.
pub const LOCK: Table<Lock> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Lock { size: 32, state: LockState::Semaphore(at("lock_lock", 16)) },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: Lock {
            size: 40,
            state: LockState::Flag { semaphore: at("lock_lock", 16), locked: at("locked", 32) },
        },
    },
    Row {
        since: v3p(13, 5),
        free_threaded: false,
        layout: Lock { size: 24, state: LockState::Mutex(at("lock", 16)) },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Lock { size: 40, state: LockState::Mutex(at("lock", 32)) },
    },
]);

impl Shape for Lock {
    const C_NAMES: &'static [&'static str] = &["lockobject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "lockobject";
        self.state.visit_in(of, visit);
    }
}

impl Member for LockState {
    fn visit_in(&mut self, of: &'static str, visit: &mut dyn FnMut(Spot<'_>)) {
        match self {
            Self::Mutex(field) => field.visit_in(of, visit),
            Self::Flag { semaphore, locked } => {
                semaphore.visit_in(of, visit);
                locked.visit_in(of, visit);
            }
            Self::Semaphore(field) => field.visit_in(of, visit),
        }
    }
}
