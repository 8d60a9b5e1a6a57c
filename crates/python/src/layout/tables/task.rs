//! `TaskObj`: an `asyncio.Task`.
//!
//! Source: `Modules/_asynciomodule.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `TaskObj`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// `sizeof`.
    pub size: u64,
    /// Its event loop.
    pub loop_: Field<Ptr>,
    /// What to call when done.
    pub callbacks: Field<Ptr>,
    /// What it returned.
    pub result: Field<Ptr>,
    /// 0 pending, 1 cancelled, 2 finished.
    pub state: Field<i32>,
    /// Its coroutine.
    pub coroutine: Field<Ptr>,
    /// What it waits for.
    pub fut_waiter: Field<Ptr>,
    /// Its name.
    pub name: Option<Field<Ptr>>,
    /// Its context.
    pub context: Option<Field<Ptr>>,
}

/// Every layout of the struct, oldest first.
pub const TASK: Table<Task> = Table(&[
    Row {
        since: v3(6),
        free_threaded: false,
        layout: Task {
            size: 112,
            loop_: at("task_loop", 16),
            callbacks: at("task_callbacks", 24),
            result: at("task_result", 40),
            state: at("task_state", 56),
            coroutine: at("task_coro", 96),
            fut_waiter: at("task_fut_waiter", 88),
            name: None,
            context: None,
        },
    },
    Row {
        since: v3(7),
        free_threaded: false,
        layout: Task {
            size: 136,
            loop_: at("task_loop", 16),
            callbacks: at("task_callbacks", 40),
            result: at("task_result", 56),
            state: at("task_state", 72),
            coroutine: at("task_coro", 112),
            fut_waiter: at("task_fut_waiter", 104),
            name: None,
            context: Some(at("task_context", 120)),
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: Task {
            size: 144,
            loop_: at("task_loop", 16),
            callbacks: at("task_callbacks", 40),
            result: at("task_result", 56),
            state: at("task_state", 72),
            coroutine: at("task_coro", 112),
            fut_waiter: at("task_fut_waiter", 104),
            name: Some(at("task_name", 120)),
            context: Some(at("task_context", 128)),
        },
    },
    Row {
        since: v3(9),
        free_threaded: false,
        layout: Task {
            size: 184,
            loop_: at("task_loop", 16),
            callbacks: at("task_callbacks", 40),
            result: at("task_result", 56),
            state: at("task_state", 80),
            coroutine: at("task_coro", 152),
            fut_waiter: at("task_fut_waiter", 144),
            name: Some(at("task_name", 160)),
            context: Some(at("task_context", 168)),
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: Task {
            size: 192,
            loop_: at("task_loop", 16),
            callbacks: at("task_callbacks", 40),
            result: at("task_result", 64),
            state: at("task_state", 88),
            coroutine: at("task_coro", 160),
            fut_waiter: at("task_fut_waiter", 152),
            name: Some(at("task_name", 168)),
            context: Some(at("task_context", 176)),
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: Task {
            size: 176,
            loop_: at("task_loop", 16),
            callbacks: at("task_callbacks", 40),
            result: at("task_result", 64),
            state: at("task_state", 88),
            coroutine: at("task_coro", 136),
            fut_waiter: at("task_fut_waiter", 128),
            name: Some(at("task_name", 144)),
            context: Some(at("task_context", 152)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: Task {
            size: 144,
            loop_: at("task_loop", 16),
            callbacks: at("task_callbacks", 40),
            result: at("task_result", 64),
            state: at("task_state", 96),
            coroutine: at("task_coro", 120),
            fut_waiter: at("task_fut_waiter", 112),
            name: Some(at("task_name", 128)),
            context: Some(at("task_context", 136)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: Task {
            size: 168,
            loop_: at("task_loop", 16),
            callbacks: at("task_callbacks", 40),
            result: at("task_result", 64),
            state: at("task_state", 104),
            coroutine: at("task_coro", 128),
            fut_waiter: at("task_fut_waiter", 120),
            name: Some(at("task_name", 136)),
            context: Some(at("task_context", 144)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Task {
            size: 160,
            loop_: at("task_loop", 32),
            callbacks: at("task_callbacks", 56),
            result: at("task_result", 80),
            state: at("task_state", 112),
            coroutine: at("task_coro", 136),
            fut_waiter: at("task_fut_waiter", 128),
            name: Some(at("task_name", 144)),
            context: Some(at("task_context", 152)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: Task {
            size: 192,
            loop_: at("task_loop", 32),
            callbacks: at("task_callbacks", 56),
            result: at("task_result", 80),
            state: at("task_state", 120),
            coroutine: at("task_coro", 144),
            fut_waiter: at("task_fut_waiter", 136),
            name: Some(at("task_name", 152)),
            context: Some(at("task_context", 160)),
        },
    },
]);

impl Shape for Task {
    const C_NAMES: &'static [&'static str] = &["TaskObj"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "TaskObj";
        self.loop_.visit_in(of, visit);
        self.callbacks.visit_in(of, visit);
        self.result.visit_in(of, visit);
        self.state.visit_in(of, visit);
        self.coroutine.visit_in(of, visit);
        self.fut_waiter.visit_in(of, visit);
        self.name.visit_in(of, visit);
        self.context.visit_in(of, visit);
    }
}
