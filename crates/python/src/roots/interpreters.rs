//! What do interpreters keep: `sys.modules`, the namespaces of `sys` and builtins, and whatever
//! else their state refers to?

use super::{Finder, at_exit};
use memwhy_model::{AddrRange, RootKind};

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
        at_exit::collect(finder, &whose, state, extent);
    }
}
