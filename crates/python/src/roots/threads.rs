//! What do the calls keep that threads are in, and the states of threads?

use super::Finder;
use crate::frames::Stacks;
use crate::layout::tables::frame_object::FrameContent;
use crate::runtime::PythonThread;
use memwhy_model::{Addr, AddrRange, Frame, Problems, RootKind};
use memwhy_target::{Fault, MAX_READ, MemoryExt};

/// Frames of one thread; deeper recursion is cut.
const MOST_FRAMES: usize = 10_000;
/// Places on the value stack of one call.
const MOST_SLOTS: u64 = 1 << 16;

pub(super) fn collect(finder: &mut Finder<'_>) {
    let sources = finder.sources;
    let layouts = &sources.interpreter.layouts;
    // What goes wrong here was told when stacks were read.
    let mut problems = Problems::default();
    for thread in sources.interpreters.iter().flat_map(|state| &state.threads) {
        let name = name_of(finder, thread);
        let state = AddrRange::sized(thread.state, layouts.thread_state.size);
        let mut stacks = Stacks::new(sources.view, layouts);
        let places = stacks.frame_addresses(thread.state, MOST_FRAMES, &mut problems);
        let calls = stacks.of(thread.state, MOST_FRAMES, &mut problems);
        let mut calls = calls.frames.into_iter();
        for place in places {
            let Some(code) = code_of(finder, place) else { continue };
            let call = calls.next().unwrap_or_default();
            let _ = variables(finder, &stacks, &name, &call, place, code);
        }
        let fields = &layouts.thread_state;
        let known = [
            (Some(fields.dict), "what C code keeps for it"),
            (fields.context, "its context"),
            (fields.current_exception, "the exception it raises"),
        ];
        for (field, what) in known {
            let at = field.and_then(|field| field.read(sources.view, thread.state).ok().flatten());
            if let Some(at) = at {
                finder.add(RootKind::Thread, at, || format!("{name}: {what}"));
            }
        }
        // The rest may be what malloc left there: 3.6 has room for 255 functions that it never
        // sets (`co_extra_freefuncs`).
        finder.scan(RootKind::NativeMemory, state, &|at| {
            let offset = at.checked_since(thread.state).unwrap_or(0);
            format!("the state of {name}, at +{offset}")
        });
    }
}

fn name_of(finder: &Finder<'_>, thread: &PythonThread) -> String {
    if let Some(name) = finder.sources.thread_names.get(&thread.ident) {
        return name.clone();
    }
    let tid = thread.tid.map_or_else(|| thread.ident.to_string(), |tid| tid.to_string());
    format!("thread {tid}")
}

/// The code of the call at `place`; `None` for an entry into the interpreter, which is no call.
fn code_of(finder: &Finder<'_>, place: Addr) -> Option<Addr> {
    let (view, layouts) = (finder.sources.view, &finder.sources.interpreter.layouts);
    match (layouts.interpreter_frame, layouts.frame_object.content) {
        (Some(inner), _) => {
            let shim = inner.owner.read(view, place).ok()? >= inner.shim_from;
            let code = Addr(inner.code.read(view, place).ok()? & !inner.tag_mask);
            (!shim).then_some(code)
        }
        (None, FrameContent::Here { code, .. }) => code.read(view, place).ok().flatten(),
        (None, FrameContent::Elsewhere { .. }) => None,
    }
}

/// Variables by name, and what else a call has in its slots.
fn variables(
    finder: &mut Finder<'_>,
    stacks: &Stacks<'_>,
    thread: &str,
    call: &Frame,
    place: Addr,
    code: Addr,
) -> Result<(), Fault> {
    let (view, layouts) = (finder.sources.view, &finder.sources.interpreter.layouts);
    let whose = format!("{thread}: {}()", call.function);
    let (file, line) = (Some(call.file.as_str()), call.line);
    let (slots, tags) = match (layouts.interpreter_frame, layouts.frame_object.content) {
        (Some(inner), _) => {
            let untagged = |word: u64| Addr(word & !inner.tag_mask);
            let function = untagged(inner.function.read(view, place)?);
            finder.add(RootKind::Frame, function, || format!("{whose} itself"));
            finder.add(RootKind::Frame, code, || format!("{whose} its code"));
            let fields = [
                (inner.globals, "globals"),
                (inner.locals, "locals"),
                (inner.frame_object, "frame"),
            ];
            for (field, what) in fields {
                if let Some(at) = field.read(view, place)? {
                    finder.add(RootKind::Frame, at, || format!("{whose} its {what}"));
                }
            }
            (inner.localsplus.addr(place), inner.tag_mask)
        }
        (None, FrameContent::Here { localsplus, .. }) => {
            finder.add(RootKind::Frame, place, || format!("{whose} its frame"));
            (localsplus.addr(place), 0)
        }
        (None, FrameContent::Elsewhere { .. }) => return Ok(()),
    };
    for local in &call.locals {
        let name = || format!("{whose} local '{}'", local.name);
        finder.add_line(RootKind::Frame, local.value, file, line, name);
    }
    let known = stacks.codes().variables(code)?;
    let words = view.words(slots, known.len() as u64, MAX_READ / 8)?;
    for (variable, word) in known.iter().zip(words) {
        // The value in a cell was added by its name above; this is the cell.
        if variable.in_a_cell {
            let holder = Addr(word & !tags);
            let name = || format!("{whose} cell '{}'", variable.name);
            finder.add_line(RootKind::Frame, holder, file, line, name);
        }
    }
    // How much of the value stack is in use is not up to date while the call runs.
    let depth = layouts.code_object.stacksize.read(view, code)?;
    let depth = u64::try_from(depth).unwrap_or(0).min(MOST_SLOTS);
    let words = view.words(slots.at(known.len() as u64 * 8), depth, MAX_READ / 8)?;
    for word in words {
        let value = Addr(word & !tags);
        finder.add_line(RootKind::NativeStack, value, file, line, || {
            format!("{whose} a value at work")
        });
    }
    Ok(())
}
