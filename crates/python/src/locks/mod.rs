//! Which locks does the process have, who has them, and which threads wait for which?
//!
//! Every lock is an object that the walk of the heap has found. A thread that waits sleeps, by the
//! arguments of its system call, at a word; whose word that is says what it waits for. That needs
//! neither C stacks nor symbols.

pub(crate) mod classes;
pub(crate) mod holders;
mod names;
mod own;
mod parts;
pub(crate) mod state;
mod waits;
pub(crate) mod world;

use crate::find::Interpreter;
use crate::heap::Heap;
use crate::runtime::{InterpreterState, PythonThread};
use crate::tasks;
use classes::Class;
use holders::Mentions;
use memwhy_model::{
    AbsentHolder, Addr, HolderKnown, LockFacts, LockHolder, LockKind, LockState, LockUser,
    Problems, TaskFacts, ThreadFacts, ThreadState, Wait,
};
use memwhy_native::Images;
use memwhy_native::locks::sleep;
use memwhy_target::{Memory, Thread};
pub(crate) use own::OwnLocks;
use parts::{Part, Parts};
use rustc_hash::{FxHashMap, FxHashSet};
use state::Stated;
use world::{Identities, Runner, World};

/// Calls of one thread; those of deeper recursion are noted with the stacks.
const MOST_FRAMES: usize = 10_000;
/// Calls whose names are looked up, of one thread.
const MOST_CALLS: usize = 100;
/// Where a lock of `multiprocessing.synchronize` has the lock that is written in C.
const WRAPPED: &str = "._semlock";
/// Locks that are named, and whose holders are looked for.
const MOST_OF_INTEREST: usize = 4096;

/// What there is of locks.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) locks: Vec<LockFacts>,
    /// Threads that wait.
    pub(crate) waits: Vec<(u32, Wait)>,
    /// Asyncio's tasks, and greenlets.
    pub(crate) tasks: Vec<TaskFacts>,
}

/// The locks, while they are put together.
pub(crate) struct Table<'w, 'm> {
    world: &'w World<'m>,
    identities: &'w Identities,
    parts: Parts,
    locks: Vec<LockFacts>,
    by_object: FxHashMap<Addr, u32>,
    /// The lock that threads want which sleep at this word.
    words: FxHashMap<Addr, Addr>,
    /// The thread whose end threads wait for which sleep at this word.
    ends: FxHashMap<Addr, u64>,
}

impl Observed {
    /// Says of each thread what it waits for; hands out the locks.
    pub(crate) fn join(self, threads: &mut [ThreadFacts]) -> (Vec<LockFacts>, Vec<TaskFacts>) {
        for (tid, wait) in self.waits {
            let Some(facts) = threads.iter_mut().find(|facts| facts.tid == tid) else { continue };
            let lock = wait.lock().and_then(|place| self.locks.get(place as usize));
            facts.state = match lock.map(|lock| lock.kind) {
                Some(LockKind::Gil) => ThreadState::WaitingGil,
                Some(kind) if kind.is_given_back() => ThreadState::WaitingLock,
                Some(_) | None => facts.state,
            };
            facts.waits = Some(wait);
        }
        (self.locks, self.tasks)
    }
}

/// What is known of the process, besides its memory and its heap.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) images: &'a Images,
    pub(crate) python: &'a Interpreter,
    pub(crate) interpreters: &'a [InterpreterState],
    pub(crate) native: &'a [Thread],
    /// The time by the clock that loops go by.
    pub(crate) now_s: Option<f64>,
}

/// Finds everything.
pub(crate) fn observe(
    memory: &dyn Memory,
    heap: &Heap,
    known: Known<'_>,
    problems: &mut Problems,
) -> Observed {
    let Known { images, python, interpreters, native, .. } = known;
    let world = World::new(memory, &python.layouts, heap);
    let states: Vec<_> = interpreters.iter().flat_map(|state| &state.threads).collect();
    let runner = |thread: &Thread| {
        let descriptor = thread.registers.and_then(|r| r.thread_pointer());
        let own = |python: &&&PythonThread| match python.tid {
            Some(tid) => tid == thread.inner_tid,
            None => descriptor == Some(Addr(python.ident)),
        };
        let state = states.iter().find(own);
        Runner {
            tid: thread.tid,
            inner_tid: thread.inner_tid,
            ident: state.map(|p| p.ident).or(descriptor.map(|at| at.0)).unwrap_or(0),
            state: state.map(|python| python.state),
            sleep: thread.registers.and_then(|registers| sleep(&registers)),
            asleep_s: thread.asleep_s,
            file_lock: thread.file_lock.clone(),
            calls: state.map(|p| world.calls(p.state, MOST_FRAMES)).unwrap_or_default(),
        }
    };
    let runners: Vec<Runner> = native.iter().map(runner).collect();
    let tid_of = |state: Addr| {
        runners.iter().find(|runner| runner.state == Some(state)).map(|runner| runner.tid)
    };
    let image = images.by_path(&python.image);
    let own = OwnLocks::of(memory, python, image, interpreters, &tid_of);
    let modules: Vec<Addr> = interpreters.iter().filter_map(|state| state.modules).collect();
    let tasks = tasks::observe(&world, known, &runners, problems);
    Observed { tasks, ..look(&world, &own, &runners, &modules) }
}

fn look(world: &World<'_>, own: &OwnLocks, runners: &[Runner], modules: &[Addr]) -> Observed {
    let classes = classes::classes(world);
    let identities = Identities::of(runners);
    let parts = Parts::of(world, &classes);
    let mut table = Table {
        world,
        identities: &identities,
        parts,
        locks: Vec::new(),
        by_object: FxHashMap::default(),
        words: FxHashMap::default(),
        ends: FxHashMap::default(),
    };
    table.collect(&classes);
    let waits = waits::of(&mut table, own, runners);
    table.put_inside();
    table.infer_holders(runners, &waits);
    let interesting = table.interesting(&waits);
    table.find_users(runners, &interesting);
    let wanted: Vec<Addr> = interesting
        .iter()
        .filter_map(|place| table.locks.get(*place as usize))
        .map(|lock| lock.addr)
        .collect();
    let mut names = names::of(world, modules, &wanted);
    for lock in &mut table.locks {
        if let Some(mut name) = names.remove(&lock.addr) {
            // What the program has is what `multiprocessing` wraps around it.
            if lock.kind == LockKind::ProcessLock && name.ends_with(WRAPPED) {
                name.truncate(name.len() - WRAPPED.len());
            }
            lock.name = Some(name);
        }
    }
    Observed { locks: table.locks, waits, tasks: Vec::new() }
}

impl Table<'_, '_> {
    /// Makes a row for every lock that people know of.
    fn collect(&mut self, classes: &[Option<Class>]) {
        let graph = &self.world.heap.graph;
        for id in graph.ids() {
            let class = classes.get(graph.type_of(id).0 as usize).copied().flatten();
            let Some(class) = class else { continue };
            let addr = graph.addr(id);
            if class == Class::ThreadHandle {
                self.ends.extend(state::end(self.world, addr));
            }
            let Some(stated) = state::of(self.world, class, addr) else { continue };
            let object = match self.parts.whole_of(addr) {
                // It is the other under another name, or not to be seen.
                Some((whole, Part::Itself)) => Some(whole.addr),
                Some((_, Part::Waiter | Part::End | Part::Of(_))) => None,
                Some((_, Part::Inner)) | None => Some(addr),
            };
            if let Some(word) = stated.word {
                self.words.insert(word, addr);
            }
            if object == Some(addr) {
                self.add(kind(class), addr, stated);
            }
        }
        for place in 0..self.parts.wholes.len() {
            let Some(whole) = self.parts.wholes.get(place) else { continue };
            if whole.class != Class::Thread {
                let (class, addr) = (whole.class, whole.addr);
                let stated = state::of_whole(self.world, whole);
                self.add(kind(class), addr, stated);
            }
        }
    }

    fn add(&mut self, kind: LockKind, addr: Addr, stated: Stated) -> u32 {
        let type_name = self.world.type_name(addr).unwrap_or_default().to_owned();
        let mut lock = LockFacts {
            addr,
            kind,
            type_name,
            state: stated.state,
            items: stated.items,
            limit: stated.limit,
            ..LockFacts::default()
        };
        if let Some(owner) = stated.owner {
            lock.holders.push(self.recorded(owner));
        }
        self.push(lock)
    }

    fn push(&mut self, lock: LockFacts) -> u32 {
        let place = u32::try_from(self.locks.len()).unwrap_or(u32::MAX);
        self.by_object.insert(lock.addr, place);
        self.locks.push(lock);
        place
    }

    /// The holder that a lock records as `threading.get_ident()`.
    fn recorded(&self, ident: u64) -> LockHolder {
        let tid = self.identities.ident(ident);
        LockHolder {
            tid,
            recorded: Some(ident),
            how: HolderKnown::Recorded,
            absent: tid.is_none().then_some(AbsentHolder::Missing),
            saw: "the lock records it".into(),
        }
    }

    /// Says of each lock what it is the inside of.
    fn put_inside(&mut self) {
        for place in 0..self.locks.len() {
            let Some(addr) = self.locks.get(place).map(|lock| lock.addr) else { continue };
            let whole = self.parts.whole_of(addr).map(|(whole, _)| whole.addr);
            let inside = whole.and_then(|whole| self.by_object.get(&whole).copied());
            if let Some(lock) = self.locks.get_mut(place) {
                lock.inside = inside.filter(|inside| *inside as usize != place);
            }
        }
    }

    /// Looks for holders of locks that do not record one.
    fn infer_holders(&mut self, runners: &[Runner], waits: &[(u32, Wait)]) {
        for runner in runners {
            for call in &runner.calls {
                for object in holders::open_blocks(self.world, call) {
                    let Some(place) = self.meant_by_block(object) else { continue };
                    self.add_inferred(place, runner, call, HolderKnown::WithBlock);
                }
            }
        }
        // Who called `acquire`, if exactly one thread comes into question.
        let nameless: FxHashMap<Addr, u32> = self
            .locks
            .iter()
            .zip(0..)
            .filter(|(lock, _)| lock.kind == LockKind::Lock && lock.state == LockState::Held)
            .filter(|(lock, _)| lock.holders.is_empty())
            .map(|(lock, place)| (lock.addr, place))
            .collect();
        let waited: FxHashSet<u32> = waits.iter().filter_map(|(_, wait)| wait.lock()).collect();
        let nameless: Vec<(Addr, u32)> =
            nameless.into_iter().filter(|(_, place)| waited.contains(place)).collect();
        if nameless.is_empty() {
            return;
        }
        let mut suspects: FxHashMap<u32, Vec<(usize, usize)>> = FxHashMap::default();
        for (number, runner) in runners.iter().enumerate() {
            for (depth, call) in runner.calls.iter().enumerate().take(MOST_CALLS) {
                let mentions = Mentions::of(self.world, call);
                if !mentions.uses(&["acquire"]) {
                    continue;
                }
                for (addr, place) in &nameless {
                    // The innermost call may just be waiting for it.
                    let waiting = depth == 0 && waits_for(waits, runner.tid, *place);
                    if !waiting && mentions.name_of(*addr).is_some() {
                        suspects.entry(*place).or_default().push((number, depth));
                    }
                }
            }
        }
        for (place, calls) in suspects {
            let Some((first, depth)) = calls.first().copied() else { continue };
            if calls.iter().any(|(number, _)| *number != first) {
                continue;
            }
            let Some(runner) = runners.get(first) else { continue };
            let Some(call) = runner.calls.get(depth) else { continue };
            self.add_inferred(place, runner, call, HolderKnown::Calls);
        }
    }

    /// The lock that a `with` block of `object` holds.
    fn meant_by_block(&self, object: Addr) -> Option<u32> {
        let inner = match self.parts.at(object).map(|whole| (whole.class, &whole.attributes)) {
            Some((Class::Condition, attributes)) => attributes.get(&["_lock", "_Condition__lock"]),
            Some(_) => Some(object),
            // `multiprocessing.synchronize.Lock` hands on to what it wraps.
            None if self.by_object.contains_key(&object) => Some(object),
            None => self.world.attributes(object).get(&["_semlock"]),
        };
        self.by_object.get(&inner?).copied()
    }

    fn add_inferred(&mut self, place: u32, runner: &Runner, call: &world::Call, how: HolderKnown) {
        let Some(lock) = self.locks.get(place as usize) else { return };
        let records = lock.holders.iter().any(|holder| holder.how == HolderKnown::Recorded);
        let known = lock.holders.iter().any(|holder| holder.tid == Some(runner.tid));
        let takes =
            matches!(lock.kind, LockKind::Lock | LockKind::Semaphore | LockKind::ProcessLock);
        // Who waits for a condition has let go of its lock, though the `with` block is open.
        let let_go = runner.calls.iter().any(|call| {
            let waits = call.is("threading.py", "wait");
            let of = call.local("self").filter(|_| waits).and_then(|of| self.meant_by_block(of));
            of == Some(place)
        });
        if lock.state == LockState::Free || records || known || !takes || let_go {
            return;
        }
        let at = place_of(&call.frame);
        let saw = match how {
            HolderKnown::WithBlock => format!("in its `with` block in {at}"),
            HolderKnown::Calls => format!("which {at} names, and calls acquire()"),
            HolderKnown::Recorded => String::new(),
        };
        if let Some(lock) = self.locks.get_mut(place as usize) {
            let tid = Some(runner.tid);
            lock.holders.push(LockHolder { tid, how, saw, ..LockHolder::default() });
        }
    }

    /// Locks that somebody waits for or has, and what they are the inside of.
    fn interesting(&self, waits: &[(u32, Wait)]) -> Vec<u32> {
        let waited = waits.iter().filter_map(|(_, wait)| wait.lock());
        let held = self.locks.iter().zip(0..).filter(|(lock, _)| {
            let items = lock.items.is_some_and(|items| items > 0) && is_queue(lock.kind);
            lock.state == LockState::Held && lock.kind.is_given_back() || items
        });
        let mut places: Vec<u32> =
            waited.chain(held.map(|(_, place)| place).take(MOST_OF_INTEREST)).collect();
        let within: Vec<u32> =
            places.iter().filter_map(|place| self.locks.get(*place as usize)?.inside).collect();
        places.extend(within);
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Looks for threads that have to do with a queue: who puts and who gets.
    fn find_users(&mut self, runners: &[Runner], interesting: &[u32]) {
        let queues: Vec<(Addr, u32)> = interesting
            .iter()
            .filter_map(|place| Some((self.locks.get(*place as usize)?, *place)))
            .filter(|(lock, _)| is_queue(lock.kind))
            .map(|(lock, place)| (lock.addr, place))
            .collect();
        if queues.is_empty() {
            return;
        }
        for runner in runners {
            let mut seen: FxHashSet<u32> = FxHashSet::default();
            for call in runner.calls.iter().take(MOST_CALLS) {
                if call.is("queue.py", "get") || call.is("queue.py", "put") {
                    continue;
                }
                let mentions = Mentions::of(self.world, call);
                let takes = mentions.uses(&["get", "get_nowait"]);
                let gives = mentions.uses(&["put", "put_nowait"]);
                for (addr, place) in &queues {
                    let Some(name) = mentions.name_of(*addr) else { continue };
                    if (takes || gives) && seen.insert(*place) {
                        let function = place_of(&call.frame);
                        let names_it = name.to_owned();
                        let user = LockUser { tid: runner.tid, names_it, function, takes, gives };
                        if let Some(lock) = self.locks.get_mut(*place as usize) {
                            lock.users.push(user);
                        }
                    }
                }
            }
        }
    }
}

const fn is_queue(kind: LockKind) -> bool {
    matches!(kind, LockKind::Queue | LockKind::SimpleQueue)
}

fn waits_for(waits: &[(u32, Wait)], tid: u32, place: u32) -> bool {
    waits.iter().any(|(waiter, wait)| *waiter == tid && wait.lock() == Some(place))
}

/// `flush() at app/log.py:31`.
fn place_of(frame: &memwhy_model::Frame) -> String {
    let line = frame.line.map_or_else(String::new, |line| format!(":{line}"));
    format!("{}() at {}{line}", frame.function, frame.file)
}

const fn kind(class: Class) -> LockKind {
    match class {
        Class::RLock | Class::PythonRLock => LockKind::RLock,
        Class::Condition => LockKind::Condition,
        Class::Event => LockKind::Event,
        Class::Semaphore => LockKind::Semaphore,
        Class::Barrier => LockKind::Barrier,
        Class::Queue => LockKind::Queue,
        Class::SimpleQueue => LockKind::SimpleQueue,
        Class::Future => LockKind::Future,
        Class::Thread | Class::ThreadHandle => LockKind::ThreadEnd,
        Class::ModuleLock => LockKind::ModuleLock,
        Class::ProcessLock => LockKind::ProcessLock,
        Class::Lock | Class::Task | Class::PythonTask | Class::Greenlet | Class::OldStyle => {
            LockKind::Lock
        }
    }
}
