//! Do the stacks that are read from outside agree with what an interpreter says of itself?
//!
//! `stacks.py` prints its threads through `sys._current_frames()` while they wait; every name,
//! file, line and local variable must be the same. For every CPython under `~/.pyenv/versions` and
//! `/usr/bin`; those that are missing are named, and with `CI=true` they are a failure.

use memwhy_model::{Addr, Frame, Problems};
use memwhy_native::Images;
use memwhy_python::find::{self, Interpreter};
use memwhy_python::frames::Stacks;
use memwhy_python::runtime::{self, InterpreterState};
use memwhy_python::thread_names::thread_names;
use memwhy_target::live::pages;
use memwhy_target::{Fault, Memory, Process, View};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SERIES: [&str; 9] = ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"];
const MOST_FRAMES: usize = 10_000;

/// A process that is killed when the test is done with it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn pythons() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let versions = Path::new(&home).join(".pyenv/versions");
    let mut installed: Vec<PathBuf> = std::fs::read_dir(versions)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    installed.sort();
    let mut found = Vec::new();
    for series in SERIES {
        let own = format!("{series}.");
        let of_series = installed.iter().filter(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with(&own))
        });
        let before = found.len();
        found.extend(of_series.map(|path| path.join(format!("bin/python{series}"))));
        found.extend([PathBuf::from(format!("/usr/bin/python{series}"))]);
        found.retain(|path| path.exists());
        if found.len() == before {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no Python {series} here");
            eprintln!("SKIPPED: no Python {series} here");
        }
    }
    found
}

fn start(python: &Path, mode: &str) -> (Running, Value) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stacks.py");
    let mut command = Command::new(python);
    command.args(["-S", "-E"]).arg(script).arg(mode).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let stdout = child.stdout.take().expect("a pipe");
    let running = Running(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    (running, serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}")))
}

struct Seen {
    view: View,
    python: Interpreter,
    interpreters: Vec<InterpreterState>,
    problems: Problems,
}

fn look(pid: u32) -> Seen {
    let process = Process::open(pid).expect("a process");
    let maps = process.maps().expect("maps");
    let present = pages::present(&process, &maps).expect("pages");
    let view = View::live(process, maps, present);
    let mut problems = Problems::default();
    let images = Images::of(&view);
    let python = find::find(&view, &images, &mut problems).unwrap_or_else(|e| panic!("{e}"));
    let interpreters = runtime::interpreters(&view, &python, &mut problems);
    Seen { view, python, interpreters, problems }
}

#[test]
fn stacks_are_what_the_interpreter_says() {
    for python in pythons() {
        let (running, truth) = start(&python, "wait");
        let mut seen = look(running.0.id());
        let label = format!("{} {}", python.display(), seen.python.build);
        assert_eq!(seen.interpreters.len(), 1, "{label}");
        let threads = &seen.interpreters[0].threads;
        assert_eq!(threads.len(), 4, "{label}");
        let modules = seen.interpreters[0].modules.expect("sys.modules");
        let names = thread_names(&seen.view, &seen.python.layouts, modules).expect("names");
        let mut stacks = Stacks::new(&seen.view, &seen.python.layouts);
        let mut compared = 0;
        for thread in threads {
            let ident = thread.ident.to_string();
            assert_eq!(
                names.get(&thread.ident).map(String::as_str),
                truth["names"][&ident].as_str()
            );
            let tid = thread.tid.unwrap_or_else(|| panic!("{label}: no thread number"));
            let task = format!("/proc/{}/task/{tid}", running.0.id());
            assert!(Path::new(&task).exists(), "{label}: no {task}");
            assert!(!thread.holds_gil, "{label}: all threads wait");
            let stack = stacks.of(thread.state, MOST_FRAMES, &mut seen.problems).frames;
            let Some(expected) = truth["threads"][&ident].as_array() else { continue };
            let said: Vec<(String, Option<u64>)> = expected.iter().map(name_and_line).collect();
            let read: Vec<(String, Option<u64>)> =
                stack.iter().map(|f| (f.function.clone(), f.line.map(u64::from))).collect();
            assert_eq!(read, said, "{label}");
            for (frame, expected) in stack.iter().zip(expected) {
                compared += 1;
                assert_eq!(Some(frame.file.as_str()), expected[1].as_str(), "{label}");
                check_locals(frame, &expected[3], &label);
            }
        }
        assert!(compared > 200, "{label}: only {compared} frames");
        assert!(seen.problems.is_empty(), "{label}: {:?}", seen.problems);
        eprintln!("{label}: {compared} frames");
    }
}

fn name_and_line(frame: &Value) -> (String, Option<u64>) {
    (frame[0].as_str().expect("a name").to_owned(), frame[2].as_u64())
}

fn check_locals(frame: &Frame, expected: &Value, label: &str) {
    let Some(expected) = expected.as_object() else { return };
    let mut said: Vec<(&str, u64)> =
        expected.iter().map(|(name, id)| (name.as_str(), id.as_u64().expect("an id"))).collect();
    let mut read: Vec<(&str, u64)> =
        frame.locals.iter().map(|local| (local.name.as_str(), local.value.0)).collect();
    said.sort_unstable();
    read.sort_unstable();
    assert_eq!(read, said, "{label}: {} line {:?}", frame.function, frame.line);
}

/// Memory in which one word in `one_in` is wrong.
struct Garbled<'a> {
    view: &'a View,
    one_in: u64,
    seed: u64,
}

impl Memory for Garbled<'_> {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        self.view.read(addr, buf)?;
        for (at, byte) in (addr.0..).zip(buf) {
            let mixed = ((at / 8) ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
            if mixed.is_multiple_of(self.one_in) {
                *byte ^= mixed.to_le_bytes()[0];
            }
        }
        Ok(())
    }
}

#[test]
fn garbled_memory_ends_in_problems_and_not_in_a_panic() {
    let pythons = pythons();
    for python in pythons.iter().step_by(3).chain(pythons.last()) {
        let (running, _) = start(python, "wait");
        let seen = look(running.0.id());
        let mut problems = Problems::default();
        for seed in 0..40 {
            let garbled = Garbled { view: &seen.view, one_in: 20 + 10 * seed, seed };
            let found = runtime::interpreters(&garbled, &seen.python, &mut problems);
            let mut stacks = Stacks::new(&garbled, &seen.python.layouts);
            for interpreter in found.iter().chain(&seen.interpreters) {
                let names = interpreter.modules.map(|modules| {
                    thread_names(&garbled, &seen.python.layouts, modules).unwrap_or_default()
                });
                assert!(names.is_none_or(|names| names.len() < 1 << 17));
                for thread in &interpreter.threads {
                    let stack = stacks.of(thread.state, MOST_FRAMES, &mut problems).frames;
                    assert!(stack.len() <= MOST_FRAMES);
                }
            }
        }
        assert!(!problems.is_empty(), "{}", python.display());
    }
}

#[test]
fn a_thread_that_runs_holds_the_gil() {
    for python in pythons() {
        let (running, _) = start(&python, "spin");
        // It may still be writing its line, without the GIL.
        let mut looks = (0..100).map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            look(running.0.id())
        });
        let spins = |seen: &Seen| seen.interpreters[0].threads.iter().any(|t| t.holds_gil);
        let label = python.display();
        let mut seen = looks.find(spins).unwrap_or_else(|| panic!("{label}: nobody has the GIL"));
        let [thread] = seen.interpreters[0].threads[..] else { panic!("{label}: one thread") };
        let mut stacks = Stacks::new(&seen.view, &seen.python.layouts);
        let stack = stacks.of(thread.state, MOST_FRAMES, &mut seen.problems).frames;
        let names: Vec<&str> = stack.iter().map(|frame| frame.function.as_str()).collect();
        assert_eq!(names, ["spin", "<module>"], "{label}");
    }
}
