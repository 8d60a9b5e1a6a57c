//! Is it told which thread waits for which lock, who has it, and who never goes on?
//!
//! Each scenario of `workloads/locks.py` says itself what is true of it. Those that leave each other
//! alone are in one process, which every interpreter runs; the others are looked at on one of each way
//! to keep locks and frames, and on all with `MEMWHY_LOCKS=all`.

use memwhy::model::{AbsentHolder, Case, LockFacts, LockKind, ThreadState, Waited};
use memwhy::{Options, Verdict};
use memwhy_reason::analyses::{Knot, KnotKind, Locks};
use memwhy_reason::{Ask, Finding, Standing};
use memwhy_report::Style;
use memwhy_report::text::LocksShown;
use memwhy_testkit::tools::compiled;
use memwhy_testkit::{Interpreter, Turn, Workload, interpreters, require, script};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// The C library of the scenarios that need one, compiled once; `None` without a compiler.
fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libmutexes.so");
        // Without the machine's own C library: interpreters may run on an older one.
        compiled("cc", &["-O1", "-nostdlib"], "mutexes.c", &to)
    });
    built.as_deref()
}

/// One of each way to keep locks and frames: semaphores with and without a name for what is global,
/// mutexes of the interpreter's own, without GIL, with fields of `Py_DEBUG`.
const ONE_OF_EACH: [&str; 7] = ["2.7", "debian-2.7", "3.6", "3.10", "3.12", "3.13t", "debian-3.14"];

/// Scenarios that leave each other alone. The last two must be the last: an import that hangs keeps
/// others from importing, and a thread that begins later may have the number of one that has ended.
const TOGETHER: [&str; 22] = [
    "file_lock",
    "record_lock",
    "two_locks",
    "three_locks",
    "rlock_cycle",
    "itself",
    "not_notified",
    "event",
    "barrier",
    "full_queue",
    "simple_queue",
    "process_lock",
    "process_queue",
    "sockets",
    "semaphore",
    "future",
    "joined",
    "mutex",
    "rwlock",
    "rwlock_of_readers",
    "import_lock",
    "died_holding",
];

fn chosen() -> Vec<&'static Interpreter> {
    if std::env::var_os("MEMWHY_LOCKS").is_some_and(|which| which == "all")
        || std::env::var_os(memwhy_testkit::PYTHONS_VARIABLE).is_some()
    {
        return interpreters().iter().collect();
    }
    require(&ONE_OF_EACH)
}

/// A process at one moment, and what one scenario says of it.
struct Seen {
    truth: Value,
    case: Case,
    verdict: Verdict,
    screen: String,
    knots: Vec<Knot>,
}

fn needs_library(scenario: &str) -> bool {
    matches!(scenario, "mutex" | "mutex_and_gil" | "rwlock" | "rwlock_of_readers")
}

type Law = fn(&Seen) -> Result<(), String>;

/// Looks until what the scenarios say is so: what was started last may not be asleep yet, on a
/// machine that is busy with others.
fn check(python: &Interpreter, scenarios: &[&str], holds: Law) {
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let library = library();
    let scenarios = scenarios.iter().filter(|one| library.is_some() || !needs_library(one));
    let scenarios = scenarios.copied().collect::<Vec<&str>>().join(",");
    if scenarios.is_empty() {
        return;
    }
    let label = format!("{scenarios} on {}", python.label);
    let library = library.unwrap_or(Path::new("")).to_string_lossy();
    let env = [("SCENARIO", &*scenarios), ("LIBRARY", &*library)];
    let workload = Workload::start(&python.path, &script("locks.py"), &env);
    let truth = workload.ready();
    if truth["skip"] == true {
        return;
    }
    let child = truth["child"].as_u64().filter(|_| scenarios.starts_with("fork"));
    let pid = child.and_then(|child| u32::try_from(child).ok()).unwrap_or(workload.pid());
    let mut said = Ok(());
    for _ in 0..LOOKS {
        let case = memwhy::capture(pid, &Options::default())
            .unwrap_or_else(|error| panic!("{label}: {error}"));
        let stacks = stacks_agree(pid, &case, truth);
        said = stacks
            .and_then(|()| holds_of(case, truth, holds))
            .map_err(|why| format!("{label}: {why}"));
        if said.is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    if let Err(why) = said {
        panic!("{why}");
    }
}

/// How often a process is looked at before what it says of itself is held not to be seen.
const LOOKS: usize = 12;

/// Whether a look at the stacks alone, which copies no heap, says of the same threads that they wait
/// for a lock, also where no name says so; and whether it has the words of their functions for it.
fn stacks_agree(pid: u32, case: &Case, truth: &Value) -> Result<(), String> {
    let options = Options { look: Duration::ZERO, ..Options::default() };
    let looked = memwhy::look(pid, &options).map_err(|error| error.to_string())?;
    for thread in &case.threads {
        let Some(wait) = thread.waits.as_ref().filter(|wait| !wait.timed) else { continue };
        let Some(lock) = wait.lock().map(|place| &case.locks[place as usize]) else { continue };
        let wanted = match lock.kind {
            LockKind::Lock
            | LockKind::RLock
            | LockKind::Mutex
            | LockKind::RwLock
            | LockKind::Condition
            | LockKind::Event
            | LockKind::Semaphore
            | LockKind::Barrier
            | LockKind::Queue
            | LockKind::SimpleQueue
            | LockKind::Future
            | LockKind::ModuleLock
            | LockKind::ImportLock
            | LockKind::ProcessLock => true,
            LockKind::Gil | LockKind::File | LockKind::ThreadEnd | LockKind::Futex => false,
        };
        let same = looked.threads.iter().find(|one| one.tid == thread.tid);
        let same = same.ok_or(format!("{} is not there any more", thread.name))?;
        let agrees = !wanted || (same.state == ThreadState::WaitingLock && same.waits.is_some());
        ensure(agrees, || format!("its stack does not say that it waits: {same:#?}"))?;
    }
    for (name, says) in
        scenarios_of(truth).iter().filter_map(|one| one["says"].as_object()).flatten()
    {
        let thread = looked.threads.iter().find(|thread| thread.name == *name);
        let waits = thread.and_then(|thread| thread.waits.as_ref());
        let named = match waits.map(|wait| &wait.waited) {
            Some(Waited::At { named, .. }) => named.as_ref().map(|named| named.name.as_str()),
            Some(Waited::Lock(_)) | None => None,
        };
        ensure(named == says.as_str(), || format!("{name} says {says}, not {thread:#?}"))?;
    }
    Ok(())
}

/// What each scenario of a process says of itself.
fn scenarios_of(truth: &Value) -> Vec<Value> {
    match truth["together"].as_object() {
        Some(all) => all.values().filter(|one| one["skip"] != true).cloned().collect(),
        None => vec![truth.clone()],
    }
}

/// Whether what every scenario of a process says of itself is what is seen, and no more.
fn holds_of(case: Case, truth: &Value, holds: Law) -> Result<(), String> {
    let verdict = memwhy::explain(&case);
    let screen = memwhy_report::text::locks(&case, LocksShown::Busy, Style::default());
    let knots = Ask::new(&case).get::<Locks>().knots.clone();
    let mut seen = Seen { truth: Value::Null, case, verdict, screen, knots };
    let of = scenarios_of(truth);
    let together = truth["together"].is_object();
    let deadlocks = of.iter().filter(|one| one["deadlock"].is_string()).count();
    let all = seen.knots.clone();
    let more = |why: String, seen: &Seen| format!("{why}\n{}\n{:#?}", seen.screen, seen.truth);
    for one in of {
        // Its threads are named after it.
        let module = format!("{}/", one["module"].as_str().unwrap_or_default());
        let its = |knot: &&Knot| {
            knot.steps.iter().any(|step| !together || seen.name(step.tid).starts_with(&module))
        };
        let knots = all.iter().filter(its).cloned().collect();
        (seen.knots, seen.truth) = (knots, one);
        as_it_says(&seen).and_then(|()| holds(&seen)).map_err(|why| more(why, &seen))?;
    }
    let none_more = !together || all.len() == deadlocks;
    ensure(none_more, || more(format!("{deadlocks} deadlocks, and not {all:?}"), &seen))
}

fn ensure(what: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if what { Ok(()) } else { Err(why()) }
}

impl Seen {
    fn tid(&self, name: &str) -> Option<u32> {
        self.case.threads.iter().find(|thread| thread.name == name).map(|thread| thread.tid)
    }

    fn name(&self, tid: u32) -> String {
        let thread = self.case.threads.iter().find(|thread| thread.tid == tid);
        thread.map(|thread| thread.name.clone()).unwrap_or_default()
    }

    /// The lock that a thread waits for.
    fn waited(&self, name: &str) -> Option<&LockFacts> {
        let thread = self.case.threads.iter().find(|thread| thread.name == name)?;
        self.case.locks.get(thread.waits.as_ref()?.lock()? as usize)
    }

    fn called(&self, name: &str) -> Option<&LockFacts> {
        let named = |lock: &&LockFacts| lock.name.as_deref() == Some(name);
        self.case.locks.iter().find(named)
    }

    fn deadlock(&self) -> Option<&Finding> {
        self.verdict.findings.iter().find(|finding| finding.cause == "deadlock")
    }
}

/// What every scenario says of itself.
fn as_it_says(seen: &Seen) -> Result<(), String> {
    let truth = &seen.truth;
    let expected = if truth["child"].is_u64() && truth["waits"].is_null() {
        return Ok(());
    } else {
        truth["deadlock"].as_str()
    };
    let knots = &seen.knots;
    let kind = match expected {
        None => {
            ensure(knots.is_empty(), || format!("a deadlock that is none: {knots:?}"))?;
            let finding = seen.deadlock().ok_or("no finding")?;
            let refuted = finding.standing == Standing::Refuted || truth["module"] != "__main__";
            ensure(refuted, || format!("{finding:?}"))?;
            None
        }
        Some("cycle") => Some(KnotKind::Circle),
        Some("itself") => Some(KnotKind::Itself),
        Some(_) => Some(KnotKind::Absent),
    };
    let module = truth["module"].as_str().unwrap_or("__main__");
    let prefixed = truth["name"].as_str().map(|name| {
        if name.starts_with('/') { name.to_owned() } else { format!("{module}.{name}") }
    });
    if let Some(kind) = kind {
        let [knot] = &knots[..] else { return Err(format!("not one deadlock: {knots:?}")) };
        ensure(knot.kind == kind, || format!("{knot:?}"))?;
        let mut names: Vec<String> = knot.steps.iter().map(|step| seen.name(step.tid)).collect();
        names.sort();
        let threads: Vec<String> =
            serde_json::from_value(truth["threads"].clone()).map_err(|e| e.to_string())?;
        ensure(names == threads, || format!("{names:?} and not {threads:?}"))?;
        if let Some(name) = &prefixed {
            let so_called = knot
                .steps
                .iter()
                .any(|step| seen.case.locks[step.lock as usize].name.as_ref() == Some(name));
            ensure(so_called, || format!("no {name} in it"))?;
        }
        let finding = seen.deadlock().ok_or("no finding")?;
        ensure(finding.holds(), || format!("{finding:?}"))?;
        let cause = seen.verdict.cause;
        ensure(cause == Some("deadlock") || !truth["queue"].is_null(), || format!("{cause:?}"))?;
    }
    if let (Some("ended"), [knot]) = (expected, &knots[..]) {
        let lock = &seen.case.locks[knot.steps[0].lock as usize];
        let absent = lock.holders.first().and_then(|holder| holder.absent.as_ref());
        ensure(absent == Some(&AbsentHolder::Ended), || format!("{lock:?}"))?;
    }
    if let Some(pid) = truth["holder_pid"].as_u64() {
        let waits = truth["waits"].as_object().and_then(|all| all.keys().next());
        let lock = waits.and_then(|thread| seen.waited(thread)).ok_or("it does not wait")?;
        let recorded: Vec<_> = lock.holders.iter().map(|holder| holder.recorded).collect();
        ensure(recorded == [Some(pid)], || format!("{lock:?}"))?;
    }
    for (thread, holders) in truth["held_by"].as_object().into_iter().flatten() {
        let lock = seen.waited(thread).ok_or(format!("{thread} does not wait"))?;
        let tids = lock.holders.iter().filter_map(|holder| holder.tid);
        let found: Vec<String> = tids.map(|tid| seen.name(tid)).collect();
        ensure(*holders == serde_json::json!(found), || format!("{thread} waits for {lock:?}"))?;
    }
    for (thread, call) in truth["calls"].as_object().into_iter().flatten() {
        let facts = seen.case.threads.iter().find(|one| one.name == *thread);
        let facts =
            facts.and_then(|one| one.call.as_ref()).ok_or(format!("no call of {thread}"))?;
        let (name, about) = (call[0].as_str().unwrap_or("?"), call[1].as_str().unwrap_or("?"));
        // `accept` is `accept4` where there is one.
        let is = facts.name.trim_end_matches('4') == name && facts.about.contains(about);
        ensure(is, || format!("{thread} is in {facts:?}, not {call}"))?;
    }
    for (thread, kind) in truth["waits"].as_object().into_iter().flatten() {
        let lock = seen.waited(thread).ok_or(format!("{thread} does not wait"))?;
        ensure(lock.kind.id() == kind, || format!("{thread} waits for {lock:?}"))?;
        if let Some(name) = prefixed
            .as_ref()
            .filter(|_| truth["waits"].as_object().is_some_and(|all| all.len() == 1))
        {
            ensure(lock.name.as_ref() == Some(name), || format!("{:?}, not {name}", lock.name))?;
        }
    }
    if let Some(name) = &prefixed {
        let lock = seen.called(name).ok_or(format!("no lock is called {name}"))?;
        if let Ok(holders) = serde_json::from_value::<Vec<String>>(truth["holders"].clone()) {
            let mut found: Vec<String> =
                lock.holders.iter().filter_map(|holder| Some(seen.name(holder.tid?))).collect();
            found.sort();
            ensure(found == holders, || format!("{found:?} hold it, not {holders:?}"))?;
        }
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "others have something to add")]
fn nothing_more(_: &Seen) -> Result<(), String> {
    Ok(())
}

#[test]
fn every_lock_is_told_with_its_name_and_its_holder_and_every_deadlock() {
    for python in interpreters() {
        check(python, &TOGETHER, nothing_more);
    }
}

/// A lock of a thread that is there in the parent only.
fn held_in_the_parent(seen: &Seen) -> Result<(), String> {
    let [knot] = &seen.knots[..] else { return Err("not one deadlock".into()) };
    ensure(knot.kind == KnotKind::Absent, || format!("{knot:?}"))?;
    let lock = &seen.case.locks[knot.steps[0].lock as usize];
    let parent = seen.truth["pid"].as_u64();
    let absent = lock.holders.first().and_then(|holder| holder.absent.as_ref());
    let there = matches!(absent, Some(AbsentHolder::InParent { pid, .. })
        if Some(u64::from(*pid)) == parent);
    ensure(there, || format!("{lock:?}"))?;
    ensure(lock.name.as_deref() == Some("__main__.handler.lock"), || format!("{lock:?}"))?;
    ensure(seen.verdict.cause == Some("deadlock"), || format!("{:?}", seen.verdict.cause))
}

#[test]
fn a_lock_held_at_a_fork_is_held_by_a_thread_of_the_parent() {
    for python in chosen() {
        check(python, &["fork_logging"], held_in_the_parent);
        check(python, &["fork_handler"], |seen| {
            if seen.truth["made_anew"] == false {
                return held_in_the_parent(seen);
            }
            ensure(seen.knots.is_empty(), || format!("{:?}", seen.knots))?;
            let rests = |frame: &memwhy::model::Frame| frame.function == "rest";
            let beyond = seen.case.threads.iter().any(|one| one.frames.iter().any(rests));
            ensure(beyond, || "it has not written yet".into())
        });
        // A plain lock does not say who has it; but nobody is left that could give it back.
        check(python, &["fork_plain"], |seen| {
            let [knot] = &seen.knots[..] else { return Err("not one deadlock".into()) };
            ensure(knot.kind == KnotKind::Nobody, || format!("{knot:?}"))?;
            let lock = &seen.case.locks[knot.steps[0].lock as usize];
            ensure(lock.name.as_deref() == Some("__main__.cache.lock"), || format!("{lock:?}"))?;
            ensure(seen.verdict.cause == Some("deadlock"), || format!("{:?}", seen.verdict.cause))
        });
    }
}

#[test]
fn a_queue_that_grows_is_told_with_its_consumer() {
    for python in chosen() {
        check(python, &["stuck_consumer"], |seen| {
            let queue = seen.called("__main__.pipeline.queue").ok_or("no queue")?;
            ensure(queue.items == seen.truth["items"].as_u64(), || format!("{:?}", queue.items))?;
            let consumer = seen.tid("consumer");
            let takes = queue.users.iter().any(|user| user.takes && Some(user.tid) == consumer);
            ensure(takes, || format!("{:?}", queue.users))?;
            let finding = seen.deadlock().ok_or("no finding")?;
            let said = finding.evidence.iter().any(|one| one.saw.contains("50,000 items"));
            ensure(said, || format!("{:?}", finding.evidence))?;
            ensure(finding.summary.contains("50,000 items"), || finding.summary.clone())
        });
    }
}

fn the_gil_has_a_holder(seen: &Seen) -> Result<(), String> {
    let gil = seen.case.locks.iter().find(|lock| lock.kind == LockKind::Gil);
    let holder = gil.and_then(|gil| gil.holders.first()?.tid);
    ensure(holder.is_some(), || format!("{gil:?}"))
}

#[test]
fn the_gil_is_a_lock_like_any_other() {
    for python in chosen() {
        check(python, &["gil"], the_gil_has_a_holder);
        check(python, &["mutex_and_gil"], nothing_more);
    }
}

/// Ordinary mutexes of musl and its read-write locks record nobody; up to 1.2.3 a semaphore that
/// processes share has nothing in it by which a look at stacks alone would know it.
const NOT_ON_MUSL: [&str; 5] =
    ["process_lock", "process_queue", "mutex", "rwlock", "rwlock_of_readers"];

#[test]
fn locks_are_told_on_musl_where_it_records_them() {
    for python in require(&["musl-3.13"]) {
        let told = TOGETHER.iter().copied().filter(|one| !NOT_ON_MUSL.contains(one));
        check(python, &told.collect::<Vec<&str>>(), nothing_more);
        check(python, &["fork_logging"], held_in_the_parent);
        check(python, &["gil"], the_gil_has_a_holder);
    }
}

#[test]
fn healthy_pools_have_no_deadlock() {
    for python in chosen() {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let label = &python.label;
        let workload = Workload::start(&python.path, &script("pools.py"), &[]);
        let children = workload.ready()["children"].as_array().cloned().unwrap_or_default();
        let children = children.iter().filter_map(|pid| u32::try_from(pid.as_u64()?).ok());
        // Looked at several times: what they do changes.
        for pid in std::iter::repeat_n(workload.pid(), 4).chain(children) {
            let case = memwhy::capture(pid, &Options::default())
                .unwrap_or_else(|error| panic!("{label}: {error}"));
            let found = Ask::new(&case).get::<Locks>().knots.clone();
            let screen = memwhy_report::text::locks(&case, LocksShown::Busy, Style::default());
            assert!(found.is_empty(), "{label}: {found:?}\n{screen}");
            let verdict = memwhy::explain(&case);
            let finding = verdict.findings.iter().find(|finding| finding.cause == "deadlock");
            assert!(
                finding.is_some_and(|finding| finding.standing == Standing::Refuted),
                "{label}"
            );
        }
    }
}

/// What of `scripts/programs` waits most: threads of a server, processes of a worker.
const SERVERS: [&str; 6] = [
    "gunicorn-django",
    "uvicorn-fastapi",
    "celery",
    "celery-threads",
    "multiprocessing-pool",
    "thread-pool",
];

#[test]
fn servers_and_workers_that_are_well_have_no_deadlock() {
    let mut command = Command::new(script("..").join("scripts/programs"));
    command.args(SERVERS).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut programs = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut next = programs.stdin.take().expect("a pipe");
    let lines = BufReader::new(programs.stdout.take().expect("a pipe")).lines();
    let mut seen = Vec::new();
    for line in lines.map_while(Result::ok) {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        for pid in words.filter_map(|word| word.parse().ok()) {
            let case = memwhy::capture(pid, &Options::default())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let found = Ask::new(&case).get::<Locks>().knots.clone();
            let screen = memwhy_report::text::locks(&case, LocksShown::Busy, Style::default());
            eprintln!("{name}\n{screen}");
            assert!(found.is_empty(), "{name}: {found:?}\n{screen}");
        }
        seen.push(name);
        writeln!(next).expect("it listens");
    }
    drop(next);
    let well = programs.wait().is_ok_and(|status| status.success());
    assert!(well || std::env::var("CI").as_deref() != Ok("true"), "only {seen:?}");
    if !well {
        eprintln!("SKIPPED: scripts/programs cannot run them all, only {seen:?}");
        return;
    }
    assert_eq!(seen, SERVERS);
}
