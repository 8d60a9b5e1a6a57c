//! Is a lock held, by whom does it say, and at which word do threads sleep that want it?
//!
//! Source: `Modules/_threadmodule.c`, `Python/thread_pthread.h`, `Python/lock.c`,
//! `Modules/_queuemodule.c`, `Modules/_multiprocessing/semaphore.c`.

use super::classes::Class;
use super::parts::Whole;
use super::world::Sight;
use crate::layout::Ptr;
use crate::layout::tables::lock::LockState as Shape;
use crate::layout::tables::simple_queue::QueueItems;
use memwhy_model::{Addr, LockState};
use memwhy_target::MemoryExt;

/// What a lock says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) state: LockState,
    /// Its holder, as `threading.get_ident()`.
    pub(crate) owner: Option<u64>,
    /// The word that threads sleep at, or are parked at.
    pub(crate) word: Option<Addr>,
    /// Items of a queue, free places of a semaphore.
    pub(crate) items: Option<u64>,
    /// How many items fit, how many may have it.
    pub(crate) limit: Option<u64>,
}

/// The word that the kernel lets threads sleep at is the low half of a `sem_t` of glibc (and all of
/// one of musl); it counts how often the semaphore can be taken. musl says there that somebody waits:
/// it is -1 then, from 1.2.4 on its upper bit is set (`src/thread/sem_timedwait.c`).
fn semaphore(sight: &Sight<'_>, at: Ptr) -> Stated {
    let Some(at) = at else { return Stated::default() };
    let state = match sight.memory.u32(at) {
        Ok(0 | 0x8000_0000 | u32::MAX) => LockState::Held,
        Ok(_) => LockState::Free,
        Err(_) => LockState::Unknown,
    };
    Stated { state, word: Some(at), ..Stated::default() }
}

fn shaped(sight: &Sight<'_>, shape: Shape, addr: Addr) -> Stated {
    let memory = sight.memory;
    match shape {
        Shape::Semaphore(field) => semaphore(sight, field.read(memory, addr).ok().flatten()),
        Shape::Flag { semaphore: field, locked } => {
            let stated = semaphore(sight, field.read(memory, addr).ok().flatten());
            // The flag is what Python code goes by; who takes the lock sets it a moment later.
            match locked.read(memory, addr) {
                Ok(0) if stated.state != LockState::Held => {
                    Stated { state: LockState::Free, ..stated }
                }
                Ok(_) | Err(_) => stated,
            }
        }
        Shape::Mutex(field) => {
            let state = match field.read(memory, addr) {
                Ok(bits) if bits & 1 == 1 => LockState::Held,
                Ok(_) => LockState::Free,
                Err(_) => LockState::Unknown,
            };
            Stated { state, word: Some(field.addr(addr)), ..Stated::default() }
        }
    }
}

/// What a lock that is written in C says of itself.
pub(crate) fn of(sight: &Sight<'_>, class: Class, addr: Addr) -> Option<Stated> {
    let (memory, layouts) = (sight.memory, sight.layouts);
    match class {
        Class::Lock => Some(shaped(sight, layouts.lock?.state, addr)),
        Class::RLock => {
            let fields = layouts.rlock?;
            let stated = shaped(sight, fields.state, addr);
            let owner = fields.owner.read(memory, addr).ok().filter(|owner| *owner != 0);
            Some(Stated { owner: owner.filter(|_| stated.state != LockState::Free), ..stated })
        }
        Class::SimpleQueue => match layouts.simple_queue?.items {
            QueueItems::List { lock, lst, lst_pos } => {
                let stated = semaphore(sight, lock.read(memory, addr).ok().flatten());
                let all = lst.read(memory, addr).ok().flatten().and_then(|list| sight.length(list));
                let taken = lst_pos.read(memory, addr).ok().and_then(|at| u64::try_from(at).ok());
                let items = all.zip(taken).and_then(|(all, taken)| all.checked_sub(taken));
                Some(Stated { state: LockState::Unknown, items, ..stated })
            }
            QueueItems::Ring { has_threads_waiting, num_items, .. } => {
                let items = num_items.read(memory, addr).ok();
                let items = items.and_then(|n| u64::try_from(n).ok()).filter(|n| *n < 1 << 40);
                let parked_at = Some(has_threads_waiting.addr(addr));
                Some(Stated { word: parked_at, items, ..Stated::default() })
            }
        },
        Class::ProcessLock => process_lock(sight, addr),
        Class::ThreadHandle
        | Class::Condition
        | Class::Event
        | Class::Semaphore
        | Class::Barrier
        | Class::Queue
        | Class::Future
        | Class::Thread
        | Class::ModuleLock
        | Class::PythonRLock
        | Class::Task
        | Class::PythonTask
        | Class::Greenlet
        | Class::OldStyle => None,
    }
}

/// 3.13: who joins a thread is parked at a byte of a struct that its handle points at, which also
/// has the thread's identity.
pub(crate) fn end(sight: &Sight<'_>, handle: Addr) -> Option<(Addr, u64)> {
    let fields = sight.layouts.thread_handle?;
    let at = sight.memory.ptr(handle.at(sight.layouts.object.size)).ok()??;
    Some((fields.thread_is_exiting.addr(at), fields.ident.read(sight.memory, at).ok()?))
}

/// `SemLockObject`, the same since 2.6: the semaphore, the thread that took it last, how often the
/// process has it, how many may have it.
fn process_lock(sight: &Sight<'_>, addr: Addr) -> Option<Stated> {
    let fields = addr.at(sight.layouts.object.size);
    let handle = sight.memory.ptr(fields).ok()?;
    let stated = semaphore(sight, handle);
    let last = sight.memory.u64(fields.at(8)).ok()?;
    let count = sight.memory.u32(fields.at(16)).ok()?.cast_signed();
    let limit = sight.memory.u32(fields.at(20)).ok().map(u64::from);
    let owner = (count > 0 && limit == Some(1) && last != 0).then_some(last);
    Some(Stated { owner, limit, ..stated })
}

/// What something that is written in Python says of itself.
pub(crate) fn of_whole(sight: &Sight<'_>, whole: &Whole) -> Stated {
    let get = |names: &[&str]| whole.attributes.get(names);
    let number = |names: &[&str]| sight.number(get(names));
    let count = |names: &[&str]| number(names).and_then(|n| u64::try_from(n).ok());
    let held = |held: bool| if held { LockState::Held } else { LockState::Free };
    // `None` is no number.
    let owner = |names: &[&str]| number(names).map(i64::cast_unsigned).filter(|n| *n != 0);
    match whole.class {
        Class::PythonRLock => {
            let owner = owner(&["_owner", "_RLock__owner"]);
            Stated { state: held(owner.is_some()), owner, ..Stated::default() }
        }
        Class::ModuleLock => {
            let owner = owner(&["owner"]);
            Stated { state: held(owner.is_some()), owner, ..Stated::default() }
        }
        Class::Semaphore => {
            let free = count(&["_value", "_Semaphore__value"]);
            let limit = count(&["_initial_value"]);
            let state = free.map_or(LockState::Unknown, |free| held(free == 0));
            Stated { state, items: free, limit, ..Stated::default() }
        }
        Class::Queue => {
            let items = get(&["queue"]).and_then(|queue| sight.length(queue));
            let limit = count(&["maxsize"]).filter(|limit| *limit > 0);
            Stated { items, limit, ..Stated::default() }
        }
        Class::Event => {
            let set = number(&["_flag", "_Event__flag"]);
            let state = set.map_or(LockState::Unknown, |set| held(set == 0));
            Stated { state, ..Stated::default() }
        }
        Class::Barrier => {
            Stated { items: count(&["_count"]), limit: count(&["_parties"]), ..Stated::default() }
        }
        Class::Lock
        | Class::RLock
        | Class::Condition
        | Class::SimpleQueue
        | Class::Future
        | Class::Thread
        | Class::ThreadHandle
        | Class::ProcessLock
        | Class::Task
        | Class::PythonTask
        | Class::Greenlet
        | Class::OldStyle => Stated::default(),
    }
}
