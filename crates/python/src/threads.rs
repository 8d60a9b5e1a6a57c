//! Who are the threads of Python, and where in their code are they?

use crate::find::Interpreter;
use crate::frames::{Loop, Stack, Stacks};
use crate::gc;
use crate::layout::Layouts;
use crate::layout::tables::wait_entry::WaitEntry;
use crate::preview::preview;
use crate::runtime::{self, InterpreterState, PythonThread};
use crate::thread_names::thread_names;
use memwhy_model::{Addr, AddrRange, Problems, ThreadFacts, ThreadState};
use memwhy_native::Images;
use memwhy_target::{Memory, Thread};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// Frames of one thread; deeper recursion is cut, and noted.
const MOST_FRAMES: usize = 10_000;
/// Values of variables that are shown; the others are named only.
const MOST_PREVIEWS: usize = 20_000;
/// Functions that park a thread take no more of its stack than that.
const NEAR: u64 = 4096;
/// Characters of each.
const PREVIEW: usize = 120;

/// The threads of all interpreters.
#[derive(Clone, Debug, Default)]
pub struct PythonThreads {
    threads: Vec<OneThread>,
    gils: Vec<AddrRange>,
    parking: Parking,
}

/// How to tell what a thread is parked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parking(Option<WaitEntry>);

impl Parking {
    /// What a thread is parked at that sleeps at `word` of its own stack, which begins at `stack`.
    #[must_use]
    pub fn at(self, memory: &dyn Memory, word: Addr, stack: Option<Addr>) -> Option<Addr> {
        let near = stack.is_some_and(|top| (top..top.at(NEAR)).contains(&word));
        self.0.filter(|_| near)?.parked_at(memory, word)
    }
}

#[derive(Clone, Debug)]
struct OneThread {
    state: PythonThread,
    interpreter: u32,
    name: Option<String>,
    stack: Stack,
    collecting: bool,
}

impl PythonThreads {
    /// Reads the stacks of all threads.
    #[must_use]
    pub fn observe(
        memory: &dyn Memory,
        images: &Images,
        python: &Interpreter,
        interpreters: &[InterpreterState],
        problems: &mut Problems,
    ) -> Self {
        let mut stacks = Stacks::new(memory, &python.layouts);
        Self::read(&mut stacks, memory, images, python, interpreters, problems)
    }

    /// The same with `stacks` of the same memory, which may know code already.
    #[must_use]
    pub fn read(
        stacks: &mut Stacks<'_>,
        memory: &dyn Memory,
        images: &Images,
        python: &Interpreter,
        interpreters: &[InterpreterState],
        problems: &mut Problems,
    ) -> Self {
        let layouts = &python.layouts;
        let image = images.by_path(&python.image);
        let mut threads = Vec::new();
        for (number, interpreter) in (0..).zip(interpreters) {
            let modules = interpreter.modules;
            let names = modules.and_then(|modules| thread_names(memory, layouts, modules).ok());
            let names = names.unwrap_or_default();
            let state = interpreter.gc;
            let collecting =
                gc::Source { memory, layouts, image, state, modules, one_of_several: false }
                    .is_collecting();
            threads.extend(interpreter.threads.iter().map(|state| OneThread {
                state: *state,
                interpreter: number,
                name: names.get(&state.ident).cloned(),
                stack: stacks.of(state.state, MOST_FRAMES, problems),
                collecting: collecting && state.holds_gil,
            }));
        }
        let gils = interpreters.iter().filter_map(|own| runtime::gil(memory, python, own.addr));
        Self { threads, gils: gils.collect(), parking: Parking(layouts.wait_entry) }
    }

    /// Their numbers, as Python knows them.
    pub fn tids(&self) -> impl Iterator<Item = Option<u32>> {
        self.threads.iter().map(|thread| thread.state.tid)
    }

    /// Where the GILs are.
    #[must_use]
    pub fn gils(&self) -> &[AddrRange] {
        &self.gils
    }

    /// How to tell what its threads are parked at.
    #[must_use]
    pub const fn parking(&self) -> Parking {
        self.parking
    }

    /// Says of each variable what `repr()` of its value would begin with, the innermost frames of
    /// each thread first.
    pub fn preview_locals(&mut self, memory: &dyn Memory, layouts: &Layouts) {
        let mut known: FxHashMap<Addr, Option<String>> = FxHashMap::default();
        let mut left = MOST_PREVIEWS;
        let locals = self.threads.iter_mut().flat_map(|thread| &mut thread.stack.frames);
        for local in locals.flat_map(|frame| &mut frame.locals) {
            let preview = known.entry(local.value).or_insert_with(|| {
                left = left.checked_sub(1)?;
                preview(memory, layouts, local.value, PREVIEW).ok()
            });
            local.preview.clone_from(preview);
        }
    }

    fn values(&self) -> impl Iterator<Item = Addr> + '_ {
        let frames = self.threads.iter().flat_map(|thread| &thread.stack.frames);
        frames.flat_map(|frame| &frame.locals).map(|local| local.value)
    }

    /// Adds what Python knows of its threads to what the kernel does. Returns the interpreter's
    /// loops of each thread, by its number.
    pub fn join(self, native: &[Thread], facts: &mut [ThreadFacts]) -> FxHashMap<u32, Vec<Loop>> {
        // Python knows the numbers of its own pid namespace, we those of ours. Where it keeps none
        // its identity is the address of the thread's own storage.
        let inner: FxHashMap<u32, u32> = native.iter().map(|t| (t.inner_tid, t.tid)).collect();
        let storage: FxHashMap<u64, u32> =
            native.iter().filter_map(|t| Some((t.registers?.thread_pointer()?.0, t.tid))).collect();
        let place: FxHashMap<u32, usize> =
            facts.iter().enumerate().map(|(at, thread)| (thread.tid, at)).collect();
        let mut loops: FxHashMap<u32, Vec<Loop>> = FxHashMap::default();
        let stacks = Stackwise::of(native);
        for thread in self.threads {
            let by_number = thread.state.tid.and_then(|tid| inner.get(&tid));
            let recorded = by_number.or_else(|| storage.get(&thread.state.ident)).copied();
            // Up to 3.12 another interpreter's code runs with the state that the interpreter's
            // creator left, which says that it is the creator's: then the C stack knows better.
            let is_main = thread.interpreter == 0;
            let seen = thread.stack.loops.iter().find_map(|one| stacks.thread_of(one.on_stack?));
            let Some(tid) = seen.filter(|_| !is_main).or(recorded) else { continue };
            let Some(facts) = place.get(&tid).and_then(|at| facts.get_mut(*at)) else { continue };
            if facts.is_python && thread.stack.frames.is_empty() {
                continue;
            }
            // A thread that runs code of several interpreters: that of the first is around that of
            // the others. Without C stacks nobody knows who runs the others.
            if !facts.frames.is_empty() && seen.is_none() {
                facts.left_out += u32::from(!thread.stack.frames.is_empty());
                continue;
            }
            let named = is_main || !facts.is_python;
            facts.is_python = true;
            facts.interpreter = thread.interpreter;
            facts.holds_gil |= thread.state.holds_gil;
            let outer = std::mem::replace(&mut facts.frames, thread.stack.frames);
            facts.frames.extend(outer);
            if recorded == Some(tid) {
                facts.ident = thread.state.ident;
            }
            if let Some(name) = thread.name.filter(|_| named && recorded == Some(tid)) {
                facts.name = name;
            }
            if thread.collecting {
                facts.state = ThreadState::Gc;
            }
            let own = loops.entry(tid).or_default();
            let outer = std::mem::replace(own, thread.stack.loops);
            own.extend(outer);
        }
        loops
    }
}

/// Whose C stack an address is on.
struct Stackwise(BTreeMap<Addr, u32>);

impl Stackwise {
    fn of(native: &[Thread]) -> Self {
        let pointer = |thread: &Thread| Some((thread.registers?.stack_pointer()?, thread.tid));
        Self(native.iter().filter_map(pointer).collect())
    }

    /// The thread whose stack pointer is the next one below: stacks do not overlap.
    fn thread_of(&self, at: Addr) -> Option<u32> {
        self.0.range(..=at).next_back().map(|(_, tid)| *tid)
    }
}

/// Reads what previews of variables need, so that it is known later.
#[derive(Clone, Debug, Default)]
pub struct Previews {
    read: FxHashSet<Addr>,
}

impl Previews {
    /// Reads the values of `threads` that were not read before.
    pub fn touch(&mut self, memory: &dyn Memory, layouts: &Layouts, threads: &PythonThreads) {
        for value in threads.values() {
            if self.read.len() < MOST_PREVIEWS && self.read.insert(value) {
                // What cannot be read now cannot be read later.
                let _ = preview(memory, layouts, value, PREVIEW);
            }
        }
    }
}
