//! How is a lock, its holder, and a thread that waits said in a sentence?

use crate::wording::{count, digits, short_type};
use memwhy_model::{
    AbsentHolder, Case, HolderKnown, LockFacts, LockHolder, LockKind, LockState, ThreadFacts, Wait,
    Wants,
};

/// `RLock __main__.cache.lock`, `the GIL`.
#[must_use]
pub fn lock_name(case: &Case, lock: &LockFacts) -> String {
    match lock.kind {
        LockKind::Gil => return "the GIL".into(),
        LockKind::ImportLock => return "the lock of all imports".into(),
        LockKind::File => {
            return format!("the lock on file {}", lock.name.as_deref().unwrap_or("?"));
        }
        LockKind::ThreadEnd => {
            let whose = lock.holders.first().and_then(|holder| holder.tid);
            return match whose {
                Some(tid) => format!("the end of {}", thread_name(case, tid)),
                None => "the end of a thread that is not there".into(),
            };
        }
        LockKind::Mutex => return format!("a mutex of C code at {}", lock.addr),
        LockKind::RwLock => return format!("a read-write lock of C code at {}", lock.addr),
        LockKind::Futex => return format!("something in C code at {}", lock.addr),
        LockKind::Lock
        | LockKind::RLock
        | LockKind::Condition
        | LockKind::Event
        | LockKind::Semaphore
        | LockKind::Barrier
        | LockKind::Queue
        | LockKind::SimpleQueue
        | LockKind::Future
        | LockKind::ModuleLock
        | LockKind::ProcessLock => {}
    }
    let kind = kind_name(lock);
    if let Some(name) = &lock.name {
        return format!("{kind} {name}");
    }
    let inside = lock.inside.and_then(|place| case.locks.get(place as usize));
    match inside {
        Some(whole) if whole.addr != lock.addr => {
            format!("{kind} at {} inside {}", lock.addr, lock_name_flat(whole))
        }
        Some(_) | None => format!("{kind} at {}", lock.addr),
    }
}

/// Without looking further outside: what encloses itself is told once.
fn lock_name_flat(lock: &LockFacts) -> String {
    let kind = kind_name(lock);
    lock.name.as_ref().map_or_else(|| format!("{kind} at {}", lock.addr), |n| format!("{kind} {n}"))
}

/// What a person calls its type: a subclass by its own name.
fn kind_name(lock: &LockFacts) -> String {
    let own = short_type(&lock.type_name).rsplit('.').next().unwrap_or_default();
    let plain = match lock.kind {
        LockKind::Lock => "Lock",
        LockKind::RLock => "RLock",
        LockKind::ModuleLock => "import lock",
        LockKind::ProcessLock => "lock between processes",
        LockKind::Queue if own == "instance" => "Queue",
        LockKind::Queue
        | LockKind::Condition
        | LockKind::Event
        | LockKind::Semaphore
        | LockKind::Barrier
        | LockKind::SimpleQueue
        | LockKind::Future
        | LockKind::ThreadEnd
        | LockKind::ImportLock
        | LockKind::Gil
        | LockKind::Mutex
        | LockKind::RwLock
        | LockKind::File
        | LockKind::Futex => own.trim_start_matches('_'),
    };
    if plain.is_empty() { "lock".into() } else { plain.to_owned() }
}

/// `thread 4713 "worker-1"`.
#[must_use]
pub fn thread_name(case: &Case, tid: u32) -> String {
    let thread = case.threads.iter().find(|thread| thread.tid == tid);
    match thread.map(|thread| thread.name.as_str()).filter(|name| !name.is_empty()) {
        Some(name) => format!("thread {tid} \"{name}\""),
        None => format!("thread {tid}"),
    }
}

/// `flush() at app/log.py:31`: where it is, as far as that is the program's and not the locks' own
/// code.
#[must_use]
pub fn thread_place(thread: &ThreadFacts) -> Option<String> {
    let own = |file: &str| {
        let base = file.rsplit('/').next().unwrap_or(file);
        matches!(base, "threading.py" | "queue.py" | "Queue.py" | "_base.py")
            || file.starts_with("<frozen importlib")
    };
    let frames = &thread.frames;
    let frame = frames.iter().find(|frame| !own(&frame.file)).or_else(|| frames.first())?;
    let line = frame.line.map_or_else(String::new, |line| format!(":{line}"));
    Some(format!("{}() at {}{line}", frame.function, frame.file))
}

/// `an item of Queue jobs (0 of 2 items)`, `Lock cache.lock`.
#[must_use]
pub fn wanted(case: &Case, lock: &LockFacts, wait: &Wait) -> String {
    let name = lock_name(case, lock);
    let fill = fill(lock).map_or_else(String::new, |fill| format!(" ({fill})"));
    match (wait.wants, lock.kind) {
        (Wants::AnItem, _) => format!("an item of {name}{fill}"),
        (Wants::Room, _) => format!("room in {name}{fill}"),
        (Wants::AllDone, _) => format!("all items of {name} to be done{fill}"),
        (Wants::It, LockKind::Condition) => format!("{name} to be notified"),
        (Wants::It, LockKind::Event) => format!("{name} to be set"),
        (Wants::It, LockKind::Future) => format!("the result of {name}"),
        (Wants::It, LockKind::Barrier) => format!("others at {name}{fill}"),
        (Wants::It, LockKind::Semaphore) => format!("a place of {name}{fill}"),
        (Wants::It, _) => name,
    }
}

/// `3 of 10 items`.
#[must_use]
pub fn fill(lock: &LockFacts) -> Option<String> {
    let items = lock.items?;
    match (lock.kind, lock.limit) {
        (LockKind::Semaphore, Some(limit)) => Some(format!("{} of {limit} free", digits(items))),
        (LockKind::Semaphore, None) => Some(format!("{} free", digits(items))),
        (LockKind::Barrier, Some(limit)) => Some(format!("{} of {limit} there", digits(items))),
        (_, Some(limit)) => Some(format!("{} of {} items", digits(items), digits(limit))),
        (_, None) => Some(count(items, "item")),
    }
}

/// `thread 4713 "worker-1", in its with block in f() at app.py:3`.
#[must_use]
pub fn holder(case: &Case, holder: &LockHolder) -> String {
    let who = match (&holder.absent, holder.tid) {
        (None, Some(tid)) => thread_name(case, tid),
        (None, None) => "nobody that is known".into(),
        (Some(absent), _) => return absent_holder(absent, holder.recorded),
    };
    match holder.how {
        HolderKnown::Recorded => who,
        HolderKnown::WithBlock | HolderKnown::Calls => format!("{who}, {}", holder.saw),
    }
}

/// What became of a holder.
#[must_use]
pub fn absent_holder(absent: &AbsentHolder, recorded: Option<u64>) -> String {
    let number = recorded.map_or_else(String::new, |n| {
        // Small numbers are the kernel's, large ones addresses.
        if n < 1 << 22 { format!(" {n}") } else { format!(" {n:#x}") }
    });
    match absent {
        AbsentHolder::InParent { pid, tid, name, free_there } => {
            let there = match free_there {
                Some(true) => "; there the lock is free by now",
                Some(false) => "; there it still has the lock",
                None => "",
            };
            format!(
                "a thread that does not exist in this process: when it was forked, thread {tid} \
                 ({name}) of its parent {pid} had the lock{there}"
            )
        }
        AbsentHolder::LeftByFork { parent } => {
            let parent = parent.map_or_else(String::new, |pid| format!(" (parent {pid})"));
            format!(
                "thread{number}, which does not exist in this process: the process was forked\
                 {parent}, and a fork takes along the locks but not the threads"
            )
        }
        AbsentHolder::Ended => format!("thread{number}, which has ended without giving it back"),
        AbsentHolder::Missing => {
            format!("thread{number}, which does not exist: it ended, or a fork left it behind")
        }
        AbsentHolder::OtherProcess { pid, command } => format!("process {pid} ({command})"),
    }
}

/// Who has a lock, all of them; `nobody` for a free one.
#[must_use]
pub fn holders(case: &Case, lock: &LockFacts) -> String {
    if lock.holders.is_empty() {
        return match (lock.state, lock.kind.is_given_back()) {
            (LockState::Free, true) => "nobody".into(),
            (LockState::Held | LockState::Unknown, true) => "not recorded".into(),
            (_, false) => String::new(),
        };
    }
    let all: Vec<String> = lock.holders.iter().map(|one| holder(case, one)).collect();
    all.join("; ")
}

/// `for 3 s at least`.
#[must_use]
pub fn asleep(wait: &Wait) -> Option<String> {
    let seconds = wait.asleep_s?;
    Some(if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 600.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    })
}
