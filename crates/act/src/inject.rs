//! How does a piece of Python code come to run in a process that was not prepared for it?
//!
//! By the first of three ways that applies. None calls into the interpreter at a random point, and
//! none steps a thread.
//!
//! | way | when |
//! |---|---|
//! | a borrowed thread | some thread waits in the kernel |
//! | the interpreter's debugger support (PEP 768) | 3.14 and later, the main thread runs bytecode |
//! | the interpreter's pending calls | before, the main thread runs bytecode |

use crate::Refusal;
use crate::borrow;
use crate::channel::{Channel, Listener};
use crate::frame::{Argument, Call};
use crate::subject::{Python, Subject};
use memwhy_model::Problems;
use memwhy_python::runtime;
use memwhy_target::Process;
use std::io;
use std::time::{Duration, Instant};

/// What makes the connection; see the file.
const FIRST: &str = include_str!("payload/first.py");
/// What runs behind it; see the file.
const SESSION: &str = include_str!("payload/session.py");
/// `PyGILState_UNLOCKED`: what `PyGILState_Ensure` answers a thread that did not have the GIL.
const UNLOCKED: u64 = 1;

/// How the code came to run.
#[derive(Clone, Debug)]
pub struct Injected {
    /// In words.
    pub how: String,
    /// For how long the process stood still, all tries together.
    pub paused: Duration,
}

/// Runs the session's code in a thread of its own in the target.
pub(crate) fn inject(
    subject: &Subject,
    patience: Duration,
) -> Result<(Channel, Injected), Refusal> {
    let python = subject.python()?;
    let listener = Listener::open(&subject.process)?;
    let text = bootstrap(&listener.address);
    let until = Instant::now() + patience;
    let calls = [
        Call { function: python.ensure, argument: Argument::Number(0) },
        Call { function: python.run, argument: Argument::Text },
        Call { function: python.release, argument: Argument::Number(UNLOCKED) },
    ];
    let holders = || gil_holders(subject, &python);
    let borrowed = borrow::patiently(subject, &calls, text.as_bytes(), holders, until)?;
    let how = format!("borrowed thread {}, which waits in {}", borrowed.tid, borrowed.waiting_in);
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
    let mut channel =
        listener.accept(subject.process.pid, left).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Refusal::NotBegun { how: "a borrowed thread" },
            _ => error.into(),
        })?;
    channel.code(SESSION).map_err(Refusal::Lost)?;
    Ok((channel, Injected { how, paused: borrowed.paused }))
}

/// The threads that hold a GIL: `PyGILState_Ensure` would be a second time for them.
fn gil_holders(subject: &Subject, python: &Python) -> Vec<u32> {
    let now = subject.now();
    let interpreters = runtime::interpreters(&now, &python.interpreter, &mut Problems::default());
    let threads = interpreters.iter().flat_map(|interpreter| &interpreter.threads);
    let inner: Vec<u32> =
        threads.filter(|thread| thread.holds_gil).filter_map(|thread| thread.tid).collect();
    let process = &subject.process;
    process.tids().into_iter().filter(|tid| inner.contains(&inner_tid(process, *tid))).collect()
}

/// The number of a thread in its own pid namespace.
fn inner_tid(process: &Process, tid: u32) -> u32 {
    let path = process.path("task").join(tid.to_string()).join("status");
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line.and_then(|line| line.split_ascii_whitespace().last()?.parse().ok()).unwrap_or(tid)
}

/// The code that `PyRun_SimpleString` gets: it leaves no name in `__main__`, and nothing that it
/// raises gets out (an exception would be printed, `SystemExit` would end the process).
fn bootstrap(address: &str) -> String {
    let first = FIRST.replace("ADDRESS", address).replace('\\', "\\\\");
    format!("try:\n exec('''{first}''',{{}})\nexcept BaseException:\n pass\n")
}
