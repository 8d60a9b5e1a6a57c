//! What do interpreters keep: `sys.modules`, the namespaces of `sys` and builtins, and whatever
//! else their state refers to?

use super::Finder;
use memwhy_model::{AddrRange, RootKind};
use memwhy_target::MemoryExt;

/// No state of an interpreter is larger.
const LARGEST_STATE: u64 = 16 << 20;

pub(super) fn collect(finder: &mut Finder<'_>) {
    let view = finder.sources.view;
    let fields = &finder.sources.interpreter.layouts.interpreter_state;
    for (number, state) in finder.sources.interpreters.iter().enumerate() {
        let whose = if number == 0 { String::new() } else { format!("interpreter {number}: ") };
        if let Some(modules) = state.modules {
            finder.add(RootKind::Modules, modules, || format!("{whose}sys.modules"));
        }
        let known = [(fields.sysdict, "sys.__dict__"), (fields.builtins, "builtins.__dict__")];
        for (field, name) in known {
            if let Ok(Some(at)) = field.read(view, state.addr) {
                finder.add(RootKind::Interpreter, at, || format!("{whose}{name}"));
            }
        }
        // Codecs, hooks, callbacks: which is which no table says. Caches of types and lookups are
        // among them, which do not own what they remember.
        let size = fields.size.min(LARGEST_STATE);
        let extent = AddrRange::sized(state.addr, size);
        finder.scan(RootKind::CGlobal, extent, &|at| {
            let offset = at.checked_since(state.addr).unwrap_or(0);
            format!("{whose}the interpreter's state, at +{offset}")
        });
        at_exit(finder, &whose, extent);
    }
}

/// Callbacks registered with `atexit`, from 3.10 on: the state refers to an array of pointers to
/// structs of a function, a tuple and a dict (`Modules/atexitmodule.c`, `atexit_callback`).
fn at_exit(finder: &mut Finder<'_>, whose: &str, state: AddrRange) {
    let view = finder.sources.view;
    let Ok(words) = view.words(state.start, state.len() / 8, 2 << 20) else { return };
    let block = |at| finder.sources.pymalloc.block_at(at).is_some_and(|size| size < 1 << 16);
    let arrays: Vec<_> = words
        .into_iter()
        .map(memwhy_model::Addr)
        .filter(|at| at.is_aligned(16) && finder.object(*at).is_none() && block(*at))
        .collect();
    for array in arrays {
        let size = finder.sources.pymalloc.block_at(array).unwrap_or(0);
        let Ok(entries) = view.words(array, size / 8, 1 << 13) else { continue };
        let entries: Vec<_> = entries.into_iter().map(memwhy_model::Addr).collect();
        for (number, entry) in entries.into_iter().enumerate() {
            let callback = || {
                let at = entry;
                finder.sources.pymalloc.block_at(at).filter(|size| (24..=32).contains(size))?;
                let function = view.ptr(at).ok()??;
                let arguments = view.ptr(at.at(8)).ok()??;
                let keywords = view.ptr(at.at(16)).ok()?;
                finder.object(function)?;
                let arguments = finder.object(arguments)?;
                let ty =
                    finder.sources.heap.types.get(finder.graph.type_of(arguments).0 as usize)?;
                let fits = ty.name == "builtins.tuple"
                    && keywords.is_none_or(|keywords| finder.object(keywords).is_some());
                fits.then_some([Some(function), view.ptr(at.at(8)).ok()?, keywords])
            };
            let Some(parts) = callback() else { break };
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
