//! How do all threads of a target stand still, and go on whatever becomes of us?
//!
//! Dropping a [`Freeze`] lets every thread go. If we are killed instead, the kernel does the same:
//! see [`crate::sys::ptrace`].

use crate::live::process::Process;
use crate::registers::Registers;
use crate::sys::ptrace::{self, Waited};
use memwhy_model::{ProblemKind, Problems};
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// New threads may appear while we seize the old ones; a program that makes them faster than we
/// stop them is given up on after so many rounds.
const ROUNDS: usize = 50;

/// A target whose threads stand still.
#[derive(Debug)]
pub struct Freeze {
    /// Stopped threads, each with the signal to hand on.
    stopped: BTreeMap<u32, i32>,
    /// Seized threads that have not stopped.
    pending: Vec<u32>,
    since: Instant,
}

impl Freeze {
    /// Stops every thread of `process`, waiting until `patience` has passed for the last of them.
    ///
    /// A thread that does not stop in time (uninterruptible in the kernel) changes no memory
    /// meanwhile and is noted as a problem.
    ///
    /// # Errors
    /// `EPERM` if the process may not be traced or somebody else traces it, `ESRCH` when it is gone.
    pub fn stop(
        process: &Process,
        patience: Duration,
        problems: &mut Problems,
    ) -> io::Result<Self> {
        let since = Instant::now();
        let mut freeze = Self { stopped: BTreeMap::new(), pending: Vec::new(), since };
        for _ in 0..ROUNDS {
            let known = freeze.stopped.len() + freeze.pending.len();
            for tid in process.tids() {
                if !freeze.stopped.contains_key(&tid) && !freeze.pending.contains(&tid) {
                    freeze.seize(tid, process)?;
                }
            }
            if freeze.stopped.len() + freeze.pending.len() == known {
                break;
            }
            freeze.wait(since + patience)?;
        }
        for tid in &freeze.pending {
            problems.note(ProblemKind::ThreadNotStopped, || format!("thread {tid}"));
        }
        if freeze.stopped.is_empty() && freeze.pending.is_empty() {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(freeze)
    }

    /// For how long it has lasted.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.since.elapsed()
    }

    /// The threads that stand still and have no signal to take first.
    pub fn still(&self) -> impl Iterator<Item = u32> {
        self.stopped.iter().filter(|(_, signal)| **signal == 0).map(|(tid, _)| *tid)
    }

    /// The threads that stand still, ascending.
    pub fn stopped(&self) -> impl Iterator<Item = u32> + '_ {
        self.stopped.keys().copied()
    }

    /// Its threads: those that stand still, and those that do not because they cannot.
    pub fn tids(&self) -> impl Iterator<Item = u32> {
        self.stopped.keys().copied().chain(self.pending.iter().copied())
    }

    /// The registers of `tid`, if it stands still.
    #[must_use]
    pub fn registers(&self, tid: u32) -> Option<Registers> {
        self.stopped.contains_key(&tid).then(|| ptrace::registers(tid).ok())?
    }

    fn seize(&mut self, tid: u32, process: &Process) -> io::Result<()> {
        match ptrace::seize(tid).and_then(|()| ptrace::interrupt(tid)) {
            Ok(()) => self.pending.push(tid),
            // A thread may end between our listing and this; the process going away is another
            // matter.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) && tid != process.pid => {}
            // The kernel answers EPERM for a thread that is exiting, too.
            Err(error)
                if error.raw_os_error() == Some(libc::EPERM) && !still_there(process, tid) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn wait(&mut self, until: Instant) -> io::Result<()> {
        let mut pause = Duration::from_micros(20);
        while !self.pending.is_empty() && Instant::now() < until {
            let mut waiting = Vec::new();
            for tid in std::mem::take(&mut self.pending) {
                match ptrace::poll(tid)? {
                    Waited::NotYet => waiting.push(tid),
                    Waited::Stopped => drop(self.stopped.insert(tid, 0)),
                    Waited::Signal(signal) => drop(self.stopped.insert(tid, signal)),
                    Waited::Gone => {}
                }
            }
            self.pending = waiting;
            if !self.pending.is_empty() {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

/// Whether a thread is listed and not on its way out.
fn still_there(process: &Process, tid: u32) -> bool {
    let stat = std::fs::read_to_string(process.path("task").join(tid.to_string()).join("stat"));
    stat.is_ok_and(|stat| {
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    })
}

impl Drop for Freeze {
    fn drop(&mut self) {
        // A thread that did not stop in time can only be let go once it has; it will stop at once
        // when the kernel returns it to user code, so waiting for it is short.
        let patience = Instant::now() + Duration::from_secs(2);
        while !self.pending.is_empty() && Instant::now() < patience {
            if self.wait(Instant::now() + Duration::from_millis(50)).is_err() {
                break;
            }
        }
        for (tid, signal) in &self.stopped {
            // A thread that was killed meanwhile is gone, which is no concern of ours.
            let _ = ptrace::detach(*tid, *signal);
        }
    }
}
