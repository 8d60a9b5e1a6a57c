//! Does memwhy see what gdb sees, with and without CPython's python-gdb.py?
//!
//! A program at work is stopped at random moments; memwhy and then gdb look at the same stopped
//! process. C functions must be the same to the program counter, Python frames to the line,
//! variables to the value.
//!
//! `MEMWHY_STOPS=100` makes so many stops, for the long form.

use memwhy::model::{Case, Frame, ThreadFacts};
use memwhy::{NativeDetail, Options};
use memwhy_testkit::{Interpreter, Workload, require, script};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Stops of each interpreter where nobody asks for more.
const STOPS: usize = 2;
/// Versions that are built with debug information and come with their python-gdb.py.
const VERSIONS: [&str; 9] = ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"];

/// The script that CPython's build leaves beside the program.
fn python_gdb(python: &Interpreter) -> Option<PathBuf> {
    let program = python.path.canonicalize().ok()?;
    let name = format!("{}-gdb.py", program.file_name()?.to_str()?);
    Some(program.with_file_name(name)).filter(|path| path.exists())
}

fn signal(pid: u32, name: &str) {
    let done = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(done.is_ok_and(|status| status.success()), "kill {name} {pid}");
}

/// Waits until all threads have stopped.
fn stopped(pid: u32) {
    let states = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
        let stat = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.ok()?.path().join("stat")).ok()
        };
        let state = |stat: String| stat.rsplit_once(')').map(|(_, rest)| rest.starts_with(" T"));
        tasks.filter_map(stat).filter_map(state).collect::<Vec<bool>>()
    };
    for _ in 0..1000 {
        if states().iter().all(|stopped| *stopped) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not stop");
}

fn ask_gdb(pid: u32, python_gdb: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/threads_of_gdb.py");
    let output = Command::new("gdb")
        .args(["-nx", "-batch", "-p", &pid.to_string(), "-x"])
        .arg(python_gdb)
        .arg("-x")
        .arg(script)
        .output()
        .expect("gdb runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("THREADS "));
    let line = line.unwrap_or_else(|| {
        panic!("gdb: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    });
    serde_json::from_str(line).expect("JSON")
}

/// Name and line of each frame that `py-bt` prints; `None` where it could not read one.
fn frames_of(text: &str) -> Option<Vec<(String, u32)>> {
    if text.contains("unable to read") || text.contains("gdb.error") {
        return None;
    }
    let frames = text.lines().filter_map(|line| {
        // Up to 3.8 without the word `File` in some places: `#5 Frame 0x…, for file x, line 3, in f (…)`.
        let (_, rest) = line.split_once("File \"").or_else(|| line.split_once("for file "))?;
        if is_cleanup(rest) {
            return None;
        }
        let (_, rest) = rest.split_once(", line ")?;
        let (number, name) = rest.split_once(", in ")?;
        let name = name.split_whitespace().next().unwrap_or_default();
        // A call that has not come to its first line yet.
        let number = if number == "?" { Some(0) } else { number.parse().ok() };
        Some((name.to_owned(), number?))
    });
    Some(frames.collect())
}

/// The address of each frame that `py-bt-full` prints.
fn addresses_of(full: &str) -> Vec<&str> {
    let frames = full.lines().filter_map(|line| line.split_once(" Frame 0x"));
    let is_call =
        |rest: &str| !rest.split_once("for file ").is_some_and(|(_, file)| is_cleanup(file));
    let calls = frames.filter(|(_, rest)| is_call(rest));
    calls.filter_map(|(_, rest)| Some(rest.split_once(',')?.0)).collect()
}

/// From 3.12 on gdb shows what sees to it that `__init__` returns nothing as a call in a file of that
/// name; Python does not.
fn is_cleanup(file: &str) -> bool {
    file.starts_with("__init__\"") || file.starts_with("__init__,")
}

/// Whether gdb counts a frame twice. While a call begins, its loop is on the C stack and its frame is
/// not yet tied to that loop; python-gdb.py then goes through the frames around once for each loop.
fn counts_twice(addresses: &[&str]) -> bool {
    addresses.iter().collect::<BTreeSet<_>>().len() < addresses.len()
}

/// The whole numbers among the variables that `py-locals` prints.
fn numbers_of(text: &str) -> BTreeMap<String, i64> {
    // From 3.12 on it goes on with the frames around.
    let own = text
        .lines()
        .skip_while(|line| line.starts_with("Locals for "))
        .take_while(|line| !line.starts_with("Locals for "));
    let numbers = own.filter_map(|line| {
        let (name, value) = line.split_once(" = ")?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    numbers.collect()
}

/// The last part of a qualified name, which older versions do not have.
fn base(function: &str) -> &str {
    function.rsplit('.').next().unwrap_or(function)
}

fn numbers(frame: &Frame) -> BTreeMap<String, i64> {
    let number = |local: &memwhy::model::Local| {
        Some((local.name.clone(), local.preview.as_ref()?.parse().ok()?))
    };
    frame.locals.iter().filter_map(number).collect()
}

/// Whether that is the frame that gdb means. Up to 3.8 python-gdb.py takes steps back to earlier lines
/// for steps forward, 256 lines too far: past the end of the file.
fn is_meant(frame: &Frame, (name, line): &(String, u32)) -> bool {
    let own = frame.line.unwrap_or(0);
    let past_its_end = || {
        let text = std::fs::read_to_string(&frame.file).unwrap_or_default();
        *line as usize > text.lines().count()
    };
    base(&frame.function) == name
        && (own == *line || (*line > own && (line - own).is_multiple_of(256) && past_its_end()))
}

/// What was compared.
#[derive(Default)]
struct Compared {
    native: usize,
    python: usize,
    variables: usize,
    moved: usize,
    twice: usize,
    begun: usize,
}

/// Where each thread is, in C and in Python.
fn places(case: &Case) -> Vec<(u32, Vec<u64>, Vec<Option<u32>>)> {
    let place = |thread: &ThreadFacts| {
        let native = thread.native.frames.iter().map(|frame| frame.address.0);
        let python = thread.frames.iter().map(|frame| frame.instruction);
        (thread.tid, native.collect(), python.collect())
    };
    case.threads.iter().map(place).collect()
}

impl Compared {
    fn thread(&mut self, label: &str, thread: &ThreadFacts, gdb: &Value) {
        let pcs = gdb["pcs"].as_array().expect("a list").iter();
        let pcs: Vec<u64> = pcs.map(|pc| pc.as_u64().expect("a number")).collect();
        let own = thread.native.frames.iter().filter(|frame| !frame.inlined);
        let own: Vec<u64> = own.map(|frame| frame.address.0).collect();
        assert_eq!(own, pcs, "{label}: {:#?}", thread.native);
        self.native += own.len();
        let addresses = addresses_of(gdb["frames"].as_str().expect("text"));
        if counts_twice(&addresses) {
            self.twice += 1;
            return;
        }
        let Some(stack) = frames_of(gdb["stack"].as_str().expect("text")) else { return };
        assert_eq!(addresses.len(), stack.len(), "{label}: {}", gdb["frames"]);
        // gdb takes frames from the C stack, where one is before the thread has it and after.
        let begun = usize::from(stack.len() == thread.frames.len() + 1);
        self.begun += begun;
        let same = thread.frames.len() + begun == stack.len()
            && thread.frames.iter().zip(&stack[begun..]).all(|(own, gdb)| is_meant(own, gdb));
        assert!(same, "{label}: {stack:?} in gdb, {:#?}", thread.frames);
        self.python += thread.frames.len();
        if begun > 0 {
            return;
        }
        let Some(frame) = thread.frames.first() else { return };
        let (own, theirs) = (numbers(frame), numbers_of(gdb["locals"].as_str().expect("text")));
        for (name, value) in &theirs {
            assert_eq!(own.get(name), Some(value), "{label}: {name} in {frame:#?}");
        }
        self.variables += theirs.len();
    }
}

fn compare(python: &Interpreter) {
    let label = &python.label;
    let Some(python_gdb) = python_gdb(python) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{label} has no python-gdb.py");
        eprintln!("SKIPPED: {label} has no python-gdb.py");
        return;
    };
    let workload = Workload::start(&python.path, &script("marked.py"), &[]);
    let pid = workload.pid();
    let mut compared = Compared::default();
    for stop in 0..stops() {
        std::thread::sleep(Duration::from_millis(stop as u64 * 7 % 50));
        signal(pid, "-STOP");
        stopped(pid);
        let look = || {
            let options = Options {
                look: Duration::ZERO,
                native: NativeDetail::Lines,
                previews: true,
                ..Options::default()
            };
            memwhy::look(pid, &options).unwrap_or_else(|error| panic!("{label}: {error}"))
        };
        let case = look();
        // It stands still as before: we have not let it go.
        stopped(pid);
        let again = look();
        assert_eq!(places(&case), places(&again), "{label}: a look moved it");
        let gdb = ask_gdb(pid, &python_gdb);
        let moved = places(&again) != places(&look());
        signal(pid, "-CONT");
        // gdb lets a stopped process go on for a moment when it attaches; most often nothing happens
        // in that. If something did, they did not see the same.
        if moved {
            compared.moved += 1;
            continue;
        }
        assert_eq!(gdb.as_object().map(serde_json::Map::len), Some(case.threads.len()), "{label}");
        for thread in &case.threads {
            compared.thread(label, thread, &gdb[thread.tid.to_string()]);
        }
    }
    let Compared { native, python, variables, moved, twice, begun } = compared;
    assert!(twice <= 1 + stops() / 10, "{label}: gdb counts twice in {twice} of {} stops", stops());
    assert!(begun <= 1 + stops() / 5, "{label}: gdb has one more in {begun} of {} stops", stops());
    assert!(moved * 2 < stops().max(4), "{label}: it moved in {moved} of {} stops", stops());
    assert!(native > 0 && python > 0 && variables > 0, "{label}: {native} {python} {variables}");
    eprintln!(
        "{label}: {} stops, {native} C functions, {python} Python frames, {variables} variables; \
         gdb counted {twice} times twice, {begun} times one that begins or ends",
        stops() - moved
    );
}

fn stops() -> usize {
    std::env::var("MEMWHY_STOPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STOPS)
}

#[test]
fn a_frame_that_is_there_twice_is_noticed() {
    let line = |n: u32, at: &str| format!("#{n} Frame 0x{at}, for file a.py, line 3, in f (n=1)\n");
    let once = line(1, "7f00") + &line(2, "7f80") + "    f(1)\n";
    assert_eq!(addresses_of(&once), ["7f00", "7f80"]);
    assert!(!counts_twice(&addresses_of(&once)));
    assert!(counts_twice(&addresses_of(&(once + &line(3, "7f80")))));
}

#[test]
fn gdb_sees_the_same_functions_frames_and_variables() {
    if Command::new("gdb").arg("--version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no gdb here");
        eprintln!("SKIPPED: no gdb here");
        return;
    }
    for python in require(&VERSIONS) {
        compare(python);
    }
}
