//! Are asyncio's tasks found, with the coroutines that they are in, as asyncio itself has them?

use memwhy::Options;
use memwhy::model::{Awaits, Case, TaskFacts, TaskState};
use memwhy_testkit::tools::venv;
use memwhy_testkit::{Turn, Workload, interpreters, script};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn find<'c>(case: &'c Case, address: &Value, label: &str) -> &'c TaskFacts {
    let found = case.tasks.iter().find(|task| address == task.addr.to_string().as_str());
    found.unwrap_or_else(|| panic!("{label}: no task at {address}"))
}

#[test]
fn tasks_are_those_that_asyncio_has_down_to_the_line() {
    // asyncio is of 3.4 and later.
    for python in interpreters().iter().filter(|python| python.version >= (3, 6, 0)) {
        // A build with `Py_DEBUG` has the same asyncio.
        let kinds = if python.label.ends_with('d') { 1 } else { 3 };
        for which in ["c", "python", "eager"].into_iter().take(kinds) {
            check(&python.path, &format!("{which} tasks of {}", python.label), which);
        }
    }
}

/// The interpreter with uvloop and gevent.
fn with_loops() -> Option<PathBuf> {
    Some(venv("loops-venv", None)?.join("bin/python"))
}

#[test]
fn tasks_of_uvloop_are_tasks() {
    let Some(python) = with_loops() else { return };
    check(&python, "uvloop", "uvloop");
}

#[test]
fn greenlets_are_where_they_say_that_they_are() {
    let Some(python) = with_loops() else { return };
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let workload = Workload::start(&python, &script("greenlets.py"), &[]);
    let truth = workload.ready();
    let case = memwhy::capture(workload.pid(), &Options::default()).expect("it runs");
    for one in truth["greenlets"].as_array().expect("greenlets") {
        let greenlet = find(&case, &one["address"], "gevent");
        assert_eq!(greenlet.state, TaskState::Waiting, "{greenlet:#?}");
        assert_eq!(chain(greenlet), one["chain"], "{greenlet:#?}");
    }
}

/// Functions and lines, the innermost first.
fn chain(task: &TaskFacts) -> Value {
    let frames = task.frames.iter().map(|frame| {
        let name = frame.function.rsplit('.').next().unwrap_or_default();
        serde_json::json!([name, frame.line])
    });
    Value::Array(frames.collect())
}

fn check(python: &Path, label: &str, which: &str) {
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let workload = Workload::start(python, &script("tasks.py"), &[("TASKS", which)]);
    let truth = workload.ready();
    if truth["skip"] == true {
        return;
    }
    let case = memwhy::capture(workload.pid(), &Options::default())
        .unwrap_or_else(|error| panic!("{label}: {error}"));
    let pending = case.tasks.iter().filter(|task| !task.state.is_over());
    let pending = pending.map(|task| task.addr.to_string()).collect::<BTreeSet<String>>();
    let all: BTreeSet<String> = serde_json::from_value(truth["all"].clone()).expect("addresses");
    assert_eq!(pending, all, "{label}");
    for address in truth["all"].as_array().into_iter().flatten() {
        let task = find(&case, address, label);
        assert!(!task.state.is_over(), "{label}: {task:?}");
        assert_eq!(task.tid, Some(workload.pid()), "{label}");
    }
    for one in truth["tasks"].as_array().into_iter().flatten() {
        let task = find(&case, &one["address"], label);
        assert_eq!(chain(task), one["chain"], "{label}");
    }
    assert_eq!(find(&case, &truth["done"], label).state, TaskState::Done, "{label}");
    let sleeper = &find(&case, &truth["sleeper"], label).awaits;
    let left = if let Some(Awaits::Time(Some(left))) = sleeper { *left } else { 0.0 };
    // uvloop keeps its timers in C.
    let told = which != "uvloop";
    assert_eq!((3000.0..3601.0).contains(&left), told, "{label}: {sleeper:?}");
    let gathered = &find(&case, &truth["gatherer"], label).awaits;
    let Some(Awaits::Several { tasks, of: 2 }) = gathered else { panic!("{label}: {gathered:?}") };
    for child in truth["children"].as_array().into_iter().flatten() {
        let place = case.tasks.iter().position(|t| child == t.addr.to_string().as_str());
        assert!(tasks.iter().any(|task| Some(*task as usize) == place), "{label}: {gathered:?}");
    }
    let (by, of) = (&truth["waits_for"][0], &truth["waits_for"][1]);
    let awaited = &find(&case, by, label).awaits;
    let Some(Awaits::Task(place)) = awaited else { panic!("{label}: {awaited:?}") };
    assert_eq!(*of, case.tasks[*place as usize].addr.to_string(), "{label}");
}
