//! Where are the arenas of pymalloc?
//!
//! The interpreter's state leads there from 3.12 on. Vendors and build options move what lies before
//! that member, so it has to lead to what an array of arenas looks like; where it does not, its
//! neighbours are tried, and said so. Older builds keep the array in a variable without a name,
//! which is searched.

use super::pymalloc::{Pymalloc, find_array, is_array};
use crate::find::Interpreter;
use crate::layout::tables::interpreter_state::Obmalloc;
use crate::runtime::InterpreterState;
use memwhy_model::{Addr, ProblemKind, Problems};
use memwhy_target::View;

/// How far a member may have been moved: a few words.
const NEAR: i64 = 64;

/// Finds the arrays of arenas, and walks them.
pub(crate) fn walk(
    view: &View,
    python: &Interpreter,
    interpreters: &[InterpreterState],
    problems: &mut Problems,
) -> Pymalloc {
    let layouts = &python.layouts;
    let distances = (0..=NEAR).step_by(8).flat_map(|near| [near, -near]).skip(1);
    let (found, moved) = distances
        .map(|distance| (stated(view, python, interpreters, distance), distance))
        .find(|(found, _)| found.iter().any(|array| is_array(view, layouts, *array)))
        .unwrap_or_default();
    if moved != 0 {
        problems.note(ProblemKind::LayoutDisagrees, || {
            format!("the allocator of an interpreter is {moved} bytes from where the table has it")
        });
    }
    if !found.is_empty() {
        return Pymalloc::walk(view, layouts, &found, "the interpreter's state", problems);
    }
    match find_array(view, layouts, &python.data) {
        Some(array) => Pymalloc::walk(view, layouts, &[array], "its arenas and pools", problems),
        None => Pymalloc::default(),
    }
}

/// The arrays that the states of the interpreters lead to, by a member `distance` bytes off.
fn stated(
    view: &View,
    python: &Interpreter,
    interpreters: &[InterpreterState],
    distance: i64,
) -> Vec<Addr> {
    let layouts = &python.layouts;
    let state_of = |interpreter: &InterpreterState| {
        let base = Addr(interpreter.addr.0.checked_add_signed(distance)?);
        match layouts.interpreter_state.pymalloc {
            Obmalloc::Statics => None,
            Obmalloc::Inside(field) => Some(field.addr(base)),
            Obmalloc::Pointer(field) => field.read(view, base).ok().flatten(),
        }
    };
    let array_of = |state: Addr| layouts.obmalloc_state?.arenas.read(view, state).ok().flatten();
    let mut arrays: Vec<Addr> =
        interpreters.iter().filter_map(state_of).filter_map(array_of).collect();
    arrays.sort_unstable();
    arrays.dedup();
    arrays
}
