//! Where are the threads that are at work, a few moments before they are stopped?
//!
//! A look at the running process, without a stop: the innermost Python frame of each thread, a few
//! times. Too few to be a profile, and said to be so; enough to tell a hot loop from a chance hit.

use memwhy_model::{Place, Problems, ThreadFacts};
use memwhy_python::find::Interpreter;
use memwhy_python::frames::Stacks;
use memwhy_python::runtime;
use memwhy_target::{Process, Thread, View};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often each thread is looked at.
const LOOKS: u32 = 8;

/// How often each thread, by `threading.get_ident()`, was where.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<u64, BTreeMap<Place, u32>>);

/// The threads of a process with the CPU time they used while they were looked at, for as long as
/// `look`.
pub(crate) fn look(
    process: &Process,
    python: Option<(&View, &Interpreter)>,
    look: Duration,
) -> (Vec<Thread>, Samples) {
    let mut samples = Samples::default();
    let Some((view, python)) = python.filter(|_| !look.is_zero()) else {
        return (process.threads(look), samples);
    };
    let threads = process.threads_while(|| {
        for _ in 0..LOOKS {
            std::thread::sleep(look / LOOKS);
            samples.add(view, python);
        }
    });
    (threads, samples)
}

impl Samples {
    fn add(&mut self, view: &View, python: &Interpreter) {
        // It runs: what changes while it is read is left out.
        let mut problems = Problems::default();
        let mut stacks = Stacks::new(view, &python.layouts);
        for interpreter in runtime::interpreters(view, python, &mut problems) {
            for thread in interpreter.threads {
                if let Some(place) = stacks.innermost_place(thread.state) {
                    *self.0.entry(thread.ident).or_default().entry(place).or_default() += 1;
                }
            }
        }
    }

    /// Tells of each thread at work where it was.
    pub(crate) fn join(mut self, threads: &mut [ThreadFacts]) {
        for thread in threads.iter_mut().filter(|thread| thread.is_python) {
            let seen = self.0.remove(&thread.ident).unwrap_or_default();
            thread.seen = seen.into_iter().collect();
            thread.seen.sort_by_key(|(_, times)| Reverse(*times));
        }
    }
}
