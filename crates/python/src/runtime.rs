//! Which interpreters and threads does the runtime have, and who holds the GIL?

use crate::find::Interpreter;
use crate::layout::Layouts;
use memwhy_model::{Addr, AddrRange, InterpreterFacts, ProblemKind, Problems};
use memwhy_native::pthread::thread_at;
use memwhy_target::{Memory, MemoryExt, Thread};
use rustc_hash::FxHashSet;

/// Sub-interpreters; nobody has more.
pub(crate) const MOST_INTERPRETERS: usize = 1024;
/// Threads of one interpreter; Linux allows four million in all.
const MOST_THREADS: usize = 1 << 17;

/// One interpreter.
#[derive(Clone, Debug, Default)]
pub struct InterpreterState {
    /// Where its state is.
    pub addr: Addr,
    /// `sys.modules`.
    pub modules: Option<Addr>,
    /// The state of the garbage collector.
    pub gc: Option<Addr>,
    /// Its threads.
    pub threads: Vec<PythonThread>,
}

/// One thread that has run Python code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PythonThread {
    /// Where its state is.
    pub state: Addr,
    /// `threading.get_ident()`.
    pub ident: u64,
    /// Its number in its own pid namespace, if that can be told.
    pub tid: Option<u32>,
    /// Whether it holds the GIL.
    pub holds_gil: bool,
}

impl PythonThread {
    /// Whether it is this thread of the kernel's.
    ///
    /// Python knows the numbers of its own pid namespace, we those of ours. A core that was written
    /// from outside of the namespace has other numbers; what Python calls a thread's identity is
    /// then where its thread-local storage begins.
    #[must_use]
    pub fn is(&self, thread: &Thread) -> bool {
        let here = || thread.registers.and_then(|registers| registers.thread_pointer());
        self.tid == Some(thread.inner_tid) || here() == Some(Addr(self.ident))
    }
}

/// Follows a linked list from `head`: at most `most` members, and none twice.
pub fn walk_list(
    head: Option<Addr>,
    most: usize,
    mut next: impl FnMut(Addr) -> Option<Addr>,
) -> (Vec<Addr>, bool) {
    let (mut members, mut seen) = (Vec::new(), FxHashSet::default());
    let mut at = head;
    while let Some(here) = at {
        if members.len() >= most || !seen.insert(here) {
            return (members, false);
        }
        members.push(here);
        at = next(here);
    }
    (members, true)
}

/// Every interpreter with its threads; none if the runtime does not lead to any.
///
/// A thread state has to name its interpreter; one that does not ends the list there and is noted.
#[must_use]
pub fn interpreters(
    memory: &dyn Memory,
    python: &Interpreter,
    problems: &mut Problems,
) -> Vec<InterpreterState> {
    let layouts = &python.layouts;
    let next = |at| layouts.interpreter_state.next.read(memory, at).ok().flatten();
    let (mut states, ended) = walk_list(Some(python.first), MOST_INTERPRETERS, next);
    // The list begins with the newest; we begin with the main one.
    states.reverse();
    if !ended {
        problems.note(ProblemKind::BrokenList, || "the list of interpreters".into());
    }
    let mut found = Vec::new();
    for addr in states {
        let state = &layouts.interpreter_state;
        let first = state.threads_head.read(memory, addr).ok().flatten();
        let next = |at| layouts.thread_state.next.read(memory, at).ok().flatten();
        let (threads, ended) = walk_list(first, MOST_THREADS, next);
        let own = |at: &Addr| layouts.thread_state.interp.read(memory, *at) == Ok(Some(addr));
        if !ended || !threads.iter().all(own) {
            problems.note(ProblemKind::CalibrationFailed, || {
                format!("the threads of interpreter {addr} do not lead back to it")
            });
            continue;
        }
        let holder = gil_holder(memory, python, addr);
        let shared = || Some(layouts.runtime_state?.gc?.addr(python.runtime?));
        let gc = state.gc.map(|gc| gc.addr(addr)).or_else(shared);
        found.push(InterpreterState {
            addr,
            modules: state.modules.read(memory, addr).ok().flatten(),
            gc,
            threads: threads.into_iter().map(|at| thread(memory, layouts, at, holder)).collect(),
        });
    }
    found
}

fn thread(
    memory: &dyn Memory,
    layouts: &Layouts,
    state: Addr,
    holder: Option<Addr>,
) -> PythonThread {
    let fields = &layouts.thread_state;
    let ident = fields.thread_id.read(memory, state).unwrap_or(0);
    let tid = match fields.native_thread_id {
        Some(native) => native.read(memory, state).ok().and_then(|tid| u32::try_from(tid).ok()),
        // The identity of a thread is its `pthread_t`, which on glibc is its `struct pthread`.
        None => thread_at(memory, Addr(ident)),
    };
    PythonThread { state, ident, tid: tid.filter(|tid| *tid > 0), holds_gil: holder == Some(state) }
}

/// What an interpreter is and which threads it has, by their numbers in the kernel.
#[must_use]
pub(crate) fn facts(
    memory: &dyn Memory,
    python: &Interpreter,
    (number, state): (usize, &InterpreterState),
    native: &[Thread],
) -> InterpreterFacts {
    let tid = |thread: &PythonThread| {
        let seen = native.iter().find(|native| thread.is(native)).map(|native| native.tid);
        seen.or(thread.tid).unwrap_or_default()
    };
    let id = python.layouts.interpreter_state.id;
    InterpreterFacts {
        // 2.7 and 3.6 do not number them.
        id: id.map_or(i64::try_from(number).ok(), |id| id.read(memory, state.addr).ok()),
        addr: state.addr,
        // The list begins with the newest.
        threads: state.threads.iter().rev().map(tid).collect(),
        holds_gil: state.threads.iter().find(|thread| thread.holds_gil).map(tid),
        ..InterpreterFacts::default()
    }
}

/// The thread state that holds the GIL. The last holder is not enough: nobody may hold it now.
fn gil_holder(memory: &dyn Memory, python: &Interpreter, interpreter: Addr) -> Option<Addr> {
    if let Some(current) = python.current_thread {
        return memory.ptr(current).ok()?;
    }
    let gil = gil(memory, python, interpreter)?.start;
    let fields = python.layouts.gil_state?;
    let locked = fields.locked.read(memory, gil).ok()?;
    if locked != 1 || !is_on(memory, python, gil) {
        return None;
    }
    fields.last_holder.read(memory, gil).ok()?
}

/// Whether threads wait for a GIL. A free-threaded build can have it on (`PYTHON_GIL=1`, or an
/// extension that needs it).
pub(crate) fn gil_is_on(memory: &dyn Memory, python: &Interpreter) -> bool {
    let gil = gil(memory, python, python.first);
    gil.map_or(!python.build.free_threaded, |gil| is_on(memory, python, gil.start))
}

fn is_on(memory: &dyn Memory, python: &Interpreter, gil: Addr) -> bool {
    let enabled = python.layouts.gil_state.and_then(|fields| fields.enabled);
    enabled.is_none_or(|enabled| enabled.read(memory, gil) != Ok(0))
}

/// Where the GIL of an interpreter is, with the words that threads sleep at; `None` where it is no
/// struct that we know.
#[must_use]
pub fn gil(memory: &dyn Memory, python: &Interpreter, interpreter: Addr) -> Option<AddrRange> {
    let layouts = &python.layouts;
    let shared = || Some(layouts.runtime_state?.gil?.addr(python.runtime?));
    let gil = match layouts.interpreter_state.gil {
        Some(gil) => gil.read(memory, interpreter).ok()?,
        None => shared(),
    }?;
    Some(AddrRange::sized(gil, layouts.gil_state?.size))
}

#[cfg(test)]
mod tests {
    use super::walk_list;
    use memwhy_model::Addr;

    #[test]
    fn a_loop_ends_a_walk() {
        let (members, ended) = walk_list(Some(Addr(1)), 1000, |at| Some(Addr(at.0 % 5 + 1)));
        assert!(!ended && members.len() < 1000);
        let (members, ended) = walk_list(Some(Addr(1)), 10, |at| (at.0 < 4).then(|| at.at(1)));
        assert!(ended);
        assert_eq!(members.len(), 4);
    }
}
