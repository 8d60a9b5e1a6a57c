//! Are asyncio's tasks found, with the coroutines that they are in, as asyncio itself has them?

use memwhy::Options;
use memwhy::model::{Awaits, Case, TaskFacts, TaskState};
use memwhy_testkit::{Turn, Workload, ordinary, script};
use serde_json::Value;
use std::path::Path;

fn find<'c>(case: &'c Case, address: &Value, label: &str) -> &'c TaskFacts {
    let found = case.tasks.iter().find(|task| address == task.addr.to_string().as_str());
    found.unwrap_or_else(|| panic!("{label}: no task at {address}"))
}

#[test]
fn tasks_are_those_that_asyncio_has_down_to_the_line() {
    // asyncio is of 3.4 and later.
    for python in ordinary().filter(|python| python.version >= (3, 6, 0)) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let label = &python.label;
        let workload = Workload::start(&python.path, &script("tasks.py"), &[]);
        let truth = workload.ready();
        if truth["skip"] == true {
            continue;
        }
        let case = memwhy::capture(workload.pid(), &Options::default())
            .unwrap_or_else(|error| panic!("{label}: {error}"));
        for address in truth["all"].as_array().into_iter().flatten() {
            let task = find(&case, address, label);
            assert!(!task.state.is_over(), "{label}: {task:?}");
            assert_eq!(task.tid, Some(workload.pid()), "{label}");
        }
        for one in truth["tasks"].as_array().into_iter().flatten() {
            let task = find(&case, &one["address"], label);
            let frames = task.frames.iter().map(|frame| {
                let name = frame.function.rsplit('.').next().unwrap_or_default();
                serde_json::json!([name, frame.line])
            });
            assert_eq!(Value::Array(frames.collect()), one["chain"], "{label}");
        }
        assert_eq!(find(&case, &truth["done"], label).state, TaskState::Done, "{label}");
        let sleeper = &find(&case, &truth["sleeper"], label).awaits;
        let left = if let Some(Awaits::Time(Some(left))) = sleeper { *left } else { 0.0 };
        assert!((3000.0..3601.0).contains(&left), "{label}: {sleeper:?}");
        let gathered = &find(&case, &truth["gatherer"], label).awaits;
        let Some(Awaits::Several { tasks, of: 2 }) = gathered else {
            panic!("{label}: {gathered:?}")
        };
        for child in truth["children"].as_array().into_iter().flatten() {
            let place = case.tasks.iter().position(|t| child == t.addr.to_string().as_str());
            assert!(
                tasks.iter().any(|task| Some(*task as usize) == place),
                "{label}: {gathered:?}"
            );
        }
        let (by, of) = (&truth["waits_for"][0], &truth["waits_for"][1]);
        let awaited = &find(&case, by, label).awaits;
        let Some(Awaits::Task(place)) = awaited else { panic!("{label}: {awaited:?}") };
        assert_eq!(*of, case.tasks[*place as usize].addr.to_string(), "{label}");
    }
}
