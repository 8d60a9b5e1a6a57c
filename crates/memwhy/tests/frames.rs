//! Is the memory found that libraries take past malloc, and is it called by their names?
//!
//! pyarrow with each of the pools that it brings along, beside polars with its jemalloc; what the
//! libraries say of themselves is compared.

use memwhy::model::{Bytes, Carried, Case, Owner};
use memwhy::{Options, Verdict};
use memwhy_report::Style;
use memwhy_testkit::tools::venv;
use memwhy_testkit::{Turn, Workload, script};
use std::path::Path;

fn look(workload: &Workload, label: &str) -> (Case, Verdict) {
    let case = memwhy::capture(workload.pid(), &Options::default()).expect("a capture");
    let verdict = memwhy::explain(&case);
    let screen = memwhy_report::text::explain(&case, &verdict, Style::default());
    eprintln!("{label}\n{screen}");
    let owned: u64 = case.accounting.owners().map(|one| one.resident.0).sum();
    assert_eq!(owned + case.accounting.unexplained.0, case.rss().0, "{label}");
    (case, verdict)
}

#[track_caller]
fn of<'a>(case: &'a Case, library: &str, name: &str) -> &'a Carried {
    let found = case.carried.iter().find(|one| one.library().starts_with(library));
    let found = found.unwrap_or_else(|| panic!("{library} in {:?}", case.carried));
    assert_eq!(found.name, name);
    found
}

#[track_caller]
fn near(ours: Bytes, theirs: u64, what: &str) {
    let off = ours.0.abs_diff(theirs);
    eprintln!("{what}: {ours}, and it counts {}", Bytes(theirs));
    // Ends of pages, what temporary results leave in caches, of mimalloc pages that are begun.
    assert!(off * 10 <= theirs, "{what}: {ours} for {}", Bytes(theirs));
}

#[test]
fn tables_and_frames_are_told_by_the_allocator_of_their_library() {
    let Some(venv) = venv("frames-venv", None) else { return };
    let python = venv.join("bin/python");
    for pool in ["mimalloc", "jemalloc"] {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let mut workload = Workload::start(&python, &script("frames.py"), &[("FRAMES_POOL", pool)]);
        let counted = |name: &str| workload.ready()[name].as_u64().expect("a number");
        let (table, frame) = (counted("table_bytes"), counted("frame_bytes"));
        let (case, verdict) = look(&workload, pool);
        let arrow = of(&case, "libarrow", pool);
        near(arrow.used, table, "Arrow's pool");
        assert!(arrow.resident.0 >= table, "{arrow:?}");
        let polars = of(&case, "_polars", "jemalloc");
        assert!(polars.used.0 >= frame && polars.used.0 < frame * 2, "{polars:?} of {frame}");
        let resident: u64 = case.carried.iter().map(|one| one.resident.0).sum();
        assert_eq!(case.resident(Owner::OtherAllocator).0, resident);
        // No mapping of theirs is nobody's.
        assert!(case.resident(Owner::AnonOther).0 * 20 < case.rss().0, "{:?}", case.accounting);
        assert!(case.accounting.unexplained.0 * 20 < case.rss().0, "{:?}", case.accounting);
        assert_eq!(verdict.cause, Some("library-allocator"), "{}", verdict.summary);
        assert!(verdict.summary.contains("pyarrow's own allocator"), "{}", verdict.summary);
        let shown = memwhy_report::text::malloc(&case, Style::default());
        assert!(shown.contains("pyarrow's own") && shown.contains("polars's own"), "{shown}");

        let left = workload.command("drop")["bytes"].as_u64().expect("a number");
        let (after, _) = look(&workload, &format!("{pool}, three quarters dropped"));
        near(of(&after, "libarrow", pool).used, left, "Arrow's pool");
        workload.command("release");
        let (released, _) = look(&workload, &format!("{pool}, released"));
        let arrow = of(&released, "libarrow", pool);
        near(arrow.used, left, "Arrow's pool");
        // The call that the screen names gives back what it calls free.
        assert!(arrow.kept_resident < Bytes::mib(8), "{arrow:?}");
        let expected = after.rss().minus(of(&after, "libarrow", pool).kept_resident);
        assert!(
            released.rss().0.abs_diff(expected.0) < 8 << 20,
            "{} where {expected} were expected",
            released.rss()
        );
    }
}

/// RSS of a workload that was started with `cure` and has followed `commands`.
fn rss_with(python: &Path, cure: (&str, &str), commands: &[&str]) -> Bytes {
    let env = [("FRAMES_POOL", "mimalloc"), cure];
    let mut workload = Workload::start(python, &script("frames.py"), &env);
    for command in commands {
        workload.command(command);
    }
    memwhy::capture(workload.pid(), &Options::default()).expect("a capture").rss()
}

/// The setting that the first cure names, and the RSS that it predicts.
fn first_cure(verdict: &Verdict) -> ((&str, &str), Bytes) {
    let cure = verdict.finding().and_then(|finding| finding.remedies.first()).expect("a cure");
    let setting = cure.action.strip_prefix("start with ").and_then(|set| set.split_once('='));
    (setting.expect(&cure.action), cure.expected_rss.expect("a prediction"))
}

#[track_caller]
fn kept_its_promise(then: Bytes, promised: Bytes) {
    eprintln!("{then} where {promised} were promised");
    assert!(then.0.abs_diff(promised.0) < 12 << 20, "{then} where {promised} were promised");
}

#[test]
fn a_mimalloc_of_old_is_told_and_what_is_advised_helps() {
    let Some(venv) = venv("arrow-venv", None) else { return };
    let python = venv.join("bin/python");
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let mut workload =
        Workload::start(&python, &script("frames.py"), &[("FRAMES_POOL", "mimalloc")]);
    let table = workload.ready()["table_bytes"].as_u64().expect("a number");
    let (case, _) = look(&workload, "pyarrow 14");
    let arrow = of(&case, "libarrow", "mimalloc");
    near(arrow.used, table, "Arrow's pool");
    let release = arrow.release.as_deref();
    assert!(release.is_some_and(|release| release.starts_with("2.0.6")), "{arrow:?}");

    let left = workload.command("drop")["bytes"].as_u64().expect("a number");
    let (after, verdict) = look(&workload, "pyarrow 14, three quarters dropped");
    let arrow = of(&after, "libarrow", "mimalloc");
    near(arrow.used, left, "Arrow's pool");
    // The call that helps with other pools returns nothing of this one, and is not advised.
    workload.command("release");
    let (released, _) = look(&workload, "pyarrow 14, released");
    let kept = of(&released, "libarrow", "mimalloc").kept_resident;
    assert!(kept.0.abs_diff(arrow.kept_resident.0) < 8 << 20, "{kept} of {arrow:?}");
    drop(workload);
    let (cure, promised) = first_cure(&verdict);
    assert_eq!(cure, ("MIMALLOC_DECOMMIT_DELAY", "0"));
    kept_its_promise(rss_with(&python, cure, &["drop"]), promised);
}

#[test]
fn what_is_advised_against_what_polars_keeps_helps() {
    let Some(venv) = venv("frames-venv", None) else { return };
    let python = venv.join("bin/python");
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let mut workload =
        Workload::start(&python, &script("frames.py"), &[("FRAMES_POOL", "mimalloc")]);
    // Then Arrow's are out of the way.
    let commands = ["drop", "release", "drop_frame"];
    for command in commands {
        workload.command(command);
    }
    let (_, verdict) = look(&workload, "frame dropped");
    drop(workload);
    assert!(verdict.summary.contains("polars's own allocator"), "{}", verdict.summary);
    let (cure, promised) = first_cure(&verdict);
    assert_eq!(cure.0, "_RJEM_MALLOC_CONF");
    kept_its_promise(rss_with(&python, cure, &commands), promised);
}
