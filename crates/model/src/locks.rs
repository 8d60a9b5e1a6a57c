//! Which locks are there, who has them, and who waits for them?

use crate::Addr;
use serde::{Deserialize, Serialize};

/// What a lock is. Also what threads wait for that is no lock in the strict sense.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum LockKind {
    /// `threading.Lock`.
    #[default]
    Lock,
    /// `threading.RLock`.
    RLock,
    /// `threading.Condition`.
    Condition,
    /// `threading.Event`.
    Event,
    /// `threading.Semaphore`, `BoundedSemaphore`.
    Semaphore,
    /// `threading.Barrier`.
    Barrier,
    /// `queue.Queue` and its like.
    Queue,
    /// `queue.SimpleQueue`.
    SimpleQueue,
    /// `concurrent.futures.Future`.
    Future,
    /// The end of a thread: who joins it waits for that.
    ThreadEnd,
    /// The lock of one module that is being imported.
    ModuleLock,
    /// The lock of all imports.
    ImportLock,
    /// The global interpreter lock.
    Gil,
    /// A lock between processes: `multiprocessing.Lock`, `RLock`, `Semaphore`.
    ProcessLock,
    /// A `pthread_mutex_t`.
    Mutex,
    /// A `pthread_rwlock_t`.
    RwLock,
    /// A lock on a file: `flock`, `fcntl`.
    File,
    /// Something in memory that C code waits at and that could not be told.
    Futex,
}

impl LockKind {
    /// The word used in JSON and in snapshots.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::RLock => "r-lock",
            Self::Condition => "condition",
            Self::Event => "event",
            Self::Semaphore => "semaphore",
            Self::Barrier => "barrier",
            Self::Queue => "queue",
            Self::SimpleQueue => "simple-queue",
            Self::Future => "future",
            Self::ThreadEnd => "thread-end",
            Self::ModuleLock => "module-lock",
            Self::ImportLock => "import-lock",
            Self::Gil => "gil",
            Self::ProcessLock => "process-lock",
            Self::Mutex => "mutex",
            Self::RwLock => "rw-lock",
            Self::File => "file",
            Self::Futex => "futex",
        }
    }

    /// Whether whoever took it has to give it back, so that its holder is to blame for a wait. The
    /// others are signals: anybody may set an event, put into a queue, notify.
    #[must_use]
    pub const fn is_given_back(self) -> bool {
        match self {
            Self::Lock
            | Self::RLock
            | Self::Semaphore
            | Self::ThreadEnd
            | Self::ModuleLock
            | Self::ImportLock
            | Self::Gil
            | Self::ProcessLock
            | Self::Mutex
            | Self::RwLock
            | Self::File => true,
            Self::Condition
            | Self::Event
            | Self::Barrier
            | Self::Queue
            | Self::SimpleQueue
            | Self::Future
            | Self::Futex => false,
        }
    }
}

/// Whether a lock can be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockState {
    /// It can.
    Free,
    /// Somebody has it.
    Held,
    /// It could not be read, or has no such state.
    #[default]
    Unknown,
}

/// One lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFacts {
    /// The object, or the struct of a lock that is none.
    pub addr: Addr,
    /// What it is.
    pub kind: LockKind,
    /// Its type, `threading.Condition`; nothing where it is no Python object.
    pub type_name: String,
    /// What a person would call it: `sys.modules['logging'].root.handlers[0].lock`.
    pub name: Option<String>,
    /// Whether it can be taken.
    pub state: LockState,
    /// Who has it, as far as that is known.
    pub holders: Vec<LockHolder>,
    /// Of a queue: how many items are in it.
    pub items: Option<u64>,
    /// Of a queue: how many fit in, nothing where that is not bounded. Of a semaphore: how many
    /// may have it at once, where it says so.
    pub limit: Option<u64>,
    /// The lock in `Case::locks` that this one is the inside of.
    pub inside: Option<u32>,
    /// Who has to do with it without waiting for it: threads whose running functions name it.
    pub users: Vec<LockUser>,
}

/// Somebody who has a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// The thread, if it is one of this process that exists.
    pub tid: Option<u32>,
    /// What the lock records of its holder: `threading.get_ident()`, a number of the kernel's.
    pub recorded: Option<u64>,
    /// How it is known.
    pub how: HolderKnown,
    /// What became of a holder that is no thread of this process.
    pub absent: Option<AbsentHolder>,
    /// What was seen, as a sentence that goes on after "held by …".
    pub saw: String,
}

/// How the holder of a lock is known, weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HolderKnown {
    /// A function that it runs names the lock and calls `acquire`.
    #[default]
    Calls,
    /// A `with` block that it is in is that of the lock.
    WithBlock,
    /// The lock says so.
    Recorded,
}

impl HolderKnown {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Calls => "calls-acquire",
            Self::WithBlock => "with-block",
            Self::Recorded => "recorded",
        }
    }
}

/// A holder that is no thread of this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbsentHolder {
    /// The process was forked, and the thread is one of its parent's, which it still has.
    InParent {
        /// The parent.
        pid: u32,
        /// The thread there.
        tid: u32,
        /// Its name there.
        name: String,
        /// Whether the parent's copy of the lock is free by now, where that was seen.
        free_there: Option<bool>,
    },
    /// The process was forked (and did not start another program), and the thread is none of its.
    LeftByFork {
        /// The parent, if it still lives.
        parent: Option<u32>,
    },
    /// There is no such thread; whether it ended or was left behind cannot be told.
    Missing,
    /// The thread has ended.
    Ended,
    /// Another process has it.
    OtherProcess {
        /// Which one.
        pid: u32,
        /// What it is called.
        command: String,
    },
}

/// A thread whose running function names a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockUser {
    /// The thread.
    pub tid: u32,
    /// How the function names it: `self.queue`.
    pub names_it: String,
    /// The function.
    pub function: String,
    /// Whether the function has to do with taking out of it (of a queue: `get`).
    pub takes: bool,
    /// Whether the function has to do with putting into it (of a queue: `put`).
    pub gives: bool,
}

/// What a thread waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// What it waits for.
    pub waited: Waited,
    /// What it wants of it.
    pub wants: Wants,
    /// Whether it gives up by itself after some time.
    pub timed: bool,
    /// For how many seconds at least it has been asleep, where the kernel tells.
    pub asleep_s: Option<f64>,
}

impl Wait {
    /// The place in `Case::locks` of the lock that it waits for, if locks were looked for.
    #[must_use]
    pub const fn lock(&self) -> Option<u32> {
        match self.waited {
            Waited::Lock(place) => Some(place),
            Waited::At { .. } => None,
        }
    }
}

/// What a thread waits for: one thing, said by what was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waited {
    /// A lock, by its place in `Case::locks`.
    Lock(u32),
    /// Where only stacks were read, something in memory.
    At {
        /// The lock, or else the word that the thread sleeps at.
        addr: Addr,
        /// How its own functions name it.
        named: Option<NamedBy>,
    },
}

impl Default for Waited {
    fn default() -> Self {
        Self::Lock(0)
    }
}

/// How a running function names something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedBy {
    /// In its own words: `self.queue`.
    pub name: String,
    /// The type of what it names so.
    pub type_name: String,
    /// The function.
    pub function: String,
}

/// What somebody wants of a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wants {
    /// To have it; of a signal: that it comes.
    #[default]
    It,
    /// An item.
    AnItem,
    /// Room for an item.
    Room,
    /// That all items are dealt with.
    AllDone,
}

impl Wants {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::It => "it",
            Self::AnItem => "an-item",
            Self::Room => "room",
            Self::AllDone => "all-done",
        }
    }
}
