//! Which types are those of locks, of what is made of locks, and of tasks?

use super::world::World;
use crate::dict;
use crate::layout::TypeFlags;
use memwhy_model::Addr;
use memwhy_target::MemoryExt;
use rustc_hash::FxHashMap;

/// A base chain is no longer than this.
const MOST_BASES: usize = 64;
/// Names of classes are compared up to this length.
const LONGEST_NAME: usize = 128;

/// What an object is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// `_thread.lock`.
    Lock,
    /// `_thread.RLock`, in C.
    RLock,
    /// `threading._RLock`, in Python.
    PythonRLock,
    Condition,
    Event,
    Semaphore,
    Barrier,
    /// `queue.Queue` and its subclasses.
    Queue,
    SimpleQueue,
    /// `concurrent.futures.Future`.
    Future,
    /// `threading.Thread`.
    Thread,
    /// What a thread is joined by, 3.13.
    ThreadHandle,
    /// The lock of one module that is being imported.
    ModuleLock,
    /// A lock of `multiprocessing`.
    ProcessLock,
    /// `asyncio.Task`, in C.
    Task,
    /// `asyncio.Task`, in Python.
    PythonTask,
    /// `greenlet.greenlet`.
    Greenlet,
    /// An instance of a class that has no type, 2.7: it may be a queue.
    OldStyle,
}

/// What a type that is called so is; subclasses are found by their bases.
pub(crate) fn class(name: &str) -> Option<Class> {
    Some(match name {
        "thread.lock" | "_thread.lock" => Class::Lock,
        "_thread.RLock" => Class::RLock,
        "threading._RLock" => Class::PythonRLock,
        "threading.Condition" | "threading._Condition" => Class::Condition,
        "threading.Event" | "threading._Event" => Class::Event,
        "threading.Semaphore" | "threading._Semaphore" => Class::Semaphore,
        "threading.Barrier" => Class::Barrier,
        "queue.Queue" => Class::Queue,
        "_queue.SimpleQueue" => Class::SimpleQueue,
        "concurrent.futures._base.Future" => Class::Future,
        "threading.Thread" => Class::Thread,
        "_thread._ThreadHandle" => Class::ThreadHandle,
        "_frozen_importlib._ModuleLock" | "importlib._bootstrap._ModuleLock" => Class::ModuleLock,
        "_multiprocessing.SemLock" => Class::ProcessLock,
        "_asyncio.Task" => Class::Task,
        "asyncio.tasks.Task" => Class::PythonTask,
        "greenlet.greenlet" | "greenlet._greenlet.greenlet" => Class::Greenlet,
        "builtins.instance" => Class::OldStyle,
        _ => return None,
    })
}

/// What each type's objects are, by [`memwhy_model::TypeId`].
pub(crate) fn classes(world: &World<'_>) -> Vec<Option<Class>> {
    let types = &world.heap.types;
    let places: FxHashMap<u64, usize> =
        types.iter().enumerate().map(|(place, info)| (info.addr.0, place)).collect();
    let of = |place: usize| {
        let mut addr = types.get(place)?.addr;
        for _ in 0..MOST_BASES {
            let known = places.get(&addr.0).and_then(|at| types.get(*at));
            let found = match known {
                Some(info) => class(&info.name),
                None => class(&unmet(world, addr)?),
            };
            if found.is_some() {
                return found;
            }
            addr = world.layouts.type_object.tp_base.read(world.memory, addr).ok()??;
        }
        None
    };
    (0..types.len()).map(of).collect()
}

/// The name of a class that has no objects of its own, so that nothing led to it.
fn unmet(world: &World<'_>, addr: Addr) -> Option<String> {
    let fields = &world.layouts.type_object;
    let name = fields.tp_name.read(world.memory, addr).ok()??;
    let name = world.memory.c_string(name, LONGEST_NAME).ok()?;
    let flags = fields.tp_flags.read(world.memory, addr).ok()?;
    if flags & TypeFlags::HEAPTYPE == 0 {
        return Some(name);
    }
    let members = fields.tp_dict.read(world.memory, addr).ok()??;
    let module = dict::get(world.memory, world.layouts, members, "__module__").ok()?;
    Some(format!("{}.{name}", world.text(module)?))
}
