//! `rlockobject`: a `threading.RLock`.
//!
//! Python 2.7 has none: its `RLock` is written in Python.
//!
//! Source: `Modules/_threadmodule.c`.

use super::lock::LockState;
use crate::layout::{Field, Member, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `rlockobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RLock {
    /// `sizeof`.
    pub size: u64,
    /// Whether it is held.
    pub state: LockState,
    /// The thread that holds it, as `thread_id`.
    pub owner: Field<u64>,
    /// How often it holds it.
    pub count: Field<u64>,
    /// What `count` is when it is held once.
    pub held_once: u64,
}

/// Every layout of the struct, oldest first.
pub const RLOCK: Table<RLock> = Table(&[
    Row {
        since: v3(6),
        free_threaded: false,
        layout: RLock {
            size: 48,
            state: LockState::Semaphore(at("rlock_lock", 16)),
            owner: at("rlock_owner", 24),
            count: at("rlock_count", 32),
            held_once: 1,
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: RLock {
            size: 40,
            state: LockState::Mutex(at("lock.mutex", 16)),
            owner: at("lock.thread", 24),
            count: at("lock.level", 32),
            held_once: 0,
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: RLock {
            size: 64,
            state: LockState::Semaphore(at("rlock_lock", 32)),
            owner: at("rlock_owner", 40),
            count: at("rlock_count", 48),
            held_once: 1,
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: RLock {
            size: 56,
            state: LockState::Mutex(at("lock.mutex", 32)),
            owner: at("lock.thread", 40),
            count: at("lock.level", 48),
            held_once: 0,
        },
    },
]);

impl Shape for RLock {
    const C_NAMES: &'static [&'static str] = &["rlockobject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "rlockobject";
        self.state.visit_in(of, visit);
        self.owner.visit_in(of, visit);
        self.count.visit_in(of, visit);
    }
}
