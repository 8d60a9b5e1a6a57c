//! Are asyncio's tasks found, with the coroutines that they are in, as asyncio itself has them?

use memwhy::model::{Awaits, Case, Frame, TaskFacts, TaskState};
use memwhy::{Options, Values};
use memwhy_reason::analyses::Stayed;
use memwhy_report::Style;
use memwhy_report::text::TasksShown;
use memwhy_testkit::tools::venv;
use memwhy_testkit::{Turn, Workload, interpreters, require, script};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// Stops of a busy loop on each build; `MEMWHY_STOPS=1000` for the long form.
const STOPS: u64 = 4;

#[test]
fn tasks_of_a_busy_loop_are_where_asyncio_has_them_wherever_it_is_stopped() {
    let stops = std::env::var("MEMWHY_STOPS").ok().and_then(|text| text.parse().ok());
    let stops: u64 = stops.unwrap_or(STOPS);
    for python in interpreters().iter().filter(|python| python.version >= (3, 6, 0)) {
        let label = &python.label;
        let mut workload = Workload::start(&python.path, &script("busy_tasks.py"), &[]);
        let (mut tasks, mut running, mut frames) = (0, 0, 0);
        for stop in 0..stops {
            std::thread::sleep(Duration::from_millis(stop * 7 % 20));
            let truth = workload.command("stop");
            let options = Options { causes: false, ..Options::default() };
            let case = memwhy::capture(workload.pid(), &options).expect("it runs");
            let told = truth["tasks"].as_array().expect("tasks");
            for one in told {
                let task = find(&case, &one["address"], label);
                frames += task.frames.len();
                if one["runs"] == true {
                    assert_eq!(task.state, TaskState::Running, "{label}: {task:?}");
                    running += 1;
                    // Calls that the handler interrupted are of the thread, not of the task.
                    let (outermost, own) = (one["chain"].as_array(), chain(task));
                    let last = |chain: Option<&Vec<Value>>| chain?.last().map(|of| of[0].clone());
                    assert_eq!(last(own.as_array()), last(outermost), "{label}: {task:?}");
                } else {
                    assert_eq!(chain(task), one["chain"], "{label}: {task:?}");
                    assert!(!task.state.is_over(), "{label}: {task:?}");
                    assert_ne!(task.state, TaskState::Running, "{label}: {task:?}");
                }
            }
            let pending = case.tasks.iter().filter(|task| !task.state.is_over()).count();
            // One that is being made is there before asyncio knows of it; making it runs Python code.
            let makes = |frame: &Frame| {
                frame.function.ends_with("create_task")
                    && frame.file.ends_with("/asyncio/base_events.py")
            };
            let mut calls = case.threads.iter().flat_map(|thread| &thread.frames);
            let new = usize::from(pending > told.len() && calls.any(makes));
            assert_eq!(pending - new, told.len(), "{label}: {:#?}", case.tasks);
            tasks += pending;
            assert_eq!(workload.command("go"), serde_json::json!({}));
        }
        eprintln!(
            "{label}: {stops} stops, {tasks} tasks, {running} of them running, {frames} frames"
        );
        assert!(tasks as u64 > 10 * stops, "{label}: {tasks}");
    }
}

#[test]
fn an_earlier_look_tells_which_tasks_have_stayed() {
    for python in require(&["3.6", "3.12"]) {
        let label = &python.label;
        let workload = Workload::start(&python.path, &script("tasks.py"), &[("TASKS", "c")]);
        let capture = || memwhy::capture(workload.pid(), &Options::default()).expect("it runs");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stayed-{label}.memwhy"));
        let _ = fs::remove_dir_all(&folder);
        memwhy::write(&capture(), &folder, Values::LeftOut).expect("room");
        let earlier = memwhy::open_snapshot(&folder).expect("a snapshot");
        fs::remove_dir_all(&folder).expect("ours");
        let now = capture();
        let stayed = Stayed::between(&earlier, &now).expect("one process");
        let pending = workload.ready()["all"].as_array().map(Vec::len);
        assert_eq!(pending.map(|all| all as u64), Some(stayed.count()), "{label}");
        assert!(stayed.seconds > 0.0, "{label}: {stayed:?}");
        let style = Style::default();
        let screen = memwhy_report::text::tasks(&now, TasksShown::All, Some(&stayed), style);
        assert_eq!(screen.matches(" s before, too").count() as u64, 1 + stayed.count(), "{screen}");
    }
}

/// The places of the tasks at these addresses.
fn places(case: &Case, addresses: &Value) -> BTreeSet<u32> {
    let addresses = addresses.as_array().expect("addresses");
    let place = |address: &Value| {
        case.tasks.iter().position(|task| address == task.addr.to_string().as_str())
    };
    addresses.iter().filter_map(place).filter_map(|place| place.try_into().ok()).collect()
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
    for (owner, members) in
        [("gatherer", "children"), ("waiter", "children"), ("group_owner", "members")]
    {
        if truth[owner].is_null() {
            assert!(owner == "group_owner", "{label}");
            continue;
        }
        let awaited = &find(&case, &truth[owner], label).awaits;
        let Some(Awaits::Several { tasks, of: 2 }) = awaited else {
            panic!("{label}, {owner}: {awaited:?}")
        };
        assert_eq!(places(&case, &truth[members]), tasks.iter().copied().collect(), "{label}");
    }
    // By asyncio's account or by ours, each member of a group is awaited by who made the group.
    for member in truth["members"].as_array().into_iter().flatten() {
        let by = find(&case, member, label).awaited_by.expect("an awaiter");
        assert_eq!(truth["group_owner"], case.tasks[by as usize].addr.to_string(), "{label}");
    }
    for one in truth["shared"].as_array().expect("what tasks share") {
        let awaited = &find(&case, &one[0], label).awaits;
        let Some(Awaits::Shared { addr, wants, .. }) = awaited else {
            panic!("{label}, {one}: {awaited:?}")
        };
        assert_eq!(one[1], addr.to_string(), "{label}");
        assert_eq!(one[2], format!("{wants:?}"), "{label}");
    }
    // Asyncio's lists are of tasks in C; they are read, not just believed to be what the heap has.
    let lists = truth["lists"] == true;
    for task in case.tasks.iter().filter(|task| !task.state.is_over()) {
        assert_eq!(task.listed, lists.then_some(which != "python"), "{label}: {task:?}");
    }
    assert!(case.problems.is_empty(), "{label}: {:?}", case.problems);
    let (by, of) = (&truth["waits_for"][0], &truth["waits_for"][1]);
    let awaited = &find(&case, by, label).awaits;
    let Some(Awaits::Task(place)) = awaited else { panic!("{label}: {awaited:?}") };
    assert_eq!(*of, case.tasks[*place as usize].addr.to_string(), "{label}");
}
