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
use crate::borrow::{self, Shunned};
use crate::channel::{Channel, Listener};
use crate::debugger::{self, Script};
use crate::frame::{Argument, Call};
use crate::pending::{self, Handed};
use crate::subject::{Python, Subject};
use memwhy_model::Problems;
use memwhy_python::layout::debugger_support::DebuggerSupport;
use memwhy_python::runtime;
use std::io;
use std::time::{Duration, Instant};

/// What makes the connection; see the file.
const FIRST: &str = include_str!("payload/first.py");
/// What runs behind it; see the file.
const SESSION: &str = include_str!("payload/session.py");
/// `PyGILState_UNLOCKED`: what `PyGILState_Ensure` answers a thread that did not have the GIL.
const UNLOCKED: u64 = 1;
/// For that long only threads that wait are looked for: they are put off by nothing.
const PREFER_WAITING: Duration = Duration::from_millis(300);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// How the code came to run.
#[derive(Clone, Debug)]
pub struct Injected {
    /// In words.
    pub how: String,
    /// For how long the process stood still, all tries together.
    pub paused: Duration,
}

/// Runs the session's code in a thread of its own in the target.
///
/// A thread that waits is looked for first, for a while; then one that runs bytecode, too.
pub(crate) fn inject(
    subject: &Subject,
    patience: Duration,
) -> Result<(Channel, Injected), Refusal> {
    let python = subject.python()?;
    let listener = Listener::open(&subject.process)?;
    let text = bootstrap(&listener.address);
    let begun = Instant::now();
    let mut paused = Duration::ZERO;
    let way = loop {
        let looked = Instant::now();
        let reasons = match borrow::look(subject) {
            Err(reasons) => reasons,
            Ok(()) => match borrow_one(subject, &python, &text) {
                Ok(way) => break way,
                Err(Refusal::NoThread(reasons)) => {
                    paused += looked.elapsed();
                    reasons
                }
                // The interpreter may be told all the same.
                Err(Refusal::Lacks(what)) => vec![format!("there is no {what}")],
                Err(other) => return Err(other),
            },
        };
        if begun.elapsed() > PREFER_WAITING {
            match tell_interpreter(subject, &python, &text) {
                Ok(way) => break way,
                Err(Refusal::NoThread(_) | Refusal::Lacks(_)) if begun.elapsed() < patience => {}
                Err(Refusal::NoThread(more)) => {
                    return Err(Refusal::NoThread([reasons, more].concat()));
                }
                Err(Refusal::Lacks(what)) => {
                    let none = format!("and the interpreter cannot be told: there is no {what}");
                    return Err(Refusal::NoThread([reasons, vec![none]].concat()));
                }
                Err(other) => return Err(other),
            }
        }
        std::thread::sleep(PAUSE);
    };
    let left = patience.saturating_sub(begun.elapsed()).max(Duration::from_secs(1));
    let accepted = listener.accept(subject.process.pid, left);
    let mut channel = accepted.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => Refusal::NotBegun { how: way.how.clone() },
        _ => error.into(),
    })?;
    if let Some(handed) = way.handed {
        handed.wipe(subject);
    }
    drop(way.script);
    channel.code(SESSION).map_err(Refusal::Lost)?;
    Ok((channel, Injected { how: way.how, paused: paused + way.paused }))
}

/// How it was done, and what has to stay until it has begun.
struct Way {
    how: String,
    paused: Duration,
    handed: Option<Handed>,
    script: Option<Script>,
}

fn borrow_one(subject: &Subject, python: &Python, text: &str) -> Result<Way, Refusal> {
    let calls = [
        Call { function: python.ensure, argument: Argument::Number(0) },
        Call { function: python.run, argument: Argument::Text },
        Call { function: python.release, argument: Argument::Number(UNLOCKED) },
    ];
    let shunned = Shunned {
        holders: || gil_holders(subject, python),
        futex: python.interpreter.build.free_threaded,
    };
    let borrowed = borrow::borrow(subject, &calls, text.as_bytes(), &shunned)?;
    let how = format!("borrowed thread {}, which waits in {}", borrowed.tid, borrowed.waiting_in);
    Ok(Way { how, paused: borrowed.paused, handed: None, script: None })
}

fn tell_interpreter(subject: &Subject, python: &Python, text: &str) -> Result<Way, Refusal> {
    let runtime = python.interpreter.runtime;
    let support = runtime.and_then(|at| DebuggerSupport::read(&subject.now(), at));
    if support.is_some() {
        let script = Script::new(&subject.process, text)?;
        let paused = debugger::hand_over(subject, python, &script)?;
        let how = "the interpreter's support for debuggers, PEP 768".into();
        return Ok(Way { how, paused, handed: None, script: Some(script) });
    }
    let how = "a pending call of the interpreter".into();
    match pending::hand_over(subject, python, text.as_bytes()) {
        Ok(handed) => Ok(Way { how, paused: handed.paused, handed: Some(handed), script: None }),
        Err(Refusal::Lacks(what)) if what == pending::ROOM => {
            // Where a path fits, a text that is read from there does.
            let script = Script::new(&subject.process, text)?;
            let read = format!("\"with open('{}') as f:exec(f.read(),{{}})\"", script.path);
            let text = guarded(&read);
            let handed = pending::hand_over(subject, python, text.as_bytes())?;
            Ok(Way { how, paused: handed.paused, handed: Some(handed), script: Some(script) })
        }
        Err(other) => Err(other),
    }
}

/// The threads that hold a GIL: `PyGILState_Ensure` would be a second time for them.
fn gil_holders(subject: &Subject, python: &Python) -> Vec<u32> {
    let now = subject.now();
    let interpreters = runtime::interpreters(&now, &python.interpreter, &mut Problems::default());
    let threads = interpreters.iter().flat_map(|interpreter| &interpreter.threads);
    let inner: Vec<u32> =
        threads.filter(|thread| thread.holds_gil).filter_map(|thread| thread.tid).collect();
    let tids = subject.process.tids().into_iter();
    tids.filter(|tid| inner.contains(&subject.inner_tid(*tid))).collect()
}

/// The code that `PyRun_SimpleString` gets.
fn bootstrap(address: &str) -> String {
    let first = FIRST.replace("ADDRESS", address).replace('\\', "\\\\");
    guarded(&format!("'''{first}'''"))
}

/// Runs a source, an expression: it leaves no name in `__main__`, and nothing that it raises gets
/// out (an exception would be printed, `SystemExit` would end the process).
fn guarded(source: &str) -> String {
    format!("try:\n exec({source},{{}})\nexcept BaseException:\n pass\n")
}
