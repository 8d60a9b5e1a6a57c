//! What do the threads of a process do? Without copying its heap.
//!
//! The process stands still only while its stacks are read, however large it is: see
//! [`memwhy_target::live::touched`].

use crate::capture::{Options, about};
use crate::sources::Place;
use crate::threads::Source;
use memwhy_model::{Case, Problems, ThreadFacts, ThreadState, Wait, Waited};
use memwhy_native::locks::{self, sleep};
use memwhy_native::{Images, calls};
use memwhy_python::called::Callers;
use memwhy_python::find::{self, Interpreter};
use memwhy_python::frames::Stacks;
use memwhy_python::runtime::{self, InterpreterState, PythonThread};
use memwhy_python::threads::{Previews, PythonThreads};
use memwhy_target::live::capture::Clock;
use memwhy_target::live::pages;
use memwhy_target::{
    Call, Memory, OpenError, Process, Registers, Thread, Touched, View, capture_touched,
};
use std::collections::BTreeMap;
use std::io;

/// Threads whose locks are named: of more the first, since each is read singly.
const MOST_NAMED: usize = 64;

/// Observes the threads of a live process. A case without heap, malloc and owners; without
/// interpreter where there is none that can be read, with the reason among its problems.
///
/// # Errors
/// If there is no such process, or its memory may not be read.
pub fn look(pid: u32, options: &Options) -> Result<Case, OpenError> {
    let process = Process::open(pid)?;
    let mut clock = Clock::new();
    let threads = process.threads(options.look);
    let mut problems = Problems::default();
    let found = find(&process, &mut problems)?;
    let mut timings = vec![clock.lap("look around")];
    let reading = |memory: &Touched, stop: Stop<'_>| {
        if let Some(Found { images, python, .. }) = &found {
            return read_twice(memory, images, python, options, stop);
        }
        while stop()?.is_some() {}
        Ok(())
    };
    let (pause, patience) = (options.pause, options.max_pause);
    let (mut taken, ()) = capture_touched(&process, pause, patience, threads, reading)?;
    let mut clock = Clock::new();
    timings.append(&mut taken.timings);
    problems.absorb(std::mem::take(&mut taken.problems));
    let view = &taken.view;
    let images = Images::of(view);
    let mut about = about(&process);
    about.moment = taken.moment;
    let stacks = found.as_ref().map(|Found { python, .. }| {
        about.python = Some(python.about());
        let interpreters = runtime::interpreters(view, python, &mut problems);
        let mut stacks =
            PythonThreads::observe(view, &images, python, &interpreters, &mut problems);
        if options.previews {
            stacks.preview_locals(view, &python.layouts);
        }
        (stacks, interpreters)
    });
    let (stacks, interpreters) = stacks.unwrap_or_default();
    let source = Source { view, images: &images, process: Some(&process), detail: options.native };
    let mut threads = source.join(&taken.threads, stacks);
    if let Some(found) = &found {
        found.name_locks(&process, &interpreters, &taken.threads, &mut threads);
    }
    let sources =
        if options.sources { Place::of(&process).read(&threads) } else { BTreeMap::new() };
    timings.push(clock.lap("threads"));
    Ok(Case { about, threads, sources, problems, timings, ..Case::default() })
}

/// Stops the process; returns the system calls that its threads are in, until nothing changes.
type Stop<'s> = &'s mut dyn FnMut() -> io::Result<Option<Vec<Call>>>;

/// The interpreter of the running process.
struct Found {
    images: Images,
    python: Interpreter,
    /// The memory of the process while it runs.
    running: View,
}

impl Found {
    /// Says how threads name the locks that they wait for. That is read after the stop, which it
    /// must not make longer: a thread that is asleep in the same call as it was then has the same
    /// variables.
    fn name_locks(
        &self,
        process: &Process,
        interpreters: &[InterpreterState],
        native: &[Thread],
        threads: &mut [ThreadFacts],
    ) {
        let callers = Callers::new(&self.running, &self.python.layouts);
        let states: Vec<&PythonThread> =
            interpreters.iter().flat_map(|interpreter| &interpreter.threads).collect();
        let waiting = native.iter().zip(threads).filter(|(_, facts)| {
            facts.state == ThreadState::WaitingLock && !facts.frames.is_empty()
        });
        for (thread, facts) in waiting.take(MOST_NAMED) {
            let Some(Wait { waited: Waited::At { addr, named }, .. }) = &mut facts.waits else {
                continue;
            };
            let Some(state) = states.iter().find(|state| state.is(thread)) else { continue };
            let name = callers.name_of(state.state, *addr);
            let place = |registers: Registers| (sleep(&registers), registers.stack_pointer());
            let still = process.told_registers(thread.tid).map(place);
            *named = name.filter(|_| still == thread.registers.map(place));
        }
    }
}

/// Finds the interpreter of the running process.
fn find(process: &Process, problems: &mut Problems) -> Result<Option<Found>, OpenError> {
    let refused = |error: io::Error| memwhy_target::live::capture::refuse(process, &error);
    let maps = process.maps().map_err(refused)?;
    let pages = pages::present(process, &maps).map_err(refused)?;
    let view = View::live(process.clone(), maps, pages);
    let images = Images::of(&view);
    Ok(match find::find(&view, &images, problems) {
        Ok(python) => Some(Found { images, python, running: view }),
        Err(refusal) => {
            let kind = memwhy_model::ProblemKind::CalibrationFailed;
            problems.note(kind, || refusal.to_string());
            None
        }
    })
}

/// Reads everything that is read of the stopped process once before, so that the stop is short.
fn read_twice(
    memory: &Touched,
    images: &Images,
    python: &Interpreter,
    options: &Options,
    stop: Stop<'_>,
) -> io::Result<()> {
    let mut stacks = Stacks::new(memory, &python.layouts);
    let mut previews = options.previews.then(Previews::default);
    // What goes wrong now is told when the copy is read.
    let mut unheard = Problems::default();
    let mut read = |memory: &dyn Memory| {
        let interpreters = runtime::interpreters(memory, python, &mut unheard);
        let threads =
            PythonThreads::read(&mut stacks, memory, images, python, &interpreters, &mut unheard);
        if let Some(previews) = &mut previews {
            previews.touch(memory, &python.layouts, &threads);
        }
    };
    read(memory);
    while let Some(calls) = stop()? {
        for call in calls {
            calls::describe(memory, &call, &mut |_| None);
            locks::touch(memory, &call);
        }
        read(memory);
    }
    Ok(())
}
