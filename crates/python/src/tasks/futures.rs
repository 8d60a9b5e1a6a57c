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

/// Attributes with the futures of those who wait, and for what.
type Rows = &'static [(&'static str, AwaitsOf)];

const QUEUE: Rows = &[("_getters", AwaitsOf::Item), ("_putters", AwaitsOf::Room)];
const TURN: Rows = &[("_waiters", AwaitsOf::Turn)];

/// What objects of a type have to do with futures.
#[derive(Clone, Copy)]
enum Role {
    Timer,
    Group,
    Shared(Rows),
}

/// The role of a type that is called so.
fn role(name: &str) -> Option<Role> {
    let (module, name) = name.strip_prefix("asyncio.")?.split_once('.')?;
    Some(match (module, name) {
        ("events", "TimerHandle") => Role::Timer,
        ("taskgroups", "TaskGroup") => Role::Group,
        ("queues", "Queue" | "PriorityQueue" | "LifoQueue") => Role::Shared(QUEUE),
        ("locks", "Lock" | "Event" | "Condition" | "Semaphore" | "BoundedSemaphore") => {
            Role::Shared(TURN)
        }
        _ => return None,
    })
}

/// What is known of futures, by their addresses.
#[derive(Default)]
pub(super) struct Futures {
    /// When a timer will set one, by the clock of the loop.
    pub(super) timers: FxHashMap<Addr, f64>,
    /// The tasks, not done yet, the last of which will set one.
    pub(super) groups: FxHashMap<Addr, Vec<Addr>>,
    /// What will set one when its turn comes.
    pub(super) shared: FxHashMap<Addr, Awaits>,
}

impl Futures {
    /// Goes over all objects once.
    pub(super) fn of(world: &World<'_>) -> Self {
        let graph = &world.heap.graph;
        let roles: Vec<_> = world.heap.types.iter().map(|info| role(&info.name)).collect();
        let mut futures = Self::default();
        for id in graph.ids() {
            match roles.get(graph.type_of(id).0 as usize).copied().flatten() {
                Some(Role::Timer) => futures.timer(world, id),
                Some(Role::Group) => futures.group(world, graph.addr(id)),
                Some(Role::Shared(rows)) => futures.share(world, graph.addr(id), rows),
                None => {}
            }
        }
        futures
    }

    fn timer(&mut self, world: &World<'_>, id: ObjectId) {
        let graph = &world.heap.graph;
        let is = |id: ObjectId, name: &str| world.type_name(graph.addr(id)) == Some(name);
        let references = graph.references(id);
        let when = references.iter().find(|to| is(**to, "builtins.float"));
        let when = when.and_then(|to| {
            let at = graph.addr(*to).at(world.layouts.object.size);
            world.memory.u64(at).ok().map(f64::from_bits)
        });
        let Some(when) = when.filter(|when| when.is_finite()) else { return };
        for tuple in references.iter().filter(|to| is(**to, "builtins.tuple")) {
            let arguments = graph.references(*tuple).iter();
            self.timers.extend(arguments.map(|argument| (graph.addr(*argument), when)));
        }
    }

    fn group(&mut self, world: &World<'_>, addr: Addr) {
        let attributes = world.attributes(addr);
        if let (Some(future), Some(tasks)) =
            (attributes.get(&["_on_completed_fut"]), attributes.get(&["_tasks"]))
        {
            self.groups.insert(future, world.elements(tasks).collect());
        }
    }

    fn share(&mut self, world: &World<'_>, addr: Addr, rows: Rows) {
        let attributes = world.attributes(addr);
        let kind = world.type_name(addr).unwrap_or_default();
        for (name, wants) in rows {
            let Some(row) = attributes.get(&[name]) else { continue };
            let awaits = Awaits::Shared { kind: kind.to_owned(), addr, wants: *wants };
            self.shared.extend(world.elements(row).map(|future| (future, awaits.clone())));
        }
    }
}
