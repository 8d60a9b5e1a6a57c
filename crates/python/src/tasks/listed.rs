//! Which tasks does asyncio itself list, and who awaits whom by its own account?
//!
//! From 3.14 on a task in C that is not over is a member of a list of the thread that made it, and,
//! once that thread has ended, of one of its interpreter. Where these lists begin is published in a
//! section of the file that has asyncio's part in C.
//!
//! Source: `Modules/_asynciomodule.c` (`Py_AsyncioModuleDebugOffsets`, `register_task`,
//! `task_awaited_by`), `Include/internal/pycore_llist.h`, `Python/pystate.c`
//! (`PyThreadState_Clear`), 3.14.

use crate::runtime::{InterpreterState, PythonThread, walk_list};
use memwhy_model::{Addr, ProblemKind, Problems};
use memwhy_native::Images;
use memwhy_target::{Memory, MemoryExt};
use rustc_hash::FxHashSet;

/// Where the offsets are.
const SECTION: &str = ".AsyncioDebug";
/// Numbers of which the section consists.
const NUMBERS: usize = 13;
/// No struct of an interpreter or a thread is larger.
const LARGEST: u64 = 1 << 22;

/// What is published, as far as it is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offsets {
    /// In a task: who awaits it.
    awaited_by: u64,
    /// In a task: whether that is a set of tasks.
    awaited_by_is_set: u64,
    /// In a task: its `struct llist_node`.
    node: u64,
    /// In the state of an interpreter: the head of its list.
    of_interpreter: u64,
    /// In the state of a thread: the loop that runs in it.
    running_loop: u64,
    /// In the state of a thread: the head of its list.
    of_thread: u64,
}

impl Offsets {
    /// From the numbers of the section; `None` if one lies outside of its struct.
    fn checked(numbers: &[u64]) -> Option<Self> {
        let [
            task,
            _,
            awaited_by,
            _,
            awaited_by_is_set,
            _,
            node, //
            interpreter,
            of_interpreter, //
            thread,
            running_loop,
            _,
            of_thread,
        ] = *numbers.first_chunk::<NUMBERS>()?;
        let inside = |size: u64, last: &[(u64, u64)]| {
            size < LARGEST
                && last.iter().all(|(at, len)| {
                    // What begins a struct is an object's head, or a link to the next.
                    *at >= 8 && at.checked_add(*len).is_some_and(|end| end <= size)
                })
        };
        (inside(task, &[(awaited_by, 8), (awaited_by_is_set, 1), (node, 16)])
            && inside(interpreter, &[(of_interpreter, 16)])
            && inside(thread, &[(running_loop, 8), (of_thread, 16)]))
        .then_some(Self {
            awaited_by,
            awaited_by_is_set,
            node,
            of_interpreter,
            running_loop,
            of_thread,
        })
    }
}

/// Who awaits a task.
pub(super) enum Awaiter {
    /// This task.
    One(Addr),
    /// The members of this set.
    Set(Addr),
}

/// Asyncio's own account of its tasks.
pub(super) struct Listed<'m> {
    memory: &'m dyn Memory,
    offsets: Offsets,
    /// The tasks, in no order.
    pub(super) tasks: FxHashSet<Addr>,
    /// Loops that run, and the state of the thread that each runs in.
    pub(super) loops: Vec<(Addr, Addr)>,
}

impl<'m> Listed<'m> {
    /// Reads the lists, of at most `most` tasks each; `None` where nothing is published: before 3.14,
    /// and where nobody imported asyncio.
    pub(super) fn read(
        memory: &'m dyn Memory,
        images: &Images,
        interpreters: &[InterpreterState],
        most: usize,
        problems: &mut Problems,
    ) -> Option<Self> {
        let section = images.0.iter().find_map(|image| image.section(SECTION))?;
        let published = memory.words(section.start, NUMBERS as u64, NUMBERS).ok()?;
        let Some(offsets) = Offsets::checked(&published) else {
            problems.note(ProblemKind::LayoutDisagrees, || {
                format!("{SECTION} at {} has offsets that cannot be", section.start)
            });
            return None;
        };
        let mut listed = Self { memory, offsets, tasks: FxHashSet::default(), loops: Vec::new() };
        for interpreter in interpreters {
            listed.follow(interpreter.addr.at(offsets.of_interpreter), most, problems);
            for PythonThread { state, .. } in &interpreter.threads {
                listed.follow(state.at(offsets.of_thread), most, problems);
                let runs = memory.ptr(state.at(offsets.running_loop)).ok().flatten();
                listed.loops.extend(runs.map(|event_loop| (event_loop, *state)));
            }
        }
        Some(listed)
    }

    /// Follows the ring whose head is at `head`: it leads through the nodes of tasks back to there.
    fn follow(&mut self, head: Addr, most: usize, problems: &mut Problems) {
        let next = |at: Addr| self.memory.ptr(at).ok().flatten();
        // One that was never used has no members, not even itself.
        let Some(first) = next(head) else { return };
        let mut whole = false;
        let members = walk_list(Some(first).filter(|at| *at != head), most, |at| {
            let to = next(at);
            whole = to == Some(head);
            to.filter(|to| *to != head)
        });
        if !(whole || first == head) || !members.1 {
            problems.note(ProblemKind::BrokenList, || {
                format!("the list of asyncio's tasks at {head} does not lead back to there")
            });
        }
        self.tasks.extend(members.0.into_iter().map(|node| node.before(self.offsets.node)));
    }

    /// Who awaits the task at `task`, which is one in C.
    pub(super) fn awaiter(&self, task: Addr) -> Option<Awaiter> {
        let who = self.memory.ptr(task.at(self.offsets.awaited_by)).ok()??;
        let [is_set] = self.memory.array(task.at(self.offsets.awaited_by_is_set)).ok()?;
        Some(if is_set == 0 { Awaiter::One(who) } else { Awaiter::Set(who) })
    }
}

#[cfg(test)]
mod tests {
    use super::Offsets;

    /// Of Debian's 3.14.10.
    const PUBLISHED: [u64; 13] =
        [168, 136, 96, 108, 109, 128, 152, 225_864, 10880, 936, 864, 872, 880];

    #[test]
    fn offsets_lie_inside_of_their_structs() {
        let read = Offsets::checked(&PUBLISHED).expect("as published");
        assert_eq!((read.node, read.of_interpreter, read.of_thread), (152, 10880, 880));
        for (place, wrong) in [(6, 160), (6, u64::MAX), (8, 0), (12, 928), (9, 1 << 40), (2, 168)] {
            let mut numbers = PUBLISHED;
            numbers[place] = wrong;
            assert_eq!(Offsets::checked(&numbers), None, "{wrong} at {place}");
        }
        assert_eq!(Offsets::checked(&PUBLISHED[..12]), None);
    }
}
