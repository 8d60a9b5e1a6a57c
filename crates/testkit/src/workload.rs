//! How is a Python program brought into a known state and kept there?
//!
//! The programs are in `workloads/`; the conversation is described in `workloads/_protocol.py`.

use serde_json::Value;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a workload may take to get ready, or to answer: the truth of two million objects takes
/// some seconds, and machines that test are busy.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The path of `workloads/NAME` in this checkout.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workloads").join(name)
}

/// A running workload. Dropping it ends the process.
#[derive(Debug)]
pub struct Workload {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    ready: Value,
}

impl Workload {
    /// Starts `script` and waits until it is ready.
    ///
    /// # Panics
    /// If it does not get ready; see [`Workload::try_start`].
    #[must_use]
    pub fn start(python: &Path, script: &Path, env: &[(&str, &str)]) -> Self {
        Self::try_start(python, script, env, PATIENCE).unwrap_or_else(|error| {
            panic!("{} {}: {error}", python.display(), script.display());
        })
    }

    /// Starts `script` and waits until it is ready, for so long.
    ///
    /// The variables that change how Python or malloc behave are taken out of the environment;
    /// `env` is then added.
    ///
    /// # Errors
    /// If it cannot be started, ends, says something else, or takes too long. It is not left
    /// running. What it wrote to stderr went to ours.
    pub fn try_start(
        python: &Path,
        script: &Path,
        env: &[(&str, &str)],
        patience: Duration,
    ) -> io::Result<Self> {
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        for (name, _) in std::env::vars_os().filter(|(name, _)| changes_behaviour(name)) {
            command.env_remove(name);
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONHASHSEED", "0");
        command.envs(env.iter().copied());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let (sender, lines) = mpsc::channel();
        let mut workload = Self { child, stdin, lines, ready: Value::Null };
        let stdout = stdout.ok_or_else(|| io::Error::other("it has no stdout"))?;
        // Ends with the process: then the pipe is closed, or nobody listens any more.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let line = workload.next_line(patience)?;
        let json = line
            .strip_prefix("READY ")
            .ok_or_else(|| io::Error::other(format!("said {line:?} instead of READY")))?;
        workload.ready = serde_json::from_str(json)?;
        Ok(workload)
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said when it was ready.
    #[must_use]
    pub const fn ready(&self) -> &Value {
        &self.ready
    }

    /// Sends a command and returns the answer.
    ///
    /// # Panics
    /// If there is none, or it is an error.
    #[track_caller]
    pub fn command(&mut self, command: &str) -> Value {
        match self.try_command(command, PATIENCE) {
            Ok(answer) => match answer.get("error") {
                None => answer,
                Some(error) => panic!("{command}: {error}"),
            },
            Err(error) => panic!("{command}: {error}"),
        }
    }

    /// Sends a command and waits for the answer, for so long.
    ///
    /// # Errors
    /// If the process is gone, is silent, or does not answer in JSON. An answer that says `error`
    /// is an answer.
    pub fn try_command(&mut self, command: &str, patience: Duration) -> io::Result<Value> {
        let stdin = self.stdin.as_mut().ok_or_else(|| io::Error::other("it has no stdin"))?;
        stdin.write_all(format!("{command}\n").as_bytes())?;
        stdin.flush()?;
        let line = self.next_line(patience)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Waits for an answer that comes later than the command's first one.
    ///
    /// # Errors
    /// As [`Workload::try_command`].
    pub fn next_answer(&mut self) -> io::Result<Value> {
        Ok(serde_json::from_str(&self.next_line(PATIENCE)?)?)
    }

    fn next_line(&mut self, patience: Duration) -> io::Result<String> {
        let begun = Instant::now();
        self.lines.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                io::Error::new(io::ErrorKind::TimedOut, format!("silent for {patience:?}"))
            }
            RecvTimeoutError::Disconnected => {
                let status = self.child.wait().map_or_else(|e| e.to_string(), |s| s.to_string());
                io::Error::other(format!("ended after {:?}: {status}", begun.elapsed()))
            }
        })
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // A forked copy that holds the process (`hold`) ends when its stdin does.
        drop(self.stdin.take());
        // Already ended is as good, and there is nobody to tell anything else.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a variable would make a test depend on who runs it.
fn changes_behaviour(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("PYTHON")
        || name.starts_with("MALLOC_")
        || name.starts_with("LD_")
        || name == "GLIBC_TUNABLES"
}

#[cfg(test)]
mod tests {
    use super::{Workload, script};
    use crate::{Interpreter, Truth, interpreters, require};
    use serde_json::Value;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    fn one_python() -> Option<&'static Interpreter> {
        let plain = |one: &&Interpreter| !one.label.ends_with(['d', 't']);
        interpreters().iter().rfind(plain).or_else(|| require(&["3"]).first().copied())
    }

    /// A shell stands for a workload here: what is tested is the conversation.
    fn shell(name: &str, text: &str) -> (PathBuf, PathBuf) {
        let path = std::env::temp_dir().join(format!("memwhy-{}-{name}.sh", std::process::id()));
        std::fs::write(&path, text).unwrap();
        (PathBuf::from("/bin/sh"), path)
    }

    fn is_alive(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn a_dropped_workload_is_gone() {
        let text = "echo 'READY {\"n\": 7}'; while read line; do echo \"[\\\"$line\\\"]\"; done";
        let (sh, path) = shell("dropped", text);
        let mut workload = Workload::start(&sh, &path, &[]);
        assert_eq!(workload.ready()["n"], 7);
        assert_eq!(workload.command("hello")[0], "hello");
        let pid = workload.pid();
        assert!(is_alive(pid));
        drop(workload);
        assert!(!is_alive(pid));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_workload_that_fails_or_hangs_is_an_error_and_gone() {
        let start = |name: &str, text: &str| {
            let (sh, path) = shell(name, text);
            let patience = Duration::from_millis(300);
            let error = Workload::try_start(&sh, &path, &[], patience).unwrap_err().to_string();
            std::fs::remove_file(path).unwrap();
            error
        };
        assert!(start("fails", "exit 3").contains("exit status: 3"));
        assert!(start("hangs", "exec sleep 60").contains("silent"));
        assert!(start("babbles", "echo hello").contains("hello"));
    }

    #[test]
    fn a_workload_answers_and_can_be_held() {
        let Some(python) = one_python() else { return };
        let mut workload = Workload::start(&python.path, &script("main_heap_hole.py"), &[]);
        assert_eq!(workload.ready()["pid"], workload.pid());
        assert_eq!(workload.ready()["expected"]["cause"], "allocator-retention");
        assert_eq!(workload.command("ping")["beats"], 1);
        assert_eq!(workload.command("ping")["beats"], 2);

        let path = std::env::temp_dir().join(format!("memwhy-{}.truth", std::process::id()));
        let said = workload.command(&format!("hold truth {} edges=1", path.display()));
        let truth = Truth::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(workload.command("resume")["resumed"], true);
        assert_eq!(said["objects"], truth.len());
        assert!(truth.by_type()["builtins.dict"].0 > 100);
        let listed = |addr| truth.find(addr).is_some();
        assert!(truth.types.iter().all(|kind| listed(kind.addr)));
        for at in 0..truth.len() {
            assert!(truth.referents(at).unwrap().iter().all(|addr| listed(*addr)));
        }

        let kib = |answer: &Value, name: &str| answer[name].as_u64().unwrap();
        let trimmed = workload.command("trim");
        assert!(kib(&trimmed, "before_rss_kib") > 10 * kib(&trimmed, "after_rss_kib"));
        assert_eq!(workload.command("ping")["beats"], 3);
        let stats = workload.command("debugmallocstats");
        assert!(kib(&stats, "allocated_bytes") > 0);
        let nonsense = workload.try_command("nonsense", Duration::from_secs(30)).unwrap();
        assert!(nonsense["error"].is_string());
    }
}
