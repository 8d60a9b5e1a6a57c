//! Is the line right of a thread that is stopped anywhere?
//!
//! `workloads/marked.py` keeps on each line in a variable which line it is. Its threads are stopped
//! at random moments; each frame must be on a line that its own variable allows, called from where
//! it can be called, and the line must be what the interpreter's own tables say of that instruction.
//!
//! `workloads/parked.py` can be asked to hold its threads wherever they are and to tell all their
//! frames and variables, which must be those that are seen from outside.
//!
//! `MEMWHY_STOPS=1000` makes so many stops of each interpreter, for the long form.

use memwhy::model::{Case, Frame, LocalKind, ThreadFacts};
use memwhy::{NativeDetail, Options};
use memwhy_testkit::{Interpreter, Workload, interpreters, script};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Stops of each interpreter where nobody asks for more.
const STOPS: usize = 12;

/// What is true of the marked program, and what was seen of it.
struct Marked {
    label: String,
    file: String,
    allowed: BTreeMap<u32, BTreeSet<u32>>,
    calls: BTreeMap<u32, BTreeSet<String>>,
    frames: usize,
    lines: BTreeSet<u32>,
    /// Code, instruction and what we said of it, to be asked about afterwards.
    said: BTreeMap<(u64, Option<u32>), Frame>,
}

fn by_line<T: Ord>(value: &Value, item: impl Fn(&Value) -> T) -> BTreeMap<u32, BTreeSet<T>> {
    let lines = value.as_object().expect("an object");
    let items = |value: &Value| value.as_array().expect("a list").iter().map(&item).collect();
    lines.iter().map(|(line, value)| (line.parse().expect("a line"), items(value))).collect()
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().expect("a number")).expect("small")
}

impl Marked {
    fn new(label: &str, ready: &Value) -> Self {
        Self {
            label: label.to_owned(),
            file: ready["file"].as_str().expect("a name").to_owned(),
            allowed: by_line(&ready["allowed"], number),
            calls: by_line(&ready["calls"], |name| name.as_str().expect("a name").to_owned()),
            frames: 0,
            lines: BTreeSet::new(),
            said: BTreeMap::new(),
        }
    }

    /// Checks the marked frames of one thread.
    fn check(&mut self, thread: &ThreadFacts) {
        let label = &self.label;
        let marked: Vec<&Frame> = thread.frames.iter().filter(|f| f.file == self.file).collect();
        let outermost = thread.frames.iter().rev().take(3);
        let outermost: Vec<&str> = outermost.map(|frame| base(&frame.function)).collect();
        let begun = outermost.iter().all(|name| name.contains("bootstrap") || *name == "run");
        assert!(begun, "{label}: the stack is cut: {outermost:?}");
        for (at, frame) in marked.iter().enumerate() {
            self.said.entry((frame.code.0, frame.instruction)).or_insert_with(|| (*frame).clone());
            self.frames += 1;
            let name = base(&frame.function);
            let local = |name: &str| frame.locals.iter().find(|local| local.name == name);
            if let Some(who) = local("who") {
                let expected =
                    if name == "__init__" { "'Maker'".into() } else { format!("'{name}'") };
                assert_eq!(who.preview.as_ref(), Some(&expected), "{label}: {frame:#?}");
                assert_eq!(who.kind, LocalKind::Argument, "{label}: {frame:#?}");
            }
            let Some(line) = frame.line else { continue };
            self.lines.insert(line);
            let callee = at.checked_sub(1).and_then(|at| marked.get(at));
            if let Some(callee) = callee {
                let calls = &self.calls[&line];
                let inner = base(&callee.function);
                assert!(calls.contains(inner), "{label}: line {line} calls {calls:?}, not {inner}");
            }
            // Comprehensions and lambdas have no variable of the kind; they are on the line of
            // whoever calls them.
            if name.starts_with('<') {
                continue;
            }
            let mark = local("at")
                .map_or(Ok(0), |at| at.preview.as_deref().unwrap_or_default().parse::<u32>());
            let mark = mark.unwrap_or_else(|_| panic!("{label}: {frame:#?}"));
            let allowed = &self.allowed[&line];
            let right = match callee {
                // Who calls has set it before.
                Some(_) if allowed.contains(&line) => mark == line,
                _ => allowed.contains(&mark),
            };
            assert!(right, "{label}: on line {line} of {name} with {mark}, not in {allowed:?}");
        }
    }

    /// Compares what was said of each instruction with the interpreter's own tables.
    fn compare(&self, tables: &Value) {
        let label = &self.label;
        for ((code, instruction), frame) in &self.said {
            let table = &tables[code.to_string()];
            assert!(table.is_object(), "{label}: no code at {code:#x}: {frame:#?}");
            assert_eq!(table["name"].as_str(), Some(frame.function.as_str()), "{label}");
            assert_eq!(table["file"].as_str(), Some(frame.file.as_str()), "{label}");
            let Some(instruction) = *instruction else {
                assert_eq!(frame.line, table["first"].as_u64().map(small), "{label}: {frame:#?}");
                continue;
            };
            let within =
                |range: &&Value| (number(&range[0])..number(&range[1])).contains(&instruction);
            let ranges = table["lines"].as_array().expect("ranges");
            let line = ranges.iter().find(within).and_then(|range| range[2].as_u64()).map(small);
            assert_eq!(frame.line, line, "{label}: instruction {instruction} of {frame:#?}");
            let Some(positions) = table["positions"].as_array() else { continue };
            let said = &positions[instruction as usize / 2];
            let part = |at: usize| said[at].as_u64().map(small);
            let span = frame.span.map(|span| (span.end_line, span.column, span.end_column));
            let columns = part(1).zip(part(2)).zip(part(3));
            assert_eq!(span, columns.map(|((a, b), c)| (a, b, c)), "{label}: {frame:#?}");
        }
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("small")
}

/// The last part of a qualified name.
fn base(function: &str) -> &str {
    function.rsplit('.').next().unwrap_or(function)
}

fn look(pid: u32) -> Case {
    let options = Options {
        previews: true,
        look: Duration::ZERO,
        native: NativeDetail::Names,
        ..Options::default()
    };
    memwhy::look(pid, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn stops() -> usize {
    std::env::var("MEMWHY_STOPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STOPS)
}

fn marked(python: &Interpreter) {
    let mut workload = Workload::start(&python.path, &script("marked.py"), &[]);
    let ready = workload.ready().clone();
    let mut truth = Marked::new(&python.label, &ready);
    let names: Vec<&str> =
        ready["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    let (mut merged, mut at_work) = (0, 0);
    for _ in 0..stops() {
        let case = look(workload.pid());
        let label = &python.label;
        assert!(case.problems.is_empty(), "{label}: {:?}", case.problems);
        let threads: Vec<&ThreadFacts> =
            case.threads.iter().filter(|thread| thread.name.starts_with("marked-")).collect();
        let seen: Vec<&str> = threads.iter().map(|thread| thread.name.as_str()).collect();
        assert_eq!(seen, names, "{label}");
        let idents: Vec<Option<u64>> = threads.iter().map(|thread| Some(thread.ident)).collect();
        let said = ready["idents"].as_array().expect("idents");
        assert_eq!(idents, said.iter().map(Value::as_u64).collect::<Vec<_>>(), "{label}");
        assert!(case.threads.iter().filter(|thread| thread.holds_gil).count() <= 1, "{label}");
        for thread in threads {
            truth.check(thread);
            // Each Python frame is run by one of the C functions; free-threaded builds aside, all
            // but one of these threads wait for the GIL.
            assert_eq!(thread.native.ended, None, "{label}: {:#?}", thread.native);
            let runs: u32 = thread.native.frames.iter().map(|frame| frame.runs).sum();
            assert_eq!(runs as usize, thread.frames.len(), "{label}: {thread:#?}");
            merged += 1;
            at_work += usize::from(thread.frames.iter().any(|frame| frame.file == truth.file));
        }
    }
    truth.compare(&workload.command("tables"));
    assert!(at_work * 10 > merged * 9, "{}: {at_work} of {merged}", python.label);
    eprintln!(
        "{}: {} stops, {} frames on {} lines",
        python.label,
        stops(),
        truth.frames,
        truth.lines.len()
    );
}

#[test]
fn no_line_is_wrong_wherever_a_thread_is_stopped() {
    for python in interpreters() {
        marked(python);
    }
}

/// Compares every frame of a parked thread with the interpreter's own account, and every variable;
/// returns how many of both there were.
fn compare_frames(label: &str, thread: &ThreadFacts, told: &Value) -> (usize, usize) {
    let told = told.as_array().expect("frames");
    let said: Vec<(&str, &str, Option<u64>)> = told
        .iter()
        .map(|one| {
            (one[0].as_str().expect("a name"), one[1].as_str().expect("a file"), one[2].as_u64())
        })
        .collect();
    let seen: Vec<(&str, &str, Option<u64>)> = thread
        .frames
        .iter()
        .map(|frame| (frame.function.as_str(), frame.file.as_str(), frame.line.map(u64::from)))
        .collect();
    assert_eq!(seen, said, "{label}");
    let mut variables = 0;
    for (frame, one) in thread.frames.iter().zip(told) {
        let Some(known) = one[3].as_object() else { continue };
        let seen: BTreeSet<&str> = frame.locals.iter().map(|local| local.name.as_str()).collect();
        let known_names: BTreeSet<&str> = known.keys().map(String::as_str).collect();
        assert_eq!(seen, known_names, "{label}: {frame:#?}");
        for local in &frame.locals {
            let truth = &known[&local.name];
            if let Some(repr) = truth[1].as_str().filter(|repr| repr.chars().count() < 100) {
                assert_eq!(local.preview.as_deref(), Some(repr), "{label}: {local:?} {frame:#?}");
            } else {
                assert_eq!(truth[0], local.value.to_string(), "{label}: {local:?} {frame:#?}");
            }
            variables += 1;
        }
    }
    (told.len(), variables)
}

fn parked(python: &Interpreter) {
    let label = &python.label;
    let mut workload = Workload::start(&python.path, &script("parked.py"), &[]);
    let (mut frames, mut variables) = (0, 0);
    for _ in 0..stops() {
        let told = workload.command("park");
        let case = look(workload.pid());
        assert!(case.problems.is_empty(), "{label}: {:?}", case.problems);
        for (name, told) in told.as_object().expect("threads") {
            let thread = case.threads.iter().find(|thread| thread.name == *name);
            let thread = thread.unwrap_or_else(|| panic!("{label}: no thread {name}"));
            let (more, values) = compare_frames(&format!("{label}: {name}"), thread, told);
            (frames, variables) = (frames + more, variables + values);
        }
        workload.command("go");
    }
    let stops = stops();
    assert!(variables > stops * 20, "{label}: only {variables} variables");
    eprintln!("{label}: {stops} stops, {frames} frames, {variables} variables");
}

#[test]
fn every_variable_of_a_thread_that_is_parked_anywhere_has_the_value_it_has() {
    for python in interpreters() {
        parked(python);
    }
}
