//! The format of `memwhy tasks`: `memwhy.tasks/1`.

use super::parts::wrapped;
use memwhy_model::{Awaits, Case, TaskFacts};
use memwhy_reason::analyses::Stayed;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
struct Body<'a> {
    tasks: Vec<TaskOut<'a>>,
}

#[derive(Serialize)]
struct TaskOut<'a> {
    address: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    state: &'static str,
    frames: Vec<FrameOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    awaits: Option<AwaitsOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    awaited_by: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    there_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loop_tid: Option<u32>,
}

#[derive(Serialize)]
struct FrameOut<'a> {
    function: &'a str,
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
enum AwaitsOut<'a> {
    Task {
        task: u32,
    },
    Several {
        pending: &'a [u32],
        of: u64,
    },
    Time {
        #[serde(skip_serializing_if = "Option::is_none")]
        in_s: Option<f64>,
    },
    Shared {
        r#type: &'a str,
        address: String,
        wants: &'static str,
    },
    Future {
        r#type: &'a str,
    },
}

/// What `memwhy tasks --json` prints: a task is meant by its place in `tasks`.
/// With an earlier look at the same process: how long ago each that is where it was then was seen there.
#[must_use]
pub fn tasks(case: &Case, stayed: Option<&Stayed>) -> Value {
    let tasks = case.tasks.iter().map(|one| task(one, stayed)).collect();
    wrapped("memwhy.tasks/1", case, Body { tasks })
}

fn task<'a>(task: &'a TaskFacts, stayed: Option<&Stayed>) -> TaskOut<'a> {
    TaskOut {
        address: task.addr.to_string(),
        kind: task.kind.id(),
        name: task.name.as_deref(),
        state: task.state.id(),
        frames: task
            .frames
            .iter()
            .map(|f| FrameOut { function: &f.function, file: &f.file, line: f.line })
            .collect(),
        awaits: task.awaits.as_ref().map(|awaits| match awaits {
            Awaits::Task(task) => AwaitsOut::Task { task: *task },
            Awaits::Several { tasks, of } => AwaitsOut::Several { pending: tasks, of: *of },
            Awaits::Time(in_s) => AwaitsOut::Time { in_s: *in_s },
            Awaits::Shared { kind, addr, wants } => {
                AwaitsOut::Shared { r#type: kind, address: addr.to_string(), wants: wants.id() }
            }
            Awaits::Future(kind) => AwaitsOut::Future { r#type: kind },
        }),
        awaited_by: task.awaited_by,
        listed: task.listed,
        there_s: stayed.filter(|stayed| stayed.has(task)).map(|stayed| stayed.seconds),
        loop_tid: task.tid,
    }
}
