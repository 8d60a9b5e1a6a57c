//! How do all threads of a target stand still, and go on whatever becomes of us?
//!
//! Dropping a [`Freeze`] lets every thread go. If we are killed instead, the kernel does the same:
//! see [`crate::sys::ptrace`]. A thread whose sleep the kernel would not resume is left asleep: see
//! [`crate::live::sleepers`].

use crate::live::process::Process;
use crate::live::sleepers::{self, Must, Sleepers};
use crate::registers::Registers;
use crate::sys::ptrace::{self, Waited};
use memwhy_model::{ProblemKind, Problems};
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// New threads may appear while we seize the old ones; a program that makes them faster than we
/// stop them is given up on after so many rounds.
const ROUNDS: usize = 50;
/// How long is waited for a thread that has just woken up.
const WOKEN: Duration = Duration::from_millis(100);

/// What becomes of threads that are asleep in a call which the kernel would not begin again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asleep {
    /// They stay asleep: nothing happens to the target.
    Spared,
    /// They are stopped, and their call returns `EINTR`: for those who change the target anyway.
    Stopped,
}

/// A target whose threads stand still.
#[derive(Debug)]
pub struct Freeze {
    /// Stopped threads, each with the signal to hand on.
    stopped: BTreeMap<u32, i32>,
    /// Seized threads that have not stopped.
    pending: Vec<u32>,
    /// Threads that stand still because they sleep.
    sleepers: Sleepers,
    asleep: Asleep,
    process: Process,
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
        asleep: Asleep,
        problems: &mut Problems,
    ) -> io::Result<Self> {
        let since = Instant::now();
        let (stopped, pending, sleepers) = (BTreeMap::new(), Vec::new(), Sleepers::none());
        let process = process.clone();
        let mut freeze = Self { stopped, pending, sleepers, asleep, process, since };
        for _ in 0..ROUNDS {
            let known = freeze.tids().count();
            for tid in freeze.process.tids() {
                freeze.hold(tid)?;
            }
            if freeze.tids().count() == known {
                break;
            }
            freeze.wait(since + patience)?;
            // Who sleeps may have been woken by those who did not stand still yet.
            freeze.stop_the_woken(Must::Always)?;
            freeze.wait(since + patience)?;
        }
        for tid in &freeze.pending {
            problems.note(ProblemKind::ThreadNotStopped, || format!("thread {tid}"));
        }
        if freeze.tids().next().is_none() {
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
        self.stopped.keys().copied().chain(self.pending.iter().copied()).chain(self.sleepers.tids())
    }

    /// Threads that stand still because they sleep, which were not stopped.
    pub fn asleep(&self) -> impl Iterator<Item = u32> + '_ {
        self.sleepers.tids()
    }

    /// The registers of `tid`, if it stands still; of one that sleeps what the kernel tells.
    #[must_use]
    pub fn registers(&self, tid: u32) -> Option<Registers> {
        let stopped = self.stopped.contains_key(&tid);
        if stopped { ptrace::registers(tid).ok() } else { self.sleepers.registers(tid) }
    }

    /// Stops threads that were asleep and have woken up since, and notes them: for a moment they
    /// ran. To be called often, which costs little: it looks at times.
    pub fn keep(&mut self, problems: &mut Problems) {
        self.look_again(Must::NotAlways, problems);
    }

    /// The same, for the last time.
    pub(crate) fn keep_last(&mut self, problems: &mut Problems) {
        self.look_again(Must::Always, problems);
    }

    fn look_again(&mut self, must: Must, problems: &mut Problems) {
        // Who cannot be stopped has ended, or does so in time.
        let woken = self.stop_the_woken(must).unwrap_or_default();
        if !woken.is_empty() {
            let _ = self.wait(Instant::now() + WOKEN);
        }
        for tid in woken {
            problems.note(ProblemKind::TornRead, || {
                format!("thread {tid}, which was left asleep, woke up and ran for a moment")
            });
        }
    }

    /// Stops those that have woken up; returns them.
    fn stop_the_woken(&mut self, must: Must) -> io::Result<Vec<u32>> {
        let woken = self.sleepers.woken(&self.process, must);
        for tid in &woken {
            self.hold(*tid)?;
        }
        Ok(woken)
    }

    /// Sees to it that a thread stands still.
    fn hold(&mut self, tid: u32) -> io::Result<()> {
        let known = self.stopped.contains_key(&tid) || self.pending.contains(&tid);
        if known || self.sleepers.has(tid) {
            return Ok(());
        }
        if self.asleep == Asleep::Spared && self.sleepers.take(&self.process, tid) {
            return Ok(());
        }
        self.seize(tid)
    }

    fn seize(&mut self, tid: u32) -> io::Result<()> {
        match ptrace::seize(tid).and_then(|()| ptrace::interrupt(tid)) {
            Ok(()) => self.pending.push(tid),
            // A thread may end between our listing and this; the process going away is another
            // matter.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) && tid != self.process.pid => {}
            // The kernel answers EPERM for a thread that is exiting, too.
            Err(error)
                if error.raw_os_error() == Some(libc::EPERM)
                    && !still_there(&self.process, tid) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A thread that was caught on its way to sleep: the call that has just begun begins again.
    fn mend(&self, tid: u32) {
        let registers = ptrace::registers(tid).ok().filter(|_| self.asleep == Asleep::Spared);
        if registers.is_some_and(|registers| sleepers::was_cut_short(&self.process, &registers)) {
            // Who is gone by now needs no mending.
            let _ = ptrace::begin_again(tid);
        }
    }

    fn wait(&mut self, until: Instant) -> io::Result<()> {
        let mut pause = Duration::from_micros(20);
        while !self.pending.is_empty() && Instant::now() < until {
            let mut waiting = Vec::new();
            for tid in std::mem::take(&mut self.pending) {
                match ptrace::poll(tid)? {
                    Waited::NotYet => waiting.push(tid),
                    Waited::Stopped => {
                        self.stopped.insert(tid, 0);
                        self.mend(tid);
                    }
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
