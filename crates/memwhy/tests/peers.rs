//! Do guppy and objgraph, inside of a program, count what memwhy counts from outside?
//!
//! `workloads/peers.py` has both look at a forked copy of itself; the differences that remain are
//! those of docs/from-guppy-and-objgraph.md.

use memwhy::Options;
use memwhy::model::{Addr, Case, ObjectId, RootKind};
use memwhy_reason::analyses::{By, RetainedSizes};
use memwhy_reason::{Ask, GroupBy, Groups, Meant, Paths, Selection, meant};
use memwhy_testkit::tools::venv;
use memwhy_testkit::{Turn, Workload, require, script};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Runs all interpreters that guppy3 and objgraph can be had for; in CI it is some.
const ALL: &str = "MEMWHY_ALL_PEERS";

#[test]
fn guppy_and_objgraph_see_inside_what_is_seen_from_outside() {
    let Some(own) = venv("guppy-venv", None) else { return };
    both_are_compared(&own.join("bin/python"));
    let all = std::env::var_os(ALL).is_some();
    let more: &[&str] =
        if all { &["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"] } else { &["3.8", "3.13.0"] };
    for python in require(more) {
        let Some(venv) = venv("guppy-venv", Some(&python.path)) else { return };
        both_are_compared(&venv.join("bin/python"));
    }
}

/// It is of Python alone, and runs wherever its file is.
#[test]
fn every_step_of_a_chain_of_objgraph_is_a_reference() {
    let Some(own) = venv("guppy-venv", None) else { return };
    let asked = "import objgraph, os; print(os.path.dirname(objgraph.__file__))";
    let asked = Command::new(own.join("bin/python")).args(["-c", asked]).output();
    let folder = String::from_utf8(asked.expect("it runs").stdout).expect("a path");
    let all = std::env::var_os(ALL).is_some();
    let pythons: &[&str] = if all {
        &["3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "debian-3.14", "debian-3.15"]
    } else {
        &["3.7", "3.10", "3.12", "debian-3.15"]
    };
    for python in require(pythons) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let env = [("PEERS", folder.trim())];
        let workload = Workload::start(&python.path, &script("peers.py"), &env);
        let case = memwhy::capture(workload.pid(), &Options::default()).expect("a process");
        chains_are_paths(&python.label, &case, &workload.ready()["peers"]);
    }
}

/// Where objgraph finds a way from a module memwhy has one too, and each of objgraph's steps.
fn chains_are_paths(label: &str, case: &Case, peers: &Value) {
    let ask = Ask::new(case);
    let heap = case.heap.as_ref().expect("a heap");
    let paths = Paths::new(&ask);
    let chains = peers["chains"].as_array().expect("chains");
    assert!(chains.len() > 8, "{label}");
    for chain in chains {
        let chain = chain.as_array().expect("a chain").iter();
        let steps: Vec<Addr> = chain.map(|step| Addr(step.as_u64().expect("an address"))).collect();
        assert!(steps.len() > 1, "{label}: objgraph finds no module that leads to {steps:?}");
        let find = |at: &Addr| heap.find(*at).unwrap_or_else(|| panic!("{label}: nothing at {at}"));
        let steps: Vec<ObjectId> = steps.iter().map(find).collect();
        for pair in steps.windows(2) {
            let leads = heap.references(pair[0]).contains(&pair[1]);
            let (from, to) = (heap.addr(pair[0]), heap.addr(pair[1]));
            let name = |id| heap.type_row(heap.type_of(id)).map_or("?", |row| row.name.as_str());
            assert!(leads, "{label}: {} {from} -> {} {to}", name(pair[0]), name(pair[1]));
        }
        let last = *steps.last().expect("an object");
        let path = paths.to(last).unwrap_or_else(|| panic!("{label}: no path to {last:?}"));
        assert_eq!(path.root, Some(RootKind::Modules), "{label}: {}", path.text);
    }
}

fn both_are_compared(python: &Path) {
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let workload = Workload::start(python, &script("peers.py"), &[]);
    let case = memwhy::capture(workload.pid(), &Options::default()).expect("a process");
    let (ask, ready) = (Ask::new(&case), workload.ready());
    let peers = &ready["peers"];
    chains_are_paths(&python.display().to_string(), &case, peers);
    let payload = ready["payload"].as_u64().expect("a size");

    let groups = |selection: &Selection| Groups::of(&ask, selection, By::Count).expect("groups");
    let of_type =
        |name: &str| groups(&Selection { of_type: Some(name.into()), ..Selection::default() });
    for (name, count) in [("Payload", 704u64), ("Session", 500)] {
        let ours = of_type(&format!("__main__.{name}"));
        assert_eq!(ours.objects, count, "{name}");
        assert_eq!(peers["guppy"][name][0].as_u64(), Some(count), "guppy: {name}");
        let theirs = peers["guppy"][name][1].as_u64().expect("bytes");
        let off = ours.bytes.0.abs_diff(theirs);
        assert!(off * 50 <= theirs, "{name}: {} bytes, guppy {theirs}", ours.bytes.0);
    }
    // A class with slots of untracked values is tracked all the same, and a deque is.
    assert_eq!(peers["objgraph"]["Session"].as_u64(), Some(500));

    let kept = ask.get::<RetainedSizes>();
    for name in ["LAST", "STORE", "QUEUE"] {
        let Ok(Meant::Object(object)) = meant(&ask, name) else { panic!("{name}") };
        let theirs = peers["domisize"][name].as_u64().expect("bytes");
        let off = kept.bytes(object).0.abs_diff(theirs);
        assert!(off * 20 <= theirs, "{name}: {} retained, guppy {theirs}", kept.bytes(object));
    }

    let Ok(Meant::Object(object)) = meant(&ask, "LAST['body'][1]") else { panic!("LAST") };
    let path = Paths::new(&ask).to(object).expect("a path").text;
    assert_eq!(path, "sys.modules['__main__'].LAST['body'][1]");
    let shortest = peers["shpaths"].as_str().expect("paths");
    assert!(shortest.contains("['body'][1]"), "guppy: {shortest}");
    let chain = peers["chain"].as_array().expect("a chain");
    assert_eq!(chain.first().and_then(|first| first.as_str()), Some("module"), "objgraph");

    let by_referrer = groups(&Selection {
        by: GroupBy::Referrer,
        of_type: Some("__main__.Payload".into()),
        ..Selection::default()
    });
    let rows: Vec<(&str, u64)> =
        by_referrer.rows.iter().map(|row| (row.key.as_str(), row.objects)).collect();
    assert_eq!(
        rows,
        [("__main__.Session", 500), ("collections.deque", 200), ("list", 3), ("dict of module", 1)]
    );
    assert!(of_type("__main__.Payload").bytes.0 >= 704 * payload);
}
