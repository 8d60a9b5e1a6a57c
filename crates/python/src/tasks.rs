//! Which asyncio tasks are there, where in its coroutines is each, and what does it wait for?
//!
//! Every object is found, so tasks are those of the task types and their subclasses, in all
//! releases and for all loops; uvloop's are asyncio's. Where asyncio has lists of them, those are
//! followed, too ([`listed`]). A suspended coroutine has what it awaits on top of its value stack, down
//! to the future that somebody has to set.
//!
//! Greenlets keep the frame that they were suspended in; where exactly depends on the release of
//! greenlet, so the frame is searched for in their state.
//!
//! Source: `Modules/_asynciomodule.c`, `Objects/genobject.c: _PyGen_yf`, `Lib/asyncio/tasks.py`.

mod futures;
mod listed;

use crate::layout::tables::frame_object::FrameContent;
use crate::layout::tables::generator::GeneratorFrame;
use crate::layout::tables::interpreter_frame::StackEnd;
use crate::locks::Known;
use crate::locks::classes::{Class, classes};
use crate::locks::world::{Runner, World};
use futures::Futures;
use listed::{Awaiter, Listed};
use memwhy_model::{
    Addr, Awaits, Frame, ProblemKind, Problems, TaskFacts, TaskKind, TaskState, TypeId,
};
use memwhy_target::MemoryExt;
use rustc_hash::{FxHashMap, FxHashSet};

/// Coroutines that await each other; deeper chains are cut.
const DEEPEST: usize = 1000;
/// Tasks and greenlets; of more the first are told.
const MOST: usize = 1 << 20;
/// Bytes of a greenlet's state that are searched for its frame.
const GREENLET_STATE: u64 = 512;

/// Finds all tasks and greenlets.
pub(crate) fn observe(
    world: &World<'_>,
    known: Known<'_>,
    runners: &[Runner],
    problems: &mut Problems,
) -> Vec<TaskFacts> {
    let classes = classes(world);
    let class_of = |kind: TypeId| classes.get(kind.0 as usize).copied().flatten();
    let graph = &world.heap.graph;
    let mut found: Vec<(Addr, Class)> = Vec::new();
    for id in graph.ids() {
        if let Some(class @ (Class::Task | Class::PythonTask | Class::Greenlet)) =
            class_of(graph.type_of(id))
            && found.len() < MOST
        {
            found.push((graph.addr(id), class));
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let Known { images, interpreters, now_s, .. } = known;
    let listed = Listed::read(world.memory, images, interpreters, MOST, problems);
    for task in listed.iter().flat_map(|listed| &listed.tasks) {
        let found = world.find(*task).and_then(|id| class_of(graph.type_of(id)));
        if found != Some(Class::Task) {
            problems.note(ProblemKind::BrokenList, || {
                format!("asyncio lists a task at {task}, where the heap has none")
            });
        }
    }
    let reader = Reader::new(world, runners, now_s, &found, listed.as_ref());
    let mut tasks: Vec<TaskFacts> =
        found.iter().map(|(addr, class)| reader.read(*addr, *class)).collect();
    let mut awaited_by: Vec<(u32, u32)> = Vec::new();
    for (task, place) in tasks.iter().zip(0..) {
        match &task.awaits {
            Some(Awaits::Task(other)) => awaited_by.push((*other, place)),
            Some(Awaits::Several { tasks, .. }) => {
                awaited_by.extend(tasks.iter().map(|other| (*other, place)));
            }
            Some(Awaits::Time(_) | Awaits::Shared { .. } | Awaits::Future(_)) | None => {}
        }
    }
    for (task, by) in awaited_by {
        if let Some(task) = tasks.get_mut(task as usize) {
            task.awaited_by = Some(by);
        }
    }
    // A group of tasks is awaited by a future of its own: only asyncio knows whose that is.
    for task in &mut tasks {
        task.awaited_by = task.awaited_by.or_else(|| reader.awaiter(task));
    }
    tasks
}

struct Reader<'w, 'm> {
    world: &'w World<'m>,
    runners: &'w [Runner],
    now_s: Option<f64>,
    /// The tasks and greenlets.
    found: &'w [(Addr, Class)],
    /// The place of each.
    places: FxHashMap<Addr, u32>,
    /// Frames that threads are in.
    running: FxHashSet<Addr>,
    futures: Futures,
    listed: Option<&'w Listed<'m>>,
}

/// What a task says of itself, in C or in Python.
#[derive(Default)]
struct Stated {
    state: Option<TaskState>,
    coroutine: Option<Addr>,
    waiter: Option<Addr>,
    event_loop: Option<Addr>,
    name: Option<Addr>,
}

impl<'w, 'm> Reader<'w, 'm> {
    fn new(
        world: &'w World<'m>,
        runners: &'w [Runner],
        now_s: Option<f64>,
        found: &'w [(Addr, Class)],
        listed: Option<&'w Listed<'m>>,
    ) -> Self {
        let places = found.iter().zip(0..).map(|((addr, _), place)| (*addr, place)).collect();
        let calls = runners.iter().flat_map(|runner| &runner.calls);
        let running = calls.map(|call| call.at).collect();
        let futures = Futures::of(world);
        Self { world, runners, now_s, found, places, running, futures, listed }
    }

    fn read(&self, addr: Addr, class: Class) -> TaskFacts {
        if class == Class::Greenlet {
            return self.greenlet(addr);
        }
        let stated = self.stated(addr, class);
        let (frames, running) = match stated.coroutine {
            Some(coroutine) => self.chain(coroutine),
            None => (Vec::new(), false),
        };
        let state = match stated.state {
            Some(over) if over.is_over() => over,
            _ if running => TaskState::Running,
            _ if stated.waiter.is_none() => TaskState::Ready,
            _ => TaskState::Waiting,
        };
        let waits = state == TaskState::Waiting;
        let waiter = stated.waiter.filter(|_| waits);
        let awaits = waiter.map(|waiter| self.awaits(waiter, frames.first()));
        TaskFacts {
            addr,
            kind: TaskKind::Task,
            name: self.name(stated.name),
            state,
            frames,
            awaits,
            awaited_by: None,
            listed: self.listed.map(|listed| listed.tasks.contains(&addr)),
            tid: stated.event_loop.and_then(|at| self.thread_of(at)),
        }
    }

    fn of_c(&self, addr: Addr) -> Option<Stated> {
        let (memory, fields) = (self.world.memory, self.world.layouts.task?);
        let read = |field: crate::layout::Field<crate::layout::Ptr>| {
            let at = field.read(memory, addr).ok().flatten();
            at.filter(|at| self.world.type_name(*at) != Some("builtins.NoneType"))
        };
        let state = match fields.state.read(memory, addr).ok()? {
            1 => TaskState::Cancelled,
            2 => TaskState::Done,
            _ => TaskState::Waiting,
        };
        Some(Stated {
            state: Some(state),
            coroutine: read(fields.coroutine),
            waiter: read(fields.fut_waiter),
            event_loop: read(fields.loop_),
            name: fields.name.and_then(read),
        })
    }

    fn of_python(&self, addr: Addr) -> Stated {
        let attributes = self.world.attributes(addr);
        let get = |name: &str| {
            let at = attributes.get(&[name]);
            at.filter(|at| self.world.type_name(*at) != Some("builtins.NoneType"))
        };
        // In 3.6 it is a future in C all the same, which keeps what a future has.
        let future = get("_loop").is_none().then(|| self.of_c(addr)).flatten();
        // Until it is over an instance has none of its own: the class says that it is pending.
        let state = match self.world.text(get("_state")).as_deref() {
            Some("CANCELLED") => TaskState::Cancelled,
            Some("FINISHED") => TaskState::Done,
            Some(_) | None => TaskState::Waiting,
        };
        Stated {
            state: future.as_ref().and_then(|future| future.state).or(Some(state)),
            coroutine: get("_coro"),
            waiter: get("_fut_waiter"),
            event_loop: get("_loop").or(future.and_then(|future| future.event_loop)),
            name: get("_name"),
        }
    }

    /// A name that nobody asked for is still a number.
    fn name(&self, name: Option<Addr>) -> Option<String> {
        let text = self.world.text(name);
        text.or_else(|| self.world.number(name).map(|number| format!("Task-{number}")))
    }

    /// The frames of a coroutine and of what it awaits, the innermost first; and whether a thread
    /// is in it.
    fn chain(&self, coroutine: Addr) -> (Vec<Frame>, bool) {
        let (mut frames, mut running) = (Vec::new(), false);
        let (mut at, mut seen) = (Some(coroutine), FxHashSet::default());
        while let Some(object) = at.filter(|object| seen.insert(*object)) {
            if frames.len() >= DEEPEST {
                break;
            }
            let Some(frame_at) = self.frame_of(object) else {
                at = self.inner_of(object);
                continue;
            };
            running |= self.running.contains(&frame_at);
            let Some(call) = self.world.call(frame_at) else { break };
            frames.push(call.frame);
            at = if self.running.contains(&frame_at) { None } else { self.top_of(frame_at) };
        }
        frames.reverse();
        (frames, running)
    }

    /// The frame of a coroutine or generator that has not ended.
    fn frame_of(&self, object: Addr) -> Option<Addr> {
        let known = matches!(
            self.world.type_name(object)?,
            "builtins.coroutine" | "builtins.generator" | "builtins.async_generator"
        );
        let fields = &self.world.layouts.generator;
        match fields.frame {
            _ if !known => None,
            GeneratorFrame::Inside { frame, state } => {
                let state = state.read(self.world.memory, object).ok()?;
                (state < fields.finished_from).then(|| frame.addr(object))
            }
            GeneratorFrame::Object(field) => field.read(self.world.memory, object).ok()?,
        }
    }

    /// What stands between two coroutines: `coroutine_wrapper`, `async_generator_asend`, which
    /// begin with what they drive.
    fn inner_of(&self, object: Addr) -> Option<Addr> {
        let name = self.world.type_name(object)?;
        let between = name.ends_with("coroutine_wrapper") || name.contains("async_generator_a");
        let first = object.at(self.world.layouts.object.size);
        self.world.memory.ptr(first).ok()?.filter(|_| between)
    }

    /// The topmost object on the value stack of a suspended frame.
    fn top_of(&self, at: Addr) -> Option<Addr> {
        let (memory, layouts) = (self.world.memory, self.world.layouts);
        let (slot, tags) = match (layouts.interpreter_frame, layouts.frame_object.content) {
            (Some(fields), _) => {
                let slot = match fields.stack_end {
                    StackEnd::Pointer(field) => field.read(memory, at).ok()??.before(8),
                    StackEnd::Count(field) => {
                        let count = u64::try_from(field.read(memory, at).ok()?).ok()?;
                        let last = count.checked_sub(1).filter(|last| *last < 1 << 20)?;
                        fields.localsplus.addr(at).at(last.checked_mul(8)?)
                    }
                };
                (slot, fields.tag_mask)
            }
            (None, FrameContent::Here { valuestack, stacktop, stackdepth, .. }) => {
                let slot = match (stacktop, stackdepth) {
                    (Some(top), _) => top.read(memory, at).ok()??.before(8),
                    (None, Some(depth)) => {
                        let depth = u64::try_from(depth.read(memory, at).ok()?).ok()?;
                        let last = depth.checked_sub(1).filter(|last| *last < 1 << 20)?;
                        valuestack.read(memory, at).ok()??.at(last.checked_mul(8)?)
                    }
                    (None, None) => return None,
                };
                (slot, 0)
            }
            (None, FrameContent::Elsewhere { .. }) => return None,
        };
        let read = |slot| memory.u64(slot).ok().map(|word| Addr(word & !tags));
        // From 3.15 on an iterator lies below a word of its own: its index, or nothing.
        read(slot).filter(|at| self.world.find(*at).is_some()).or_else(|| read(slot.before(8)))
    }

    /// What is awaited, if it is the future at `waiter`, in the call `innermost`.
    fn awaits(&self, waiter: Addr, innermost: Option<&Frame>) -> Awaits {
        if let Some(place) = self.places.get(&waiter) {
            return Awaits::Task(*place);
        }
        if let Some(set) = innermost.and_then(waited_for) {
            return self.several(&self.world.elements(set).collect::<Vec<_>>());
        }
        if let Some(when) = self.futures.timers.get(&waiter) {
            return Awaits::Time(self.now_s.map(|now| when - now));
        }
        if let Some(tasks) = self.futures.groups.get(&waiter) {
            return self.several(tasks);
        }
        if let Some(shared) = self.futures.shared.get(&waiter) {
            return shared.clone();
        }
        let name = self.world.type_name(waiter).unwrap_or("a future");
        if name.ends_with("_GatheringFuture")
            && let Some(children) = self.world.attributes(waiter).get(&["_children"])
        {
            return self.several(&self.world.elements(children).collect::<Vec<_>>());
        }
        Awaits::Future(name.to_owned())
    }

    /// All of `futures`: those that are tasks and not over are told.
    fn several(&self, futures: &[Addr]) -> Awaits {
        let places = futures.iter().filter_map(|at| self.places.get(at).copied());
        let tasks = places.filter(|place| !self.is_over(*place)).collect();
        Awaits::Several { tasks, of: futures.len() as u64 }
    }

    fn is_over(&self, place: u32) -> bool {
        let Some((addr, class)) = self.found.get(place as usize) else { return false };
        let stated = self.stated(*addr, *class);
        stated.state.is_some_and(TaskState::is_over)
    }

    /// What the task at `addr` says of itself.
    fn stated(&self, addr: Addr, class: Class) -> Stated {
        match class {
            Class::Task => self.of_c(addr).unwrap_or_default(),
            _ => self.of_python(addr),
        }
    }

    /// The task that awaits another by asyncio's own account, of several the first.
    fn awaiter(&self, task: &TaskFacts) -> Option<u32> {
        let known = self.listed.filter(|_| task.listed == Some(true))?;
        match known.awaiter(task.addr)? {
            Awaiter::One(who) => self.places.get(&who).copied(),
            Awaiter::Set(all) => {
                self.world.elements(all).find_map(|who| self.places.get(&who).copied())
            }
        }
    }

    /// The thread that runs a loop: the one that asyncio says, or one of its calls has the loop in a
    /// variable.
    fn thread_of(&self, event_loop: Addr) -> Option<u32> {
        let loops = self.listed.map(|listed| &listed.loops);
        let said = loops.and_then(|loops| loops.iter().find(|(at, _)| *at == event_loop));
        if let Some((_, state)) = said {
            let runner = self.runners.iter().find(|runner| runner.state == Some(*state));
            return runner.map(|runner| runner.tid);
        }
        let runs = |runner: &&Runner| {
            let mut locals = runner.calls.iter().flat_map(|call| &call.frame.locals);
            locals.any(|local| local.value == event_loop)
        };
        self.runners.iter().find(runs).map(|runner| runner.tid)
    }

    fn greenlet(&self, addr: Addr) -> TaskFacts {
        let frame = self.greenlet_frame(addr);
        let mut frames = Vec::new();
        let (mut at, mut seen) = (frame, FxHashSet::default());
        while let Some(here) = at.filter(|here| seen.insert(*here) && frames.len() < DEEPEST) {
            frames.extend(self.world.call(here).map(|call| call.frame));
            at = match self.world.layouts.interpreter_frame {
                Some(fields) => fields.previous.read(self.world.memory, here).ok().flatten(),
                None => self
                    .world
                    .layouts
                    .frame_object
                    .back
                    .read(self.world.memory, here)
                    .ok()
                    .flatten(),
            };
        }
        let state = match frame {
            Some(_) => TaskState::Waiting,
            None => TaskState::Ready,
        };
        TaskFacts { addr, kind: TaskKind::Greenlet, state, frames, ..TaskFacts::default() }
    }

    /// The frame that a greenlet was suspended in: the frame object that its state refers to.
    fn greenlet_frame(&self, addr: Addr) -> Option<Addr> {
        let (memory, layouts) = (self.world.memory, self.world.layouts);
        let frame_in = |start: Addr, words: u64| {
            let words = memory.words(start, words, 1 << 10).ok()?;
            words
                .into_iter()
                .map(Addr)
                .find(|at| self.world.type_name(*at) == Some("builtins.frame"))
        };
        let own = frame_in(addr.at(layouts.object.size), 24);
        let frame = own.or_else(|| {
            // From 2.0 on the state is a C++ object that the greenlet points at.
            let words = memory.words(addr.at(layouts.object.size), 4, 8).ok()?;
            words
                .into_iter()
                .filter(|word| *word > 0x1_0000)
                .find_map(|word| frame_in(Addr(word), GREENLET_STATE / 8))
        })?;
        match layouts.frame_object.content {
            FrameContent::Here { .. } => Some(frame),
            FrameContent::Elsewhere { frame: inner, .. } => inner.read(memory, frame).ok()?,
        }
    }
}

/// The futures that `asyncio.wait` waits for, where `frame` is of it.
///
/// Source: `Lib/asyncio/tasks.py: _wait`.
fn waited_for(frame: &Frame) -> Option<Addr> {
    let is_it = frame.function.rsplit('.').next() == Some("_wait")
        && frame.file.ends_with("/asyncio/tasks.py");
    let set = frame.locals.iter().find(|local| local.name == "fs").filter(|_| is_it);
    set.map(|local| local.value)
}
