//! `simplequeueobject`: a `queue.SimpleQueue`.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 3.7   | a list with a place to read from, and a lock that is held while it is empty |
//! | 3.13  | a ring; who waits is parked at a byte of the object |
//!
//! Source: `Modules/_queuemodule.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `simplequeueobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimpleQueue {
    /// `sizeof`.
    pub size: u64,
    /// Where the items are.
    pub items: QueueItems,
}

/// Where the items are, and what those who wait for one wait at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueItems {
    /// In a list, from some place on.
    List {
        /// The semaphore of those who wait.
        lock: Field<Ptr>,
        /// The list.
        lst: Field<Ptr>,
        /// The first item that nobody took.
        lst_pos: Field<i64>,
    },
    /// In a ring.
    Ring {
        /// Those who wait are parked here.
        has_threads_waiting: Field<u8>,
        /// The array.
        items: Field<Ptr>,
        /// How many there are.
        num_items: Field<i64>,
    },
}

/// Every layout of the struct, oldest first.
pub const SIMPLE_QUEUE: Table<SimpleQueue> = Table(&[
    Row {
        since: v3(7),
        free_threaded: false,
        layout: SimpleQueue {
            size: 56,
            items: QueueItems::List {
                lock: at("lock", 16),
                lst: at("lst", 32),
                lst_pos: at("lst_pos", 40),
            },
        },
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: SimpleQueue {
            size: 72,
            items: QueueItems::Ring {
                has_threads_waiting: at("has_threads_waiting", 16),
                items: at("buf.items", 40),
                num_items: at("buf.num_items", 56),
            },
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: SimpleQueue {
            size: 88,
            items: QueueItems::Ring {
                has_threads_waiting: at("has_threads_waiting", 32),
                items: at("buf.items", 56),
                num_items: at("buf.num_items", 72),
            },
        },
    },
]);

impl Shape for SimpleQueue {
    const C_NAMES: &'static [&'static str] = &["simplequeueobject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "simplequeueobject";
        match &mut self.items {
            QueueItems::List { lock, lst, lst_pos } => {
                lock.visit_in(of, visit);
                lst.visit_in(of, visit);
                lst_pos.visit_in(of, visit);
            }
            QueueItems::Ring { has_threads_waiting, items, num_items } => {
                has_threads_waiting.visit_in(of, visit);
                items.visit_in(of, visit);
                num_items.visit_in(of, visit);
            }
        }
    }
}
