//! Hypothesis: threads wait for each other, or for somebody who is not there, and never go on.
//!
//! The complaint: requests hang, a worker does nothing, and what others prepare for it piles up.
//!
//! *Speaks for it:* a circle of threads each of which has what the next one waits for; a thread
//! that waits for what it has itself; a lock whose holder is no thread of this process, as after a
//! fork. *Speaks against it:* whoever holds what is waited for runs, or waits for a signal that may
//! come (an event, an item, a future). It explains no bytes by itself; but a queue grows behind a
//! consumer that is stuck, and then it is why another cause holds.

use super::Hypothesis;
use crate::analyses::locks::waited;
use crate::analyses::{Knot, KnotKind, Locks};
use crate::lock_words::{self, lock_name, thread_name, thread_place};
use crate::wording::{count, digits};
use crate::{Ask, Confidence, Finding, Remedy, Standing};
use memwhy_model::{AbsentHolder, Bytes, Case, HolderKnown, LockFacts, LockKind, LockState, Trust};

/// See the [module](self).
#[derive(Debug)]
pub struct Deadlock;

impl Hypothesis for Deadlock {
    fn id(&self) -> &'static str {
        "deadlock"
    }

    fn claim(&self) -> &'static str {
        "threads wait for each other, or for somebody who is not there"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let unseen = ask.about.withheld.is_some()
            || ask.heap.is_none() && ask.locks.is_empty()
            || ask.threads.is_empty();
        if unseen {
            return Finding::refuted(self.id(), "locks were not read")
                .undecided("which thread waits for which lock was not seen", Bytes(0));
        }
        let found = ask.get::<Locks>();
        let case = ask.case();
        let waiting = case.threads.iter().filter_map(|thread| waited(case, thread));
        let for_locks = waiting.filter(|waiting| waiting.lock.kind.is_given_back()).count();
        if found.knots.is_empty() {
            let mut summary = format!("no deadlock ({} for a lock)", waiting_threads(for_locks));
            if let Some(said) = gil_kept(case) {
                summary = format!("no deadlock ({said})");
            }
            return Finding::refuted(self.id(), summary);
        }
        let behind = backlog(case);
        let piled = behind.first().map_or_else(String::new, |(short, _)| format!("; {short}"));
        let said = format!("{}{piled}", summary(case, &found.knots));
        let mut finding = Finding::refuted(self.id(), said);
        finding.standing = Standing::Holds;
        finding.confidence = found.knots.iter().map(sureness).max().unwrap_or_default();
        for knot in &found.knots {
            tell(&mut finding, case, knot);
            finding.remedies.push(cure(case, knot));
        }
        for (_, queue) in behind {
            finding.saw(Trust::Table, queue, format!("memwhy locks {}", case.about.target()));
        }
        finding
    }
}

fn waiting_threads(n: usize) -> String {
    match n {
        0 => "no thread waits".into(),
        1 => "1 thread waits".into(),
        n => format!("{} wait", count(n as u64, "thread")),
    }
}

/// Somebody sleeps in C code and keeps the GIL meanwhile.
fn gil_kept(case: &Case) -> Option<String> {
    let (gil, place) = case.locks.iter().zip(0..).find(|(lock, _)| lock.kind == LockKind::Gil)?;
    let waiting = case
        .threads
        .iter()
        .filter(|thread| thread.waits.as_ref().is_some_and(|wait| wait.lock() == Some(place)));
    let waiting = waiting.count() as u64;
    let holder = gil.holders.first()?.tid?;
    Some(format!(
        "{} for the GIL, which {} has",
        waiting_threads(usize::try_from(waiting).ok()?),
        thread_name(case, holder)
    ))
}

const fn sureness(knot: &Knot) -> Confidence {
    match (knot.kind, knot.known) {
        (KnotKind::Nobody, _) | (_, HolderKnown::Calls) => Confidence::Medium,
        (KnotKind::Absent | KnotKind::Circle | KnotKind::Itself, _) => Confidence::High,
    }
}

fn lock(case: &Case, place: u32) -> Option<&LockFacts> {
    case.locks.get(place as usize)
}

/// One line: who cannot go on, and why.
fn summary(case: &Case, knots: &[Knot]) -> String {
    let Some(knot) = knots.first() else { return String::new() };
    let more = if knots.len() > 1 {
        format!(", and {} more", digits(knots.len() as u64 - 1))
    } else {
        String::new()
    };
    let behind = match knot.behind.len() {
        0 => String::new(),
        n => format!("; {} behind", count(n as u64, "thread")),
    };
    let name = |place: u32| lock(case, place).map(|lock| lock_name(case, lock)).unwrap_or_default();
    let first = knot.steps.first().copied();
    let (tid, place) = first.map_or((0, 0), |step| (step.tid, step.lock));
    let said = match knot.kind {
        KnotKind::Circle => {
            format!("{} wait for each other in a circle", count(knot.steps.len() as u64, "thread"))
        }
        KnotKind::Itself => {
            format!("{} waits for {}, which it has itself", thread_name(case, tid), name(place))
        }
        KnotKind::Absent => {
            let what = match absent(case, place) {
                Some(AbsentHolder::InParent { .. } | AbsentHolder::LeftByFork { .. }) => {
                    "which was held at the fork by a thread that does not exist here"
                }
                Some(AbsentHolder::Ended) => "which a thread that has ended never gave back",
                Some(AbsentHolder::Missing | AbsentHolder::OtherProcess { .. }) | None => {
                    "which a thread has that does not exist"
                }
            };
            let who = match knot.steps.len() {
                1 => format!("{} waits", thread_name(case, tid)),
                n => format!("{} wait", count(n as u64, "thread")),
            };
            format!("{who} for {}, {what}", name(place))
        }
        KnotKind::Nobody => {
            format!(
                "{} waits for {}, and no thread is left that could give it back",
                thread_name(case, tid),
                name(place)
            )
        }
    };
    format!("{said}{behind}{more}")
}

fn absent(case: &Case, place: u32) -> Option<&AbsentHolder> {
    lock(case, place)?.holders.first()?.absent.as_ref()
}

/// The evidence: every step, with the lines.
fn tell(finding: &mut Finding, case: &Case, knot: &Knot) {
    let target = case.about.target();
    for step in &knot.steps {
        let Some(lock) = lock(case, step.lock) else { continue };
        let thread = case.threads.iter().find(|thread| thread.tid == step.tid);
        let place = thread.and_then(thread_place).map_or_else(String::new, |p| format!(" in {p}"));
        let holder = lock.holders.first();
        let who = holder.map_or_else(
            || match (lock.state, knot.kind) {
                (LockState::Held, KnotKind::Nobody) => {
                    "which somebody took; all threads of the process wait for such locks".into()
                }
                _ => "whose holder is not known".to_owned(),
            },
            |holder| format!("held by {}", lock_words::holder(case, holder)),
        );
        let trust = match holder.map(|holder| holder.how) {
            Some(HolderKnown::Recorded | HolderKnown::WithBlock) => Trust::Table,
            Some(HolderKnown::Calls) | None => Trust::Heuristic,
        };
        finding.saw(
            trust,
            format!(
                "{} waits{place} for {}, {who}",
                thread_name(case, step.tid),
                lock_name(case, lock)
            ),
            format!("memwhy locks {target}"),
        );
    }
}

/// Queues whose consumers are among those who cannot go on: in short, and with the places.
fn backlog(case: &Case) -> Vec<(String, String)> {
    let ask = Ask::new(case);
    let found = ask.get::<Locks>();
    let mut said = Vec::new();
    for queue in &case.locks {
        let items = queue.items.unwrap_or(0);
        let is_queue = matches!(queue.kind, LockKind::Queue | LockKind::SimpleQueue);
        let consumer =
            queue.users.iter().find(|user| user.takes && found.stuck.contains(&user.tid));
        if let Some(consumer) = consumer
            && is_queue
            && items > 0
        {
            let thread = case.threads.iter().find(|thread| thread.tid == consumer.tid);
            let place = thread.and_then(thread_place).unwrap_or_default();
            let (name, items) = (lock_name(case, queue), count(items, "item"));
            let who = thread_name(case, consumer.tid);
            said.push((
                format!("behind it {name} has {items}"),
                format!(
                    "{name} has {items}: {who}, which takes from it in {}, is stuck in {place}",
                    consumer.function
                ),
            ));
        }
    }
    said
}

fn cure(case: &Case, knot: &Knot) -> Remedy {
    let running = case.about.running();
    let place = knot.steps.first().map_or(0, |step| step.lock);
    let name = lock(case, place).map(|lock| lock_name(case, lock)).unwrap_or_default();
    let (action, note) = match knot.kind {
        KnotKind::Circle => (
            "take these locks in the same order everywhere, or let go of one before asking for the \
             next"
                .to_owned(),
            "the process does not recover: restart it",
        ),
        KnotKind::Itself => (
            format!("make {name} an RLock, or do not call back while holding it"),
            "the process does not recover: restart it",
        ),
        KnotKind::Absent => match absent(case, place) {
            Some(AbsentHolder::InParent { .. } | AbsentHolder::LeftByFork { .. }) => (
                "start workers by spawn or forkserver, or fork before the first thread is started; \
                 os.register_at_fork can make the lock anew in the child"
                    .to_owned(),
                "this child does not recover: end it, its parent is not affected",
            ),
            Some(
                AbsentHolder::Ended | AbsentHolder::Missing | AbsentHolder::OtherProcess { .. },
            )
            | None => (
                format!("take {name} by `with`, so that it is given back whatever happens"),
                "the process does not recover: restart it",
            ),
        },
        KnotKind::Nobody => (
            format!("look for who takes {name} and does not give it back, or for a fork"),
            "the process does not recover: restart it",
        ),
    };
    Remedy {
        action,
        expected_rss: None,
        note: note.into(),
        verify: format!("memwhy locks {running}: no deadlock"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Deadlock, Hypothesis};
    use crate::{Ask, Confidence, Finding, Standing};
    use memwhy_model::{
        AbsentHolder, Bytes, Case, HeapGraph, HolderKnown, LockFacts, LockHolder, LockKind,
        LockState, LockUser, ThreadFacts, Wait, Waited,
    };

    fn lock(name: &str, holder: LockHolder) -> LockFacts {
        LockFacts {
            kind: LockKind::RLock,
            name: Some(name.into()),
            state: LockState::Held,
            holders: vec![holder],
            ..LockFacts::default()
        }
    }

    fn thread(tid: u32, name: &str, lock: u32) -> ThreadFacts {
        let waits = Some(Wait { waited: Waited::Lock(lock), ..Wait::default() });
        ThreadFacts { tid, name: name.into(), waits, ..ThreadFacts::default() }
    }

    fn judge(locks: Vec<LockFacts>, threads: Vec<ThreadFacts>) -> Finding {
        let heap = Some(HeapGraph::default());
        let case = Case { heap, locks, threads, ..Case::default() };
        Deadlock.judge(&Ask::new(&case))
    }

    fn by(tid: u32) -> LockHolder {
        LockHolder { tid: Some(tid), how: HolderKnown::Recorded, ..LockHolder::default() }
    }

    #[test]
    fn a_circle_holds_and_explains_no_bytes() {
        let threads = vec![thread(1, "a", 0), thread(2, "b", 1)];
        let finding = judge(vec![lock("x", by(2)), lock("y", by(1))], threads);
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes(0)));
        assert_eq!(finding.confidence, Confidence::High);
        assert_eq!(finding.summary, "2 threads wait for each other in a circle");
        assert!(finding.evidence[0].saw.contains("RLock x, held by thread 2 \"b\""));
    }

    #[test]
    fn a_lock_held_at_a_fork_is_told_with_the_parent() {
        let absent = AbsentHolder::InParent {
            pid: 7,
            tid: 9,
            name: "log-writer".into(),
            free_there: Some(true),
        };
        let holder = LockHolder {
            absent: Some(absent),
            how: HolderKnown::Recorded,
            ..LockHolder::default()
        };
        let finding = judge(
            vec![lock("logging.root.handlers[0].lock", holder)],
            vec![thread(1, "MainThread", 0)],
        );
        assert!(finding.holds());
        assert!(finding.summary.contains("held at the fork"), "{}", finding.summary);
        assert!(finding.evidence[0].saw.contains("thread 9 (log-writer) of its parent 7"));
    }

    #[test]
    fn a_queue_behind_a_stuck_consumer_is_named_with_its_length() {
        let mut queue = lock("jobs", LockHolder::default());
        (queue.kind, queue.holders, queue.items) = (LockKind::Queue, Vec::new(), Some(50_000));
        let function = "consume() at app.py:3".into();
        queue.users = vec![LockUser { tid: 1, takes: true, function, ..LockUser::default() }];
        let locks = vec![lock("x", by(1)), queue];
        let finding = judge(locks, vec![thread(1, "consumer", 0), thread(2, "other", 0)]);
        let said = finding.evidence.iter().any(|e| e.saw.contains("jobs has 50,000 items"));
        assert!(said, "{:?}", finding.evidence);
    }
}
