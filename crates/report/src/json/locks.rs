//! The format of `memwhy locks`: `memwhy.locks/1`.

use super::parts::wrapped;
use memwhy_model::{AbsentHolder, Case, LockFacts, LockHolder, LockState};
use memwhy_reason::Ask;
use memwhy_reason::analyses::locks::{Waiting, waited};
use memwhy_reason::analyses::{Knot, Locks};
use memwhy_reason::lock_words::absent_holder;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
struct Body<'a> {
    deadlocks: Vec<DeadlockOut>,
    waits: Vec<WaitOut<'a>>,
    locks: Vec<LockOut<'a>>,
}

#[derive(Serialize)]
struct DeadlockOut {
    kind: &'static str,
    known_by: &'static str,
    steps: Vec<StepOut>,
    behind: Vec<u32>,
}

#[derive(Serialize)]
struct StepOut {
    tid: u32,
    lock: u32,
}

#[derive(Serialize)]
struct WaitOut<'a> {
    tid: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    lock: u32,
    wants: &'static str,
    timed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    asleep_at_least_s: Option<f64>,
}

#[derive(Serialize)]
struct LockOut<'a> {
    address: String,
    kind: &'static str,
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    type_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<bool>,
    holders: Vec<HolderOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inside: Option<u32>,
    users: Vec<UserOut<'a>>,
}

#[derive(Serialize)]
struct HolderOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<String>,
    known_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<AbsentOut>,
    saw: &'a str,
}

#[derive(Serialize)]
struct AbsentOut {
    why: &'static str,
    said: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
}

#[derive(Serialize)]
struct UserOut<'a> {
    tid: u32,
    names_it: &'a str,
    function: &'a str,
    takes: bool,
    gives: bool,
}

/// What `memwhy locks --json` prints: a lock is meant by its place in `locks`.
#[must_use]
pub fn locks(case: &Case) -> Value {
    let found = Ask::new(case).get::<Locks>();
    let deadlock = |knot: &Knot| DeadlockOut {
        kind: knot.kind.id(),
        known_by: knot.known.id(),
        steps: knot.steps.iter().map(|s| StepOut { tid: s.tid, lock: s.lock }).collect(),
        behind: knot.behind.clone(),
    };
    let waits = case.threads.iter().filter_map(|thread| {
        let Waiting { place, wait, .. } = waited(case, thread)?;
        Some(WaitOut {
            tid: thread.tid,
            name: &thread.name,
            lock: place,
            wants: wait.wants.id(),
            timed: wait.timed,
            asleep_at_least_s: wait.asleep_s,
        })
    });
    let body = Body {
        deadlocks: found.knots.iter().map(deadlock).collect(),
        waits: waits.collect(),
        locks: case.locks.iter().map(lock_out).collect(),
    };
    wrapped("memwhy.locks/1", case, body)
}

fn lock_out(lock: &LockFacts) -> LockOut<'_> {
    let user = |user: &'_ memwhy_model::LockUser| (user.tid, user.takes, user.gives);
    LockOut {
        address: lock.addr.to_string(),
        kind: lock.kind.id(),
        type_name: &lock.type_name,
        name: lock.name.as_deref(),
        held: match lock.state {
            LockState::Free => Some(false),
            LockState::Held => Some(true),
            LockState::Unknown => None,
        },
        holders: lock.holders.iter().map(holder_out).collect(),
        items: lock.items,
        limit: lock.limit,
        inside: lock.inside,
        users: lock
            .users
            .iter()
            .map(|one| {
                let (tid, takes, gives) = user(one);
                UserOut { tid, names_it: &one.names_it, function: &one.function, takes, gives }
            })
            .collect(),
    }
}

fn holder_out(holder: &LockHolder) -> HolderOut<'_> {
    HolderOut {
        tid: holder.tid,
        recorded: holder.recorded.map(|number| format!("{number:#x}")),
        known_by: holder.how.id(),
        absent: holder.absent.as_ref().map(|absent| absent_out(absent, holder.recorded)),
        saw: &holder.saw,
    }
}

fn absent_out(absent: &AbsentHolder, recorded: Option<u64>) -> AbsentOut {
    let (why, pid, tid) = match absent {
        AbsentHolder::InParent { pid, tid, .. } => ("in-parent", Some(*pid), Some(*tid)),
        AbsentHolder::LeftByFork { parent } => ("left-by-fork", *parent, None),
        AbsentHolder::Ended => ("ended", None, None),
        AbsentHolder::Missing => ("missing", None, None),
        AbsentHolder::OtherProcess { pid, .. } => ("other-process", Some(*pid), None),
    };
    AbsentOut { why, said: absent_holder(absent, recorded), pid, tid }
}
