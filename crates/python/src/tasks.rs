//! Which asyncio tasks are there, where in its coroutines is each, and what does it wait for?
//!
//! Every object is found, so tasks are those of the task types and their subclasses, in all
//! releases and for all loops; uvloop's are asyncio's. A suspended coroutine has what it awaits on
//! top of its value stack, down to the future that somebody has to set.
//!
//! Greenlets keep the frame that they were suspended in; where exactly depends on the release of
//! greenlet, so the frame is searched for in their state.
//!
//! Source: `Modules/_asynciomodule.c`, `Objects/genobject.c: _PyGen_yf`, `Lib/asyncio/tasks.py`.

use crate::layout::tables::frame_object::FrameContent;
use crate::layout::tables::generator::GeneratorFrame;
use crate::layout::tables::interpreter_frame::StackEnd;
use crate::locks::classes::{Class, classes};
use crate::locks::world::{Runner, World};
use memwhy_model::{Addr, Awaits, Frame, TaskFacts, TaskKind, TaskState};
use memwhy_target::MemoryExt;
use rustc_hash::{FxHashMap, FxHashSet};

/// Coroutines that await each other; deeper chains are cut.
const DEEPEST: usize = 1000;
/// Tasks and greenlets; of more the first are told.
const MOST: usize = 1 << 20;
/// Bytes of a greenlet's state that are searched for its frame.
const GREENLET_STATE: u64 = 512;

/// Finds all tasks and greenlets. `now_s` is the time by the clock that loops go by.
pub(crate) fn observe(world: &World<'_>, runners: &[Runner], now_s: Option<f64>) -> Vec<TaskFacts> {
    let classes = classes(world);
    let graph = &world.heap.graph;
    let mut found: Vec<(Addr, Class)> = Vec::new();
    for id in graph.ids() {
        let class = classes.get(graph.type_of(id).0 as usize).copied().flatten();
        if let Some(class @ (Class::Task | Class::PythonTask | Class::Greenlet)) = class
            && found.len() < MOST
        {
            found.push((graph.addr(id), class));
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let reader = Reader::new(world, runners, now_s, &found);
    let mut tasks: Vec<TaskFacts> =
        found.iter().map(|(addr, class)| reader.read(*addr, *class)).collect();
    let mut awaited_by: Vec<(u32, u32)> = Vec::new();
    for (task, place) in tasks.iter().zip(0..) {
        match &task.awaits {
            Some(Awaits::Task(other)) => awaited_by.push((*other, place)),
            Some(Awaits::Several { tasks, .. }) => {
                awaited_by.extend(tasks.iter().map(|other| (*other, place)));
            }
            Some(Awaits::Time(_) | Awaits::Future(_)) | None => {}
        }
    }
    for (task, by) in awaited_by {
        if let Some(task) = tasks.get_mut(task as usize) {
            task.awaited_by = Some(by);
        }
    }
    tasks
}

struct Reader<'w, 'm> {
    world: &'w World<'m>,
    runners: &'w [Runner],
    now_s: Option<f64>,
    /// The place of each task.
    places: FxHashMap<Addr, u32>,
    /// Frames that threads are in.
    running: FxHashSet<Addr>,
    /// When a future will be set.
    timers: FxHashMap<Addr, f64>,
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
        found: &[(Addr, Class)],
    ) -> Self {
        let places = found.iter().zip(0..).map(|((addr, _), place)| (*addr, place)).collect();
        let calls = runners.iter().flat_map(|runner| &runner.calls);
        let running = calls.map(|call| call.at).collect();
        Self { world, runners, now_s, places, running, timers: timers(world) }
    }

    fn read(&self, addr: Addr, class: Class) -> TaskFacts {
        if class == Class::Greenlet {
            return self.greenlet(addr);
        }
        let stated = match class {
            Class::Task => self.of_c(addr).unwrap_or_default(),
            _ => self.of_python(addr),
        };
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
        TaskFacts {
            addr,
            kind: TaskKind::Task,
            name: self.name(stated.name),
            state,
            frames,
            awaits: stated.waiter.filter(|_| waits).map(|waiter| self.awaits(waiter)),
            awaited_by: None,
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

    fn awaits(&self, waiter: Addr) -> Awaits {
        if let Some(place) = self.places.get(&waiter) {
            return Awaits::Task(*place);
        }
        if let Some(when) = self.timers.get(&waiter) {
            return Awaits::Time(self.now_s.map(|now| when - now));
        }
        let name = self.world.type_name(waiter).unwrap_or("a future");
        if name.ends_with("_GatheringFuture")
            && let Some(children) = self.world.attributes(waiter).get(&["_children"])
        {
            let places = self.world.elements(children);
            let all: Vec<u32> = places.filter_map(|at| self.places.get(&at).copied()).collect();
            let tasks = all.iter().copied().filter(|place| !self.is_over(*place)).collect();
            let of = self.world.length(children).unwrap_or(all.len() as u64);
            return Awaits::Several { tasks, of };
        }
        Awaits::Future(name.to_owned())
    }

    fn is_over(&self, place: u32) -> bool {
        let addr = self.places.iter().find(|(_, at)| **at == place).map(|(addr, _)| *addr);
        let stated = addr.map(|addr| match self.world.attributes(addr).get(&["_coro"]) {
            Some(_) => self.of_python(addr),
            None => self.of_c(addr).unwrap_or_default(),
        });
        stated.and_then(|stated| stated.state).is_some_and(TaskState::is_over)
    }

    /// The thread that runs a loop: one of its calls has the loop in a variable.
    fn thread_of(&self, event_loop: Addr) -> Option<u32> {
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

/// Which futures a timer of a loop will set, and when: `asyncio.sleep` hands its future to
/// `call_later`.
fn timers(world: &World<'_>) -> FxHashMap<Addr, f64> {
    let graph = &world.heap.graph;
    let types = &world.heap.types;
    let is = |id, name: &str| {
        types.get(graph.type_of(id).0 as usize).is_some_and(|info| info.name == name)
    };
    let mut timers = FxHashMap::default();
    for id in graph.ids().filter(|id| is(*id, "asyncio.events.TimerHandle")) {
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
