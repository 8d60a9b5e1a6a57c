//! Which functions were registered to run at exit?
//!
//! Up to 3.9 the state of the module `atexit`, from 3.10 on that of the interpreter refers to an
//! array of pointers to structs of a function, a tuple and a dict (`Modules/atexitmodule.c`,
//! `atexit_callback`). 2.7 and, again, 3.14 have a list, which is an object like others.

use super::Finder;
use crate::alloc::debug;
use crate::dict;
use crate::runtime::InterpreterState;
use memwhy_model::{Addr, AddrRange, RootKind};
use memwhy_target::MemoryExt;

/// Callbacks that are looked at.
const MOST: usize = 1 << 20;

pub(super) fn collect(
    finder: &mut Finder<'_>,
    whose: &str,
    interpreter: &InterpreterState,
    state: AddrRange,
) {
    let view = finder.sources.view;
    let Ok(mut words) = view.words(state.start, state.len() / 8, 2 << 20) else { return };
    words.extend(module_state(finder, interpreter));
    let arrays: Vec<Addr> = words
        .into_iter()
        .map(Addr)
        .filter(|at| at.is_aligned(16) && finder.object(*at).is_none())
        .filter(|at| room(finder, *at) >= 8)
        .collect();
    for array in arrays {
        let room = usize::try_from(room(finder, array) / 8).unwrap_or(0).min(MOST);
        for number in 0..room {
            let entry = view.ptr(array.at(number as u64 * 8)).ok().flatten();
            let Some(parts) = entry.and_then(|entry| callback(finder, entry)) else { break };
            for (part, what) in parts.into_iter().zip(["function", "arguments", "keywords"]) {
                if let Some(part) = part {
                    finder.add(RootKind::Interpreter, part, || {
                        format!("{whose}atexit callback {number}, its {what}")
                    });
                }
            }
        }
    }
}

/// The first word of the state of the module `atexit`: the array, up to 3.9.
fn module_state(finder: &Finder<'_>, interpreter: &InterpreterState) -> Option<u64> {
    let (view, layouts) = (finder.sources.view, &finder.sources.interpreter.layouts);
    let module = dict::get(view, layouts, interpreter.modules?, "atexit").ok()??;
    let state = layouts.module.md_state?.read(view, module).ok()??;
    view.u64(state).ok()
}

/// Bytes of the block or chunk that begins at `at`, or with what debugging puts before it.
fn room(finder: &Finder<'_>, at: Addr) -> u64 {
    let size = |start: Addr| {
        let chunk = || {
            let chunk = finder.sources.malloc?.chunk_of(start)?;
            chunk.in_use().then(|| chunk.usable())
        };
        let in_page = || finder.sources.mimalloc?.block_at(start);
        finder.sources.pymalloc.block_at(start).or_else(in_page).or_else(chunk)
    };
    let behind = |prefix: &u64| Some(size(at.before(*prefix))?.saturating_sub(*prefix));
    debug::PREFIXES.iter().find_map(behind).unwrap_or(0)
}

/// The function, the arguments and the keywords of the struct at `at`, if it is one.
fn callback(finder: &Finder<'_>, at: Addr) -> Option<[Option<Addr>; 3]> {
    let view = finder.sources.view;
    // Debugging puts up to 16 bytes behind it, too.
    if !(24..=56).contains(&room(finder, at)) {
        return None;
    }
    let function = view.ptr(at).ok()??;
    let arguments = view.ptr(at.at(8)).ok()?;
    let keywords = view.ptr(at.at(16)).ok()?;
    finder.object(function)?;
    let found = finder.object(arguments?)?;
    let ty = finder.sources.heap.types.get(finder.graph.type_of(found).0 as usize)?;
    let fits = ty.name == "builtins.tuple"
        && keywords.is_none_or(|keywords| finder.object(keywords).is_some());
    fits.then_some([Some(function), arguments, keywords])
}
