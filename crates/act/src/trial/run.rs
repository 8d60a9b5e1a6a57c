//! What does a program do under one cure, from its start to its end?

use super::cures::Ready;
use super::family;
use crate::allocator;
use crate::sys::end;
use memwhy_model::{Run, Sample};
use memwhy_target::Process;
use memwhy_target::sys::resources::clock_ticks_per_second;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is to be run, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// A command of the shell that makes it work; it is ended afterwards. Without one the program
    /// is a job that ends by itself.
    pub load: Option<String>,
    /// How long the program has to get ready before the load begins.
    pub settle: Duration,
    /// How long it is watched after the load.
    pub rest: Duration,
    /// How often it is looked at.
    pub every: Duration,
    /// A run that takes longer is ended, and does not count.
    pub limit: Duration,
}

/// How long a program may take to end when it is asked to.
const ENDING: Duration = Duration::from_secs(5);
/// Between two trims.
const TRIM_EVERY: Duration = Duration::from_secs(1);
/// Of what a failed program said, so much is repeated.
const LAST_WORDS: u64 = 400;

/// Runs the program once. What goes wrong with it is in the [`Run`]. `look` sees it as it is after the
/// load, all of its processes, the first one first.
///
/// # Errors
/// If it cannot be started at all.
pub fn run(
    plan: &Plan,
    cure: &Ready,
    stop: &dyn Fn() -> bool,
    look: &mut dyn FnMut(&[u32]),
) -> io::Result<Run> {
    let (program, arguments) = plan.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut said = unnamed()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said.try_clone()?);
    command.envs(cure.environment.iter().map(|(name, value)| (name, value)));
    let mut watch = Watch::new(Running(command.spawn()?), plan, cure.trims);
    let mut failure = None;
    let mut work_s = 0.0;
    if let Some(load) = &plan.load {
        failure = watch.for_so_long(plan.settle, stop);
        if failure.is_none() {
            let begun = Instant::now();
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(load).stdin(Stdio::null());
            shell.stdout(said.try_clone()?).stderr(said.try_clone()?);
            let mut loading = Running(shell.spawn()?);
            failure = watch.until_ended(Some(&mut loading), plan.limit, stop);
            work_s = begun.elapsed().as_secs_f64();
        }
        failure = failure.or_else(|| watch.for_so_long(plan.rest, stop));
        if failure.is_none() {
            look(&family::members(watch.program.0.id()));
        }
        watch.end();
    } else {
        let begun = Instant::now();
        failure = failure.or_else(|| watch.until_ended(None, plan.limit, stop));
        work_s += begun.elapsed().as_secs_f64();
    }
    if let Some(failure) = &mut failure {
        let end = said.seek(SeekFrom::End(0))?;
        said.seek(SeekFrom::Start(end.saturating_sub(LAST_WORDS)))?;
        let mut words = Vec::new();
        said.read_to_end(&mut words)?;
        let words = String::from_utf8_lossy(&words);
        if let Some(last) = words.lines().rfind(|line| !line.trim().is_empty()) {
            failure.push_str(": ");
            failure.push_str(last.trim());
        }
    }
    let cpu_s = watch.cpu_s();
    Ok(Run { samples: watch.samples, cpu_s, work_s, failure })
}

/// A process of ours; dropping it ends it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is only waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that is being watched.
struct Watch<'p> {
    program: Running,
    plan: &'p Plan,
    begun: Instant,
    samples: Vec<Sample>,
    ticks: u64,
    /// When it is to be trimmed next.
    trim_at: Option<Instant>,
}

impl<'p> Watch<'p> {
    fn new(program: Running, plan: &'p Plan, trims: bool) -> Self {
        let begun = Instant::now();
        let trim_at = trims.then(|| begun + TRIM_EVERY);
        Self { program, plan, begun, samples: Vec::new(), ticks: 0, trim_at }
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds, shown rounded")]
    fn cpu_s(&self) -> f64 {
        self.ticks as f64 / clock_ticks_per_second() as f64
    }

    /// Looks once, and waits until it is time for the next look.
    fn look(&mut self) {
        let family = family::look(self.program.0.id());
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        // What has just ended has nothing any more.
        if family.rss.0 > 0 {
            self.samples.push(Sample { at_ms, rss: family.rss });
        }
        self.ticks = self.ticks.max(family.ticks);
        if self.trim_at.is_some_and(|at| Instant::now() > at) {
            for pid in family::members(self.program.0.id()) {
                // One that never waits, or has ended, is left alone this time.
                let _ = Process::open(pid)
                    .ok()
                    .map(|process| allocator::trim(process, Duration::from_millis(50)));
            }
            self.trim_at = Some(Instant::now() + TRIM_EVERY);
        }
        std::thread::sleep(self.plan.every);
    }

    fn ended(&mut self) -> Option<String> {
        match self.program.0.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!("the program ended early ({status})")),
            Err(error) => Some(format!("the program was lost: {error}")),
        }
    }

    fn for_so_long(&mut self, time: Duration, stop: &dyn Fn() -> bool) -> Option<String> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if stop() {
                return Some("interrupted".into());
            }
            self.look();
            if let Some(failure) = self.ended() {
                return Some(failure);
            }
        }
        None
    }

    /// Watches until `other` has ended, which makes the program work, or the program itself.
    fn until_ended(
        &mut self,
        mut other: Option<&mut Running>,
        limit: Duration,
        stop: &dyn Fn() -> bool,
    ) -> Option<String> {
        let name = if other.is_some() { "the load" } else { "the program" };
        let until = Instant::now() + limit;
        loop {
            self.look();
            let ended = match &mut other {
                Some(other) => {
                    if let Some(failure) = self.ended() {
                        return Some(failure);
                    }
                    other.0.try_wait()
                }
                None => self.program.0.try_wait(),
            };
            match ended {
                Ok(Some(status)) if status.success() => return None,
                Ok(Some(status)) => return Some(format!("{name} failed ({status})")),
                Ok(None) => {}
                Err(error) => return Some(format!("{name} was lost: {error}")),
            }
            if stop() {
                return Some("interrupted".into());
            }
            if Instant::now() > until {
                return Some(format!("{name} did not end in {limit:?}"));
            }
        }
    }

    /// Asks the program to end, and ends it if it does not.
    fn end(&mut self) {
        let members = family::members(self.program.0.id());
        // It may have ended by itself.
        let _ = end::ask(self.program.0.id());
        let until = Instant::now() + ENDING;
        while Instant::now() < until {
            if !matches!(self.program.0.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Workers that outlive their parent would be there in the next run.
        for pid in members.into_iter().skip(1) {
            let _ = end::ask(pid);
        }
    }
}

/// A file without a name: it goes when nobody has it open.
fn unnamed() -> io::Result<std::fs::File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(std::env::temp_dir())
}
