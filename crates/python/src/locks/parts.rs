//! Which locks are the insides of conditions, events, queues, threads?
//!
//! `threading.py` and `queue.py` make everything of two kinds of locks. Who waits for a condition
//! sleeps at a plain lock of its own, which is in the condition's list of waiters.
//!
//! Source: `Lib/threading.py`, `Lib/queue.py`, `Lib/concurrent/futures/_base.py`,
//! `Lib/importlib/_bootstrap.py`; 2.7 has the same under private names.

use super::classes::Class;
use super::world::{Attributes, World};
use memwhy_model::{Addr, Wants};
use rustc_hash::FxHashMap;

/// Which part of something an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The lock or condition that it is made of.
    Inner,
    /// The lock that it is, under another name.
    Itself,
    /// What one waiter of a condition sleeps at.
    Waiter,
    /// A queue's condition of that it has items, has room, has been dealt with.
    Of(Wants),
    /// Held by a thread for as long as it lives.
    End,
}

/// Something that is made of locks.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) addr: Addr,
    pub(crate) class: Class,
    pub(crate) attributes: Attributes,
}

/// Everything that is made of locks, and what each lock is a part of.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) wholes: Vec<Whole>,
    /// For each part: the place of its whole in `wholes`, and which part it is.
    of: FxHashMap<Addr, (usize, Part)>,
    /// For each whole its place.
    places: FxHashMap<Addr, usize>,
}

impl Parts {
    pub(crate) fn of(world: &World<'_>, classes: &[Option<Class>]) -> Self {
        let mut parts = Self::default();
        let graph = &world.heap.graph;
        for id in graph.ids() {
            let class = classes.get(graph.type_of(id).0 as usize).copied().flatten();
            let Some(class) = class.filter(|class| is_whole(*class)) else { continue };
            let attributes = world.attributes(graph.addr(id));
            // A 2.7 queue is an instance of a class without a type.
            let class = match class {
                Class::OldStyle if attributes.get(&["all_tasks_done"]).is_none() => continue,
                Class::OldStyle => Class::Queue,
                other => other,
            };
            parts.wholes.push(Whole { addr: graph.addr(id), class, attributes });
        }
        // What people know comes first: the mutex of a queue is its, and not that of the three
        // conditions that share it.
        parts.wholes.sort_by_key(|whole| (rank(whole.class), whole.addr));
        for place in 0..parts.wholes.len() {
            parts.add(world, place);
        }
        parts
    }

    fn add(&mut self, world: &World<'_>, place: usize) {
        let Some(whole) = self.wholes.get(place) else { return };
        self.places.insert(whole.addr, place);
        let get = |names: &[&str]| whole.attributes.get(names);
        let mut found: Vec<(Option<Addr>, Part)> = Vec::new();
        match whole.class {
            Class::Queue => {
                found.push((get(&["mutex"]), Part::Inner));
                found.push((get(&["not_empty"]), Part::Of(Wants::AnItem)));
                found.push((get(&["not_full"]), Part::Of(Wants::Room)));
                found.push((get(&["all_tasks_done"]), Part::Of(Wants::AllDone)));
            }
            Class::Event => found.push((get(&["_cond", "_Event__cond"]), Part::Inner)),
            Class::Semaphore => found.push((get(&["_cond", "_Semaphore__cond"]), Part::Inner)),
            Class::Barrier => found.push((get(&["_cond"]), Part::Inner)),
            Class::Future => found.push((get(&["_condition"]), Part::Inner)),
            Class::Thread => {
                found.push((get(&["_tstate_lock", "_Thread__block"]), Part::End));
            }
            Class::PythonRLock => found.push((get(&["_block", "_RLock__block"]), Part::Itself)),
            Class::ModuleLock => {
                found.push((get(&["lock"]), Part::Inner));
                found.push((get(&["wakeup"]), Part::Of(Wants::It)));
                if let Some(waiters) = get(&["waiters"]) {
                    let elements = world.elements(waiters).map(|lock| (Some(lock), Part::Waiter));
                    found.extend(elements);
                }
            }
            Class::Condition => {
                found.push((get(&["_lock", "_Condition__lock"]), Part::Inner));
                if let Some(waiters) = get(&["_waiters", "_Condition__waiters"]) {
                    let elements = world.elements(waiters).map(|lock| (Some(lock), Part::Waiter));
                    found.extend(elements);
                }
            }
            Class::Lock
            | Class::RLock
            | Class::SimpleQueue
            | Class::ThreadHandle
            | Class::ProcessLock
            | Class::Task
            | Class::PythonTask
            | Class::Greenlet
            | Class::OldStyle => {}
        }
        for (part, what) in found {
            if let Some(part) = part {
                self.of.entry(part).or_insert((place, what));
            }
        }
    }

    /// What the lock or condition at `addr` is a part of.
    pub(crate) fn whole_of(&self, addr: Addr) -> Option<(&Whole, Part)> {
        let (place, part) = self.of.get(&addr)?;
        Some((self.wholes.get(*place)?, *part))
    }

    /// The whole at exactly `addr`.
    pub(crate) fn at(&self, addr: Addr) -> Option<&Whole> {
        self.wholes.get(*self.places.get(&addr)?)
    }

    /// What somebody who sleeps at `addr` waits for, as people know it: the outermost whole, and
    /// what is wanted of it. A lock that is wanted for itself is not looked through.
    pub(crate) fn meant(&self, addr: Addr) -> (Addr, Wants) {
        let (mut at, mut wants) = (addr, Wants::It);
        // A waiter's lock, its condition, the event that is made of it, the thread that it is of.
        for _ in 0..8 {
            let Some((whole, part)) = self.whole_of(at) else { break };
            match part {
                // Who sleeps at the inner lock wants that lock, for a moment.
                Part::Inner if at == addr => break,
                Part::Inner | Part::Itself | Part::Waiter | Part::End => {}
                Part::Of(wanted) => wants = wanted,
            }
            at = whole.addr;
        }
        (at, wants)
    }
}

/// Whether its attributes are read.
const fn is_whole(class: Class) -> bool {
    match class {
        Class::Condition
        | Class::Event
        | Class::Semaphore
        | Class::Barrier
        | Class::Queue
        | Class::Future
        | Class::Thread
        | Class::PythonRLock
        | Class::ModuleLock
        | Class::OldStyle => true,
        Class::Lock
        | Class::RLock
        | Class::SimpleQueue
        | Class::ThreadHandle
        | Class::ProcessLock
        | Class::Task
        | Class::PythonTask
        | Class::Greenlet => false,
    }
}

/// The order in which wholes claim their parts.
const fn rank(class: Class) -> u8 {
    match class {
        Class::Queue => 0,
        Class::Event | Class::Semaphore | Class::Barrier | Class::Future | Class::Thread => 1,
        Class::Condition => 2,
        Class::PythonRLock | Class::ModuleLock => 3,
        Class::Lock
        | Class::RLock
        | Class::SimpleQueue
        | Class::ThreadHandle
        | Class::ProcessLock
        | Class::Task
        | Class::PythonTask
        | Class::Greenlet
        | Class::OldStyle => 4,
    }
}
