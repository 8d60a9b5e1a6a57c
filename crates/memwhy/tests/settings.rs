//! Are objects found whatever serves their memory, and in whatever interpreter they are?

use memwhy::Options;
use memwhy::model::{Case, GcFacts};
use memwhy_testkit::{Truth, Turn, Workload, require, script};
use std::collections::BTreeSet;
use std::path::Path;

/// An interpreter of each way to keep arenas: static, in the interpreter's state, behind a pointer.
const ONE_OF_EACH: [&str; 3] = ["3.9", "3.12", "3.13"];

fn capture(workload: &Workload) -> Case {
    memwhy::capture(workload.pid(), &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// What CPython can be told with `PYTHONMALLOC`, of the interpreters in [`ONE_OF_EACH`]. Without GIL
/// it has nothing but mimalloc; of that 3.13 and 3.15 have releases that are laid out differently.
const SETTINGS: [(&str, &[&str]); 5] = [
    ("3.9", &["malloc", "debug", "malloc_debug"]),
    ("3.12", &["malloc", "debug", "malloc_debug"]),
    ("3.13", &["malloc", "debug", "malloc_debug", "mimalloc", "mimalloc_debug"]),
    ("debian-3.15", &["mimalloc"]),
    ("3.13t", &["debug"]),
];

#[test]
fn objects_are_found_whatever_pythonmalloc_says() {
    for (wanted, settings) in SETTINGS {
        let here = require(&[wanted]);
        for (python, setting) in here.iter().flat_map(|one| settings.iter().map(move |s| (one, s)))
        {
            let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
            let environment = [("PYTHONMALLOC", *setting)];
            let mut workload = Workload::start(&python.path, &script("zoo.py"), &environment);
            let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
                .join(format!("{}-{setting}.truth", python.label));
            workload.command(&format!("hold truth {}", path.display()));
            let case = capture(&workload);
            workload.command("resume");
            let truth = Truth::read(&path).unwrap_or_else(|what| panic!("{what}"));
            std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
            let heap = case.heap.as_ref().expect("a heap");
            let found = truth.addresses.iter().filter(|addr| heap.find(**addr).is_some()).count();
            let label = format!("{} {setting}: {found} of {}", python.label, truth.len());
            assert!(found * 1000 >= truth.len() * 999, "{label}");
            assert!(heap.complete() && case.problems.is_empty(), "{label}: {:?}", case.problems);
            let mimalloc = setting.starts_with("mimalloc") || python.label.ends_with('t');
            assert_eq!(case.mimalloc.is_some(), mimalloc, "{label}");
        }
    }
}

/// Debian's is not position-independent: its heap is where counts of references may point.
#[test]
fn frozen_objects_are_no_less_where_their_count_is_an_address_of_the_heap() {
    for python in require(&["debian-3.11"]) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let start = || Workload::start(&python.path, &script("low_heap.py"), &[]);
        // One in fourteen begins too high.
        let mut tries = std::iter::repeat_with(start).take(20);
        let found = tries.find(|workload| workload.ready()["covered"] == true);
        let workload = found.unwrap_or_else(|| panic!("{}: not below", python.label));
        let case = capture(&workload);
        assert!(case.problems.is_empty(), "{}: {:?}", python.label, case.problems);
    }
}

#[test]
fn every_interpreter_of_a_process_is_read() {
    for python in require(&ONE_OF_EACH) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let workload = Workload::start(&python.path, &script("subinterpreters.py"), &[]);
        let case = capture(&workload);
        let heap = case.heap.as_ref().expect("a heap");
        for number in 1..=2 {
            let name = format!("interpreter {number}: sys.modules['__main__'].DATA");
            let root = heap.roots().iter().find(|root| root.name == name);
            let root = root.unwrap_or_else(|| panic!("{}: no {name}", python.label));
            assert_eq!(heap.references(root.object).len(), 100_000, "{}", python.label);
        }
        let ids: BTreeSet<Option<i64>> = case.interpreters.iter().map(|one| one.id).collect();
        assert_eq!(ids, (0..3).map(Some).collect(), "{}", python.label);
        assert_eq!(case.interpreters[0].threads.first(), Some(&workload.pid()), "{}", python.label);
        // From 3.9 on, and these are not older, each has a collector of its own.
        let own = case.interpreters.iter().filter_map(|one| one.gc.as_ref());
        let own: Vec<&GcFacts> = own.collect();
        assert_eq!(own.len(), 2, "{}", python.label);
        for gc in own {
            assert!(gc.enabled == Some(true) && gc.tracked > 100, "{}: {gc:?}", python.label);
            assert!(gc.thresholds[0] > 0, "{}: {gc:?}", python.label);
        }
        let verdict = memwhy::explain(&case);
        assert_eq!(verdict.cause, Some("python-objects"), "{}", python.label);
        assert!(case.problems.is_empty(), "{}: {:?}", python.label, case.problems);
    }
}
