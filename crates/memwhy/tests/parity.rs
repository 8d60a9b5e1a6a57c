//! Is a process the same, live and in each kind of file that is made of it?
//!
//! One process that waits, read five ways: live, from `memwhy core`, from gdb's `gcore`, from `memwhy
//! snap`, and from the core that the kernel writes when it is ended. What must differ is listed here
//! and taken out; everything else is equal, to the last reference.

use memwhy::model::{Addr, Case, Flags, Owner, Untold};
use memwhy::{CoreFiles, Options, Values};
use memwhy_target::core_file::write::Existing;
use memwhy_testkit::dumped::{ORDINARY_FILTER, dump, kernel_writes_cores, start_doomed};
use memwhy_testkit::{BUILDS, Folder, Interpreter, Turn, Workload, interpreters, require, script};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A folder of this file's tests.
fn folder(name: &str) -> Folder {
    Folder::new(env!("CARGO_TARGET_TMPDIR"), &format!("parity-{name}"))
}

/// One object: where, how large, of which type, what is known of it, and what it refers to.
type Object<'c> = (Addr, u64, &'c str, Flags, Option<u32>, Vec<Addr>);

fn objects(case: &Case) -> Vec<Object<'_>> {
    let heap = case.heap.as_ref().expect("it is Python");
    let name = |id| heap.type_row(id).map_or("", |row| row.name.as_str());
    let object = |id| {
        let references = heap.references(id).iter().map(|to| heap.addr(*to)).collect();
        let (size, flags) = (heap.size(id).0, heap.flags(id));
        (heap.addr(id), size, name(heap.type_of(id)), flags, heap.reference_count(id), references)
    };
    heap.ids().map(object).collect()
}

#[track_caller]
fn same_objects(label: &str, live: &Case, other: &Case) {
    same_objects_but(label, live, other, Flags::default());
}

/// The same without some facts: what only a lost stack holds is held by nothing there.
#[track_caller]
fn same_objects_but(label: &str, live: &Case, other: &Case, ignored: Flags) {
    let (mut ours, mut theirs) = (objects(live), objects(other));
    for object in ours.iter_mut().chain(&mut theirs) {
        object.3.0 &= !ignored.0;
    }
    assert!(ours.len() > 20_000, "{label}: {} objects", ours.len());
    let different = ours.iter().zip(&theirs).find(|(a, b)| a != b);
    assert_eq!(different, None, "{label}");
    assert_eq!(ours.len(), theirs.len(), "{label}");
}

/// Everything of a case but its objects, without what says when and how it was made.
fn facts(case: &Case) -> Value {
    let mut value = serde_json::to_value(case).expect("a case has JSON");
    for gone in ["about", "timings"] {
        value[gone] = Value::Null;
    }
    if let Some(threads) = value["threads"].as_array_mut() {
        // The kernel writes the thread first that was ended.
        threads.sort_by_key(|thread| thread["tid"].as_u64());
    }
    for thread in value["threads"].as_array_mut().into_iter().flatten() {
        // Threads are watched for a moment before each capture, and rest or not.
        for gone in ["cpu_share", "cpu_wait", "seen"] {
            thread[gone] = Value::Null;
        }
    }
    // For how long somebody has been asleep, and when a timer rings, is counted from the moment of
    // the look, which only the kernel's clocks tell.
    without(&mut value, &["threads", "waits", "asleep_s"]);
    without(&mut value, &["tasks", "awaits", "time"]);
    value
}

/// Takes the value at `path` out of each element, or of the object itself.
fn without(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Array(items), path) => items.iter_mut().for_each(|item| without(item, path)),
        (Value::Object(object), [last]) => drop(object.remove(*last)),
        (Value::Object(object), [first, rest @ ..]) => {
            if let Some(inner) = object.get_mut(*first) {
                without(inner, rest);
            }
        }
        _ => {}
    }
}

#[track_caller]
fn same_facts(label: &str, live: &Case, other: &Case, differences: &[&[&str]]) {
    let (mut ours, mut theirs) = (facts(live), facts(other));
    for path in differences {
        without(&mut ours, path);
        without(&mut theirs, path);
    }
    let keys = ours.as_object().expect("a case is an object").keys();
    for key in keys {
        let (a, b) = (&ours[key], &theirs[key]);
        assert!(a == b, "{label}: {key} differs:\n{}", first_difference(a, b, key));
    }
}

fn first_difference(a: &Value, b: &Value, at: &str) -> String {
    match (a, b) {
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            let pairs = x.iter().zip(y).enumerate();
            let differing = pairs.into_iter().find(|(_, (a, b))| a != b);
            differing.map_or_else(String::new, |(n, (a, b))| {
                first_difference(a, b, &format!("{at}[{n}]"))
            })
        }
        (Value::Object(x), Value::Object(y)) => {
            let differing = x.keys().chain(y.keys()).find(|key| x.get(*key) != y.get(*key));
            differing.map_or_else(String::new, |key| {
                first_difference(&a[key], &b[key], &format!("{at}.{key}"))
            })
        }
        _ => format!("{at}: {a} and {b}"),
    }
}

/// What only the kernel knows, which a core of ours does not write down: what a descriptor is.
const DESCRIPTORS: &[&str] = &["threads", "call"];
/// For how long a thread has waited: each of them was looked at a little later, and a core has no clock.
const ASLEEP: &[&str] = &["threads", "waits", "asleep_s"];
/// When a timer is due.
const DUE: &[&str] = &["tasks", "awaits", "time"];
/// What changes behind the back of a process that waits: which pages of files are in memory, and
/// with how many others they are shared; and the kernel makes huge pages of small ones.
const PAGE_CACHE: &[&[&str]] = &[
    &["huge"],
    &["mappings", "rss"],
    &["mappings", "pss"],
    &["mappings", "private_clean"],
    &["mappings", "owners"],
    &["mappings", "unexplained"],
    &["accounting"],
];
/// What a core of others does not tell: residency, and all that is counted by it; names of mappings.
const RESIDENCY: &[&[&str]] = &[
    &["huge"],
    &["mappings"],
    &["accounting"],
    &["malloc", "glibc", "arenas", "resident"],
    &["malloc", "glibc", "arenas", "free_resident"],
    &["malloc", "glibc", "arenas", "trim_returns"],
    &["malloc", "glibc", "arenas", "largest_free"],
    &["malloc", "glibc", "trim_returns"],
    &["malloc", "glibc", "pins"],
    &["malloc", "glibc", "large_free"],
    &["native_memory"],
    &["thread_stacks"],
];

fn adds_up(label: &str, case: &Case) {
    let owners: u64 = Owner::ALL.iter().map(|owner| case.resident(*owner).0).sum();
    assert_eq!(owners + case.accounting.unexplained.0, case.rss().0, "{label}");
}

/// gdb 13 gives up on a mapping at the first page of it that cannot be read, and writes zeroes for
/// the rest. glibc from 2.42 on guards the stacks of threads by such pages (`MADV_GUARD_INSTALL`), so
/// its cores have no stacks of them. It says so, and only then this may differ.
const LOST_STACKS: &[&[&str]] = &[&["threads"], &["problems"], &["locks"], &["tasks"]];

/// A core by gdb, and whether gdb says that it could not read something.
fn gcore(pid: u32, folder: &Path) -> Option<(PathBuf, bool)> {
    let prefix = folder.join("gcore");
    let mut command = Command::new("gcore");
    command.arg("-o").arg(&prefix).arg(pid.to_string());
    let done = command.stdin(Stdio::null()).output();
    let path = folder.join(format!("gcore.{pid}"));
    if let Some(done) = done.ok().filter(|done| done.status.success() && path.is_file()) {
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        // The kernel's page of system calls can be read by nobody.
        let mut failed = said.lines().filter(|line| line.contains("Memory read failed"));
        return Some((path, failed.any(|line| !line.contains("0xffffffffff600000"))));
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "gdb's gcore is not there");
    eprintln!("SKIPPED: gdb's gcore is not there");
    None
}

fn check(python: &Interpreter) {
    let label = python.label.as_str();
    let folder = folder(label);
    let kernel = kernel_writes_cores();
    let workload = match &kernel {
        Ok(()) => start_doomed(&python.path, &script("zoo.py"), ORDINARY_FILTER, &folder.0),
        Err(_) => Workload::start(&python.path, &script("zoo.py"), &[]),
    };
    let pid = workload.pid();
    let options = Options::default();
    let live = memwhy::capture(pid, &options).expect("it can be read");
    adds_up(label, &live);

    // The kernel calls its own `core`.
    let path = folder.0.join("ours");
    let patience = Duration::from_secs(60);
    let written = memwhy::write_core(pid, &path, Existing::Keep, patience).expect("room");
    assert_eq!(written.threads, live.threads.len(), "{label}");
    let open = |path: &Path| {
        memwhy::open_core(path, &CoreFiles::default(), &Options::default()).expect("a core")
    };
    let core = open(&path);
    same_objects(&format!("{label} memwhy core"), &live, &core);
    let differences: Vec<&[&str]> = [&[DESCRIPTORS, ASLEEP, DUE], PAGE_CACHE].concat();
    same_facts(&format!("{label} memwhy core"), &live, &core, &differences);
    adds_up(&format!("{label} memwhy core"), &core);
    assert!(core.about.tells(Untold::Residency), "{label}");
    for owner in Owner::ALL.into_iter().filter(|owner| *owner != Owner::FileClean) {
        assert_eq!(live.resident(owner), core.resident(owner), "{label}: {}", owner.id());
    }

    if let Some((path, lost)) = gcore(pid, &folder.0) {
        let theirs = open(&path);
        let ignored = if lost { Flags::ORPHAN } else { Flags::default() };
        same_objects_but(&format!("{label} gcore"), &live, &theirs, ignored);
        let lost = if lost { LOST_STACKS } else { &[] };
        let differences: Vec<&[&str]> = [&[DESCRIPTORS, ASLEEP, DUE], RESIDENCY, lost].concat();
        same_facts(&format!("{label} gcore"), &live, &theirs, &differences);
        adds_up(&format!("{label} gcore"), &theirs);
        assert!(!theirs.about.tells(Untold::Residency), "{label}");
        // A loader that was started with the program as its argument moves words on the stack; then
        // those of the kernel, of the stack and of the 80 bytes in a note are not the same.
        let (theirs, ours) = (&theirs.about.command, &live.about.command);
        let through_a_loader = label.starts_with("debian");
        assert!(theirs == ours || (through_a_loader && !theirs.is_empty()), "{label}: {theirs:?}");
    }

    let path = folder.0.join("kept.memwhy");
    memwhy::write(&live, &path, Values::Kept).expect("room");
    let snapshot = memwhy::open_snapshot(&path).expect("a snapshot");
    same_objects(&format!("{label} snap"), &live, &snapshot);
    same_facts(&format!("{label} snap"), &live, &snapshot, &[]);
    assert_eq!(json!(live.about.command), json!(snapshot.about.command), "{label}");

    match kernel {
        Ok(()) => {
            let theirs = open(&dump(workload, pid, &folder.0));
            same_objects(&format!("{label} kernel"), &live, &theirs);
            let differences: Vec<&[&str]> = [&[DESCRIPTORS, ASLEEP, DUE], RESIDENCY].concat();
            same_facts(&format!("{label} kernel"), &live, &theirs, &differences);
            adds_up(&format!("{label} kernel"), &theirs);
            assert_eq!(theirs.about.signal, Some(6), "{label}");
        }
        // A setting of the machine, which no test may change.
        Err(setting) => eprintln!("SKIPPED: no cores of the kernel: {setting}"),
    }
}

/// Every second build of the support table, from the first or from the second on: two tests, so that
/// two run at once.
fn check_every_second(first: usize) {
    assert!(!interpreters().is_empty(), "no interpreter was found");
    let known = require(&BUILDS);
    for python in known.iter().skip(first).step_by(2) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        check(python);
    }
}

#[test]
fn a_process_is_the_same_live_and_in_every_kind_of_file_that_is_made_of_it() {
    check_every_second(0);
}

#[test]
fn so_it_is_with_every_other_build() {
    check_every_second(1);
}
