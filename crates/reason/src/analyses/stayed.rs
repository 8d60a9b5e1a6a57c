//! Which tasks are where they were at an earlier moment, and how long ago was that?
//!
//! No release of CPython keeps since when a task has been pending. Two looks at one process do tell: a
//! task of the same address and name, in the same calls at the same lines, was there at the first
//! one, too. It may have gone on and come back in between, as one that serves a queue does.

use super::Sameness;
use super::growth::sameness;
use memwhy_model::{Addr, Case, Frame, TaskFacts};
use std::collections::BTreeSet;

/// What an earlier moment tells of the tasks of a later one.
#[derive(Clone, Debug, PartialEq)]
pub struct Stayed {
    /// Seconds between the two.
    pub seconds: f64,
    /// The tasks that were there and not over, by address.
    tasks: BTreeSet<Addr>,
}

/// What tells a task, and where it is, from all others.
type Stand<'c> = (Addr, Option<&'c str>, Vec<(&'c str, &'c str, Option<u32>)>);

fn stand(task: &TaskFacts) -> Stand<'_> {
    (task.addr, task.name.as_deref(), task.frames.iter().map(place).collect())
}

fn place(frame: &Frame) -> (&str, &str, Option<u32>) {
    (&frame.function, &frame.file, frame.line)
}

fn pending(case: &Case) -> impl Iterator<Item = &TaskFacts> {
    case.tasks.iter().filter(|task| !task.state.is_over())
}

impl Stayed {
    /// Compares two moments; what they have to do with each other where they are not of one process,
    /// the earlier one first.
    ///
    /// # Errors
    /// If they are of different processes.
    pub fn between(before: &Case, after: &Case) -> Result<Self, Sameness> {
        let same = sameness(&before.about, &after.about);
        if same != Sameness::Same {
            return Err(same);
        }
        let then: BTreeSet<Stand<'_>> = pending(before).map(stand).collect();
        let there = pending(after).filter(|task| then.contains(&stand(task)));
        Ok(Self {
            seconds: after.about.taken_at_unix_s - before.about.taken_at_unix_s,
            tasks: there.map(|task| task.addr).collect(),
        })
    }

    /// Whether the task was where it is now.
    #[must_use]
    pub fn has(&self, task: &TaskFacts) -> bool {
        self.tasks.contains(&task.addr)
    }

    /// How many were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.tasks.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Stayed;
    use crate::analyses::Sameness;
    use memwhy_model::{About, Addr, Case, Frame, TaskFacts, TaskState};

    fn task(addr: u64, name: &str, line: u32, state: TaskState) -> TaskFacts {
        let frame = Frame { function: "f".into(), line: Some(line), ..Frame::default() };
        let frames = vec![frame];
        TaskFacts { addr: Addr(addr), name: Some(name.into()), state, frames, ..Default::default() }
    }

    fn at(second: f64, tasks: &[TaskFacts]) -> Case {
        let about =
            About { pid: 7, taken_at_unix_s: second, uptime_s: Some(second), ..About::default() };
        Case { about, tasks: tasks.to_vec(), ..Case::default() }
    }

    #[test]
    fn who_is_at_the_same_line_has_stayed() {
        let before = at(
            10.0,
            &[
                task(1, "Task-1", 5, TaskState::Waiting),
                task(2, "Task-2", 5, TaskState::Waiting),
                task(3, "Task-3", 5, TaskState::Waiting),
                task(4, "Task-4", 5, TaskState::Done),
            ],
        );
        let after = at(
            40.5,
            &[
                task(1, "Task-1", 5, TaskState::Waiting),
                task(2, "Task-2", 6, TaskState::Waiting),
                // Another one at the same address.
                task(3, "Task-9", 5, TaskState::Waiting),
                task(4, "Task-4", 5, TaskState::Done),
            ],
        );
        let stayed = Stayed::between(&before, &after).expect("one process");
        assert_eq!((stayed.seconds, stayed.count()), (30.5, 1));
        assert!(stayed.has(&after.tasks[0]) && !stayed.has(&after.tasks[1]));
    }

    #[test]
    fn another_process_tells_nothing() {
        let before = at(10.0, &[]);
        let mut after = at(40.0, &[]);
        after.about.pid = 8;
        assert_eq!(Stayed::between(&before, &after), Err(Sameness::Restarted));
    }
}
