//! Is the walk of malloc exact on every release of glibc that can be had?
//!
//! A program in C, built once, runs on each and says what `mallinfo` counts; a Python besides on one
//! that no interpreter of the other tests has.

use memwhy::model::{Case, GlibcFacts, HeapGraph};
use memwhy::{Options, capture};
use memwhy_testkit::{Turn, Workload, interpreters, script};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Has malloc ask for huge pages, whether or not the kernel has any.
const HUGE: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=2");

fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Versions and the wrappers that run a program on each; none where they cannot be had.
fn glibcs() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::create_dir_all(root.join(".cache")).expect("a folder can be made");
    // One at a time: the lists of packages are the same that interpreters come from.
    let made = Command::new("flock")
        .arg(root.join(".cache/debian-pythons.lock"))
        .arg(root.join("scripts/glibcs"))
        .output()
        .expect("flock runs");
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    let why = String::from_utf8_lossy(&made.stderr).into_owned();
    let found: Vec<(String, PathBuf)> = said
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(version, wrapper)| (version.to_owned(), wrapper.into()))
        .collect();
    for line in why.lines().filter(|line| line.contains("not to be had")) {
        eprintln!("SKIPPED: {line}");
    }
    if found.len() < 4 {
        let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!in_ci, "glibc of four releases at least: {found:?}; {why}");
        eprintln!("SKIPPED: glibc of Debian's releases: {why}");
    }
    found
}

fn field() -> PathBuf {
    let program = scratch().join("glibc_field");
    let built = Command::new("cc")
        .args(["-O1", "-w", "-nostartfiles", "-no-pie", "-o"])
        .arg(&program)
        .arg(script("glibc_field.c"))
        .status()
        .expect("cc runs");
    assert!(built.success(), "glibc_field.c does not compile");
    program
}

fn facts<'a>(case: &'a Case, label: &str) -> &'a GlibcFacts {
    let malloc = case.malloc.as_ref().unwrap_or_else(|| panic!("{label}: no malloc"));
    assert!(malloc.walked, "{label}: {:?}", case.problems);
    let glibc = malloc.glibc.as_ref().unwrap_or_else(|| panic!("{label}: {}", malloc.name));
    for arena in &glibc.arenas {
        assert!(arena.complete && arena.walked == arena.system, "{label}: {arena:?}");
    }
    assert_eq!(glibc.mmapped, glibc.mmapped_stated, "{label}");
    assert_eq!(glibc.found_by, "relocation and memory", "{label}");
    glibc
}

fn mallinfo(facts: &GlibcFacts) -> Value {
    let info = &facts.mallinfo;
    json!({
        "arena": info.arena, "ordblks": info.ordblks, "smblks": info.smblks,
        "hblks": info.hblks, "hblkhd": info.hblkhd, "fsmblks": info.fsmblks,
        "uordblks": info.uordblks, "fordblks": info.fordblks, "keepcost": info.keepcost,
    })
}

/// Runs the program on each release with `env`, and compares.
fn compare(env: &[(&str, &str)]) {
    let releases = glibcs();
    if releases.is_empty() {
        return;
    }
    let program = field();
    let _turn = Turn::take(scratch());
    for (version, wrapper) in &releases {
        let label = format!("glibc {version}");
        let target = Workload::start(wrapper, &program, env);
        let case = capture(target.pid(), &Options::default())
            .unwrap_or_else(|error| panic!("{label}: {error}"));
        let glibc = facts(&case, &label);
        let malloc = case.malloc.as_ref().expect("it was there");
        assert_eq!(malloc.name, label);
        assert_eq!(glibc.arenas.len(), 4, "{label}");
        assert_eq!(mallinfo(glibc), target.ready()["mallinfo"], "{label}");
        // To `mallinfo` caches of threads are in use. There are such since 2.26.
        let minor: Option<u32> = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
        assert_eq!(glibc.tcache.0 > 0, minor >= Some(26), "{label}: {}", glibc.tcache);
        eprintln!("{label}: 9 of 9 fields equal, {} arenas", glibc.arenas.len());
    }
}

#[test]
fn what_mallinfo_counts_on_each_release_is_what_the_walk_finds() {
    compare(&[]);
}

/// 2.35 to 2.41 align heaps of arenas to four huge pages then, also where the kernel has none.
#[test]
fn what_malloc_does_with_huge_pages_on_each_release_is_walked_as_exactly() {
    compare(&[HUGE]);
}

#[test]
fn a_python_on_each_release_that_can_run_one_is_read_as_exactly() {
    let releases = glibcs();
    if releases.is_empty() {
        return;
    }
    let debian = PathBuf::from("/usr/bin/python3.11");
    let known = interpreters().iter().rev().map(|interpreter| interpreter.path.clone());
    let pythons: Vec<PathBuf> = [debian].into_iter().chain(known).collect();
    let _turn = Turn::take(scratch());
    for (version, wrapper) in &releases {
        // They ask for symbols of the glibc that they were built on, and so do their libraries.
        let runs = |python: &&PathBuf| {
            let run = Command::new(wrapper).arg(python).args(["-c", "import ctypes"]).output();
            run.expect("a shell runs").status.success()
        };
        let Some(python) = pythons.iter().find(runs) else {
            eprintln!("SKIPPED: a Python on glibc {version}: it is too old for each of them");
            continue;
        };
        read_python(python, version, wrapper, &[]);
        read_python(python, version, wrapper, &[HUGE]);
        eprintln!("{} on glibc {version}: exact", python.display());
    }
}

fn read_python(python: &Path, version: &str, wrapper: &Path, env: &[(&str, &str)]) {
    let label = format!("{} on glibc {version} {env:?}", python.display());
    // A script for a shell, which starts Python with the workload.
    let run = scratch().join("python-on-another-glibc.sh");
    let workload = script("thread_arenas.py");
    let parts = [wrapper, python, &workload].map(|path| path.display().to_string());
    std::fs::write(&run, format!("exec {}\n", parts.join(" "))).expect("it can be written");
    let mut target = Workload::start(Path::new("/bin/sh"), &run, env);
    let case = capture(target.pid(), &Options::default())
        .unwrap_or_else(|error| panic!("{label}: {error}"));
    assert!(case.about.python.is_some(), "{label}");
    let glibc = facts(&case, &label);
    assert!(case.heap.as_ref().is_some_and(HeapGraph::complete), "{label}: {:?}", case.problems);
    let returned = target.command("trim");
    let kib = |key: &str| returned[key].as_u64().expect("a number");
    let returned = kib("before_rss_kib").saturating_sub(kib("after_rss_kib")) << 10;
    let off = glibc.trim_returns.0.abs_diff(returned);
    assert!(
        off <= (256 << 10).max(returned / 20),
        "{label}: {} and {returned}",
        glibc.trim_returns.0
    );
}
