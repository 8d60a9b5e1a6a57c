//! How is an interpreter of 3.14 and later told to run a script? By its own protocol, PEP 768.
//!
//! A path and a flag in the state of a thread, and a bit of its eval breaker: memory that is there
//! for this. The script is a file without a name in our own `/proc`, so that it goes when we do; a
//! target that may not look there gets a file in its `/tmp`, removed as soon as it has run.
//!
//! Source: `Python/ceval_gil.c` (`_PyRunRemoteDebugger`), `Lib`'s `sys.remote_exec`, 3.14.

use crate::Refusal;
use crate::subject::{Python, Subject, runners};
use crate::sys::write;
use memwhy_model::Problems;
use memwhy_python::layout::debugger_support::{DebuggerSupport, PLEASE_STOP};
use memwhy_python::runtime;
use memwhy_target::live::freeze::{Asleep, Freeze};
use memwhy_target::{MemoryExt, Process};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a stop may last.
const PATIENCE: Duration = Duration::from_millis(500);

/// A script where the target can read it.
#[derive(Debug)]
pub(crate) struct Script {
    /// Kept open: its path is that of the open file.
    _file: File,
    /// How the target names it.
    pub(crate) path: String,
    /// The name to be removed, where it has one.
    named: Option<PathBuf>,
}

impl Script {
    /// Puts `text` where `process` can read it.
    pub(crate) fn new(process: &Process, text: &str) -> io::Result<Self> {
        let namespace = |of: PathBuf| fs::read_link(of.join("ns/pid")).ok();
        let same = namespace(PathBuf::from("/proc/self")) == namespace(process.path(""));
        let ours =
            fs::metadata("/proc/self").map(|meta| std::os::unix::fs::MetadataExt::uid(&meta));
        if same && process.uid() == ours.ok() {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .mode(0o600)
                .custom_flags(libc::O_TMPFILE)
                .open(std::env::temp_dir())?;
            file.write_all(text.as_bytes())?;
            let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            return Ok(Self { _file: file, path, named: None });
        }
        let name = format!("memwhy-{}.py", std::process::id());
        let path = process.path("root").join("tmp").join(&name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let script = Self {
            _file: file.try_clone()?,
            path: format!("/tmp/{name}"),
            named: Some(path.clone()),
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        if let Some(uid) = process.uid() {
            chown(&path, Some(uid), None)?;
        }
        file.write_all(text.as_bytes())?;
        Ok(script)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Some(path) = &self.named {
            // It may be gone already, with the container that it was in.
            let _ = fs::remove_file(path);
        }
    }
}

/// Has a running thread run `script`; returns for how long the process stood still.
///
/// # Errors
/// [`Refusal::NoThread`] if no thread runs bytecode; [`Refusal::Lacks`] if the interpreter does not
/// offer it, or the user forbade it. Nothing was changed then.
pub(crate) fn hand_over(
    subject: &Subject,
    python: &Python,
    script: &Script,
) -> Result<Duration, Refusal> {
    let pid = subject.process.pid;
    let begun = Instant::now();
    let mut unheard = Problems::default();
    let freeze = Freeze::stop(&subject.process, PATIENCE, Asleep::Spared, &mut unheard)?;
    let now = subject.now();
    let support = python.interpreter.runtime.and_then(|at| DebuggerSupport::read(&now, at));
    let support = support.ok_or(Refusal::Lacks("support for debuggers (PEP 768)"))?;
    let interpreters = runtime::interpreters(&now, &python.interpreter, &mut Problems::default());
    let main = interpreters.first().ok_or(Refusal::Lacks("interpreter whose state can be read"))?;
    if now.array::<4>(main.addr.at(support.enabled)) != Ok([1, 0, 0, 0]) {
        return Err(Refusal::Lacks("support for debuggers that is switched on"));
    }
    let inner: Vec<u32> = runners(&freeze).into_iter().map(|tid| subject.inner_tid(tid)).collect();
    let thread = main.threads.iter().find(|t| t.tid.is_some_and(|tid| inner.contains(&tid)));
    let thread = thread.ok_or_else(|| Refusal::NoThread(vec!["none runs bytecode".into()]))?;
    let waiting = now.array::<4>(thread.state.at(support.pending_call));
    if waiting != Ok([0; 4]) {
        return Err(Refusal::NoThread(vec!["another script waits to be run".into()]));
    }
    let mut path = script.path.clone().into_bytes();
    path.push(0);
    if path.len() as u64 > support.script_path_size {
        return Err(Refusal::Lacks("room for the path of a script"));
    }
    let breaker = thread.state.at(support.eval_breaker);
    let bits = now.u64(breaker).map_err(|_| Refusal::Lacks("eval breaker"))? | PLEASE_STOP;
    write::write(
        pid,
        &[
            (thread.state.at(support.script_path), &path),
            (thread.state.at(support.pending_call), &1i32.to_le_bytes()),
            (breaker, &bits.to_le_bytes()),
        ],
    )?;
    drop(freeze);
    Ok(begun.elapsed())
}
