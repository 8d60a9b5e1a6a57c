//! What will set a future: a timer of its loop, the last task of a group, a queue, a lock?
//!
//! A future does not know. `asyncio.sleep` hands its own to `call_later`; a `TaskGroup` keeps the one
//! that its owner awaits, and its tasks; queues and locks have those of who waits in a row.
//!
//! Source: `Lib/asyncio/events.py` (`TimerHandle`), `queues.py`, `locks.py`, `taskgroups.py` (3.11 and
//! later).

use crate::locks::world::World;
use memwhy_model::{Addr, Awaits, AwaitsOf, ObjectId};
use memwhy_target::MemoryExt;
use rustc_hash::FxHashMap;

/// Where things that tasks share have the futures of those who wait.
const SHARED: [(&str, &[(&str, AwaitsOf)]); 8] = [
    ("asyncio.queues.Queue", QUEUE),
    ("asyncio.queues.PriorityQueue", QUEUE),
    ("asyncio.queues.LifoQueue", QUEUE),
    ("asyncio.locks.Lock", TURN),
    ("asyncio.locks.Event", TURN),
    ("asyncio.locks.Condition", TURN),
    ("asyncio.locks.Semaphore", TURN),
    ("asyncio.locks.BoundedSemaphore", TURN),
];
const QUEUE: &[(&str, AwaitsOf)] = &[("_getters", AwaitsOf::Item), ("_putters", AwaitsOf::Room)];
const TURN: &[(&str, AwaitsOf)] = &[("_waiters", AwaitsOf::Turn)];

/// Objects whose type is called so.
fn all<'w>(world: &'w World<'_>, name: &'w str) -> impl Iterator<Item = ObjectId> + 'w {
    let (graph, types) = (&world.heap.graph, &world.heap.types);
    let named = move |id: &ObjectId| {
        types.get(graph.type_of(*id).0 as usize).is_some_and(|info| info.name == name)
    };
    graph.ids().filter(named)
}

/// Which futures a timer will set, and when by the clock of the loop.
pub(super) fn timers(world: &World<'_>) -> FxHashMap<Addr, f64> {
    let graph = &world.heap.graph;
    let is = |id: ObjectId, name: &str| world.type_name(graph.addr(id)) == Some(name);
    let mut timers = FxHashMap::default();
    for id in all(world, "asyncio.events.TimerHandle") {
        let references = graph.references(id);
        let when = references.iter().find(|to| is(**to, "builtins.float"));
        let when = when.and_then(|to| {
            let at = graph.addr(*to).at(world.layouts.object.size);
            world.memory.u64(at).ok().map(f64::from_bits)
        });
        let Some(when) = when.filter(|when| when.is_finite()) else { continue };
        for tuple in references.iter().filter(|to| is(**to, "builtins.tuple")) {
            for argument in graph.references(*tuple) {
                timers.insert(graph.addr(*argument), when);
            }
        }
    }
    timers
}

/// The tasks, not done yet, the last of which will set a future.
pub(super) fn groups(world: &World<'_>) -> FxHashMap<Addr, Vec<Addr>> {
    let mut groups = FxHashMap::default();
    for id in all(world, "asyncio.taskgroups.TaskGroup") {
        let attributes = world.attributes(world.heap.graph.addr(id));
        if let (Some(future), Some(tasks)) =
            (attributes.get(&["_on_completed_fut"]), attributes.get(&["_tasks"]))
        {
            groups.insert(future, world.elements(tasks).collect());
        }
    }
    groups
}

/// What will set a future when its turn comes.
pub(super) fn shared(world: &World<'_>) -> FxHashMap<Addr, Awaits> {
    let mut shared = FxHashMap::default();
    for (kind, rows) in SHARED {
        for id in all(world, kind) {
            let addr = world.heap.graph.addr(id);
            let attributes = world.attributes(addr);
            for (name, wants) in rows {
                let Some(row) = attributes.get(&[name]) else { continue };
                let awaits = Awaits::Shared { kind: kind.to_owned(), addr, wants: *wants };
                shared.extend(world.elements(row).map(|future| (future, awaits.clone())));
            }
        }
    }
    shared
}
