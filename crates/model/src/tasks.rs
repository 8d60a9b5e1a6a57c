//! Which asyncio tasks and greenlets are there, and where does each wait?

use crate::{Addr, Frame};
use serde::{Deserialize, Serialize};

/// One task, or one greenlet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskFacts {
    /// The object.
    pub addr: Addr,
    /// What it is.
    pub kind: TaskKind,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// What it is doing.
    pub state: TaskState,
    /// The chain of coroutines, the innermost first: what it awaits, down to what it was made of.
    pub frames: Vec<Frame>,
    /// What it waits for, where that can be told.
    pub awaits: Option<Awaits>,
    /// The task that awaits it, by its place in `Case::tasks`.
    pub awaited_by: Option<u32>,
    /// Whether it is on asyncio's own lists, of tasks in C that are not over; `None` before 3.14,
    /// which have no such lists.
    #[serde(default)]
    pub listed: Option<bool>,
    /// The thread that runs its loop.
    pub tid: Option<u32>,
}

/// What a [`TaskFacts`] is of.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// `asyncio.Task`.
    #[default]
    Task,
    /// A greenlet.
    Greenlet,
}

impl TaskKind {
    /// The word used in JSON and in snapshots.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Greenlet => "greenlet",
        }
    }
}

/// What a task is doing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// A thread is in it.
    Running,
    /// It can go on as soon as its loop has time.
    Ready,
    /// It waits.
    #[default]
    Waiting,
    /// It has ended, and somebody still holds it.
    Done,
    /// It was cancelled, and somebody still holds it.
    Cancelled,
}

impl TaskState {
    /// The word used in JSON and in snapshots.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

/// What a task waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Awaits {
    /// Another task, by its place in `Case::tasks`.
    Task(u32),
    /// Several, of which so many are not done: `gather`, `wait`.
    Several {
        /// The tasks that are not done, by their places in `Case::tasks`.
        tasks: Vec<u32>,
        /// How many there are in all.
        of: u64,
    },
    /// A moment: so many seconds from now, where that can be told, less than zero when it is past.
    Time(Option<f64>),
    /// Something of asyncio's that tasks share.
    Shared {
        /// Its type: `asyncio.queues.Queue`.
        kind: String,
        /// The object.
        addr: Addr,
        /// What of it.
        wants: AwaitsOf,
    },
    /// A future of this type, that somebody has to set.
    Future(String),
}

/// What of a queue, a lock and so on a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AwaitsOf {
    /// Something to take out of a queue.
    Item,
    /// Room to put something into a queue.
    Room,
    /// Its turn: with a lock, an event, a condition, a semaphore.
    Turn,
}

impl AwaitsOf {
    /// The word used in JSON and in snapshots.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Room => "room",
            Self::Turn => "turn",
        }
    }
}
