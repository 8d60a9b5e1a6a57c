//! Do guppy and objgraph, inside of a program, count what memwhy counts from outside?
//!
//! `workloads/peers.py` has both look at a forked copy of itself; the differences that remain are
//! those of docs/from-guppy-and-objgraph.md.

use memwhy::Options;
use memwhy_reason::analyses::{By, RetainedSizes};
use memwhy_reason::{Ask, GroupBy, Groups, Meant, Paths, Selection, meant};
use memwhy_testkit::{Turn, Workload, script};
use std::path::Path;
use std::process::Command;

#[test]
fn guppy_and_objgraph_see_inside_what_is_seen_from_outside() {
    let scripts = script("..").join("scripts");
    let made = Command::new(scripts.join("guppy-venv")).output();
    let made = made.ok().filter(|output| output.status.success());
    let Some(made) = made else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "guppy-venv cannot be made");
        eprintln!("SKIPPED: scripts/guppy-venv cannot be made");
        return;
    };
    let venv = String::from_utf8(made.stdout).expect("a path");
    let python = Path::new(venv.trim()).join("bin/python");
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let workload = Workload::start(&python, &script("peers.py"), &[]);
    let case = memwhy::capture(workload.pid(), &Options::default()).expect("a process");
    let (ask, ready) = (Ask::new(&case), workload.ready());
    let peers = &ready["peers"];
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
