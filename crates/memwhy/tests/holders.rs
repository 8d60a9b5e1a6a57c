//! Does each planted culprit get its cause, and its line of source?
//!
//! All workloads on three interpreters; on each of the others every fourth, another one each time a
//! release is added to the list, so that every workload meets several. `MEMWHY_ALL_HOLDERS=1` runs
//! all of them on all.

use memwhy::model::{Case, Flags, Owner};
use memwhy::{Options, Verdict};
use memwhy_reason::Ask;
use memwhy_reason::holders::{Known, KnownHolders};
use memwhy_report::Style;
use memwhy_testkit::tools::venv;
use memwhy_testkit::{BUILDS, Interpreter, Turn, Workload, require, script};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Runs every workload on every interpreter.
const ALL: &str = "MEMWHY_ALL_HOLDERS";
/// Elsewhere one workload in so many.
const EVERY: usize = 4;
/// A line is near another one in the same function.
const NEAR: u64 = 12;

/// A workload and the versions that it runs on.
struct Planted {
    name: &'static str,
    from: (u32, u32),
    until: (u32, u32),
}

const fn planted(name: &'static str) -> Planted {
    Planted { name, from: (2, 7), until: (4, 0) }
}

const fn since(name: &'static str, minor: u32) -> Planted {
    Planted { name, from: (3, minor), until: (4, 0) }
}

const PLANTED: [Planted; 29] = [
    planted("big_cache"),
    since("lru_method", 6),
    since("lru_unbounded", 6),
    planted("logging_handlers"),
    planted("logger_per_request"),
    planted("stored_exceptions"),
    planted("last_traceback"),
    planted("callbacks"),
    since("finalize_bound", 6),
    planted("atexit_callbacks"),
    since("asyncio_pending", 6),
    since("never_awaited", 6),
    planted("stuck_queue"),
    planted("dead_threads"),
    since("thread_locals", 6),
    planted("foreign_threads"),
    planted("orm_session"),
    planted("dynamic_classes"),
    planted("interned_strings"),
    planted("duplicated_strings"),
    planted("emptied_dict"),
    planted("memoryview_slices"),
    planted("gc_disabled"),
    since("gc_frozen", 7),
    Planted { name: "del_cycles", from: (2, 7), until: (3, 0) },
    Planted { name: "old_style_del", from: (2, 7), until: (3, 0) },
    planted("saveall"),
    planted("refcount_leak"),
    planted("code_cycles"),
];

/// Without GIL these deserve another verdict: the collector looks through code objects there, what the
/// dict had held stays with mimalloc, which is more than the dict, and each thread that never left has
/// pages of its own, nearly empty, which take more than its values.
const WITH_GIL: [&str; 3] = ["code_cycles", "emptied_dict", "foreign_threads"];

/// 2.7 with `Py_DEBUG` ends itself where a thread has the number of one that never left.
const BUT_2_7_DEBUG: &str = "foreign_threads";

/// What was found wrong, so that one run tells everything.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn expect(&mut self, holds: bool, said: impl FnOnce() -> String) {
        if !holds {
            self.0.push(said());
        }
    }
}

/// The workloads of one build, all of them or those of its turn.
fn check(label: &str, whole: bool, offset: usize) {
    let mut wrong = Wrong::default();
    look_at_all(label, whole, offset, &mut wrong);
    assert!(wrong.0.is_empty(), "{}", wrong.0.join("\n"));
}

fn look_at_all(label: &str, whole: bool, offset: usize, wrong: &mut Wrong) {
    for python in require(&[label]) {
        let all = whole || std::env::var_os(ALL).is_some();
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let version = (python.version.0, python.version.1);
        for (at, planted) in PLANTED.iter().enumerate() {
            let runs = planted.from <= version
                && version < planted.until
                && !(python.label.ends_with('t') && WITH_GIL.contains(&planted.name))
                && !(version == (2, 7)
                    && python.label.ends_with('d')
                    && planted.name == BUT_2_7_DEBUG);
            if runs && (all || at % EVERY == offset % EVERY) {
                look(python, planted.name, &[], wrong);
            }
        }
    }
}

fn look(python: &Interpreter, name: &str, env: &[(&str, &str)], wrong: &mut Wrong) {
    let label = format!("{name} on {}", python.label);
    let workload = Workload::start(&python.path, &script(&format!("{name}.py")), env);
    let case = memwhy::capture(workload.pid(), &Options::default())
        .unwrap_or_else(|error| panic!("{label}: {error}"));
    let verdict = memwhy::explain(&case);
    let screen = memwhy_report::text::explain(&case, &verdict, Style::default());
    let expected = &workload.ready()["expected"];
    let told =
        format!("{label}\n{screen}{}", memwhy_report::text::garbage(&case, 5, Style::default()));
    let before = wrong.0.len();
    wrong.expect(verdict.cause == expected["cause"].as_str(), || {
        format!("{label}: {:?} instead of {}\n{told}", verdict.cause, expected["cause"])
    });
    wrong.expect(screen.lines().count() <= 25, || format!("{label}: too long\n{screen}"));
    let owned: u64 = case.accounting.owners().map(|one| one.resident.0).sum();
    wrong.expect(owned + case.accounting.unexplained.0 == case.rss().0, || {
        format!("{label}: owners do not add up")
    });
    holder_is_named(&case, &verdict, expected, &told, wrong);
    if let Some(objects) = expected["objects"].as_u64() {
        counts_agree(&case, verdict.cause, objects, &told, wrong);
    }
    let first = verdict.finding().and_then(|finding| finding.holders.first());
    let place = first.and_then(|it| Some(format!("{}:{}", it.file.as_deref()?, it.line?)));
    eprintln!(
        "{} {label}: {}, {}",
        if wrong.0.len() == before { "named " } else { "WRONG " },
        verdict.cause.unwrap_or("nothing"),
        place.as_deref().and_then(|place| place.rsplit('/').next()).unwrap_or("no line"),
    );
}

/// The rule that knows it, and the line of source.
fn holder_is_named(
    case: &Case,
    verdict: &Verdict,
    expected: &Value,
    told: &str,
    wrong: &mut Wrong,
) {
    let Some(place) = expected.get("place") else { return };
    let rule = expected["rule"].as_str().unwrap_or_default();
    let near = expected["place_is_near"] == true;
    let is_there = |file: Option<&str>, line: Option<u32>| {
        let wanted = place["line"].as_u64().unwrap_or(0);
        let line = u64::from(line.unwrap_or(0));
        file.and_then(|file| file.rsplit('/').next()) == place["file"].as_str()
            && (line == wanted || near && line.abs_diff(wanted) <= NEAR)
    };
    let Some(finding) = verdict.finding() else { return };
    let first = finding.holders.first();
    wrong.expect(first.is_some_and(|it| is_there(it.file.as_deref(), it.line)), || {
        format!("{place} is not the place of {first:#?}\n{told}")
    });
    if finding.cause == "python-objects" {
        let ask = Ask::new(case);
        let known = ask.get::<KnownHolders>();
        let rules: Vec<&Known> = known.iter().filter(|known| known.rule == rule).collect();
        wrong.expect(!rules.is_empty(), || format!("{rule} is not among {known:#?}\n{told}"));
    }
}

/// As many objects as were made, but for a handful that the interpreter still has.
fn counts_agree(case: &Case, judged: Option<&str>, objects: u64, told: &str, wrong: &mut Wrong) {
    let ask = Ask::new(case);
    let unfreed = ask.get::<memwhy_reason::analyses::Garbage>();
    let (counted, owner) = match judged {
        Some("uncollected-cycles") => {
            (unfreed.cycles.first().map_or(0, |group| group.count), Owner::PythonGarbage)
        }
        _ => (unfreed.leaks.first().map_or(0, |leak| leak.count), Owner::PythonOrphans),
    };
    wrong.expect(counted.abs_diff(objects) * 50 < objects, || {
        format!("{counted} objects instead of {objects}\n{told}")
    });
    wrong.expect(case.resident(owner).0 > 8 << 20, || format!("{owner:?} has little\n{told}"));
}

#[test]
fn small_views_of_large_arrays_are_named() {
    let Some(venv) = venv("parquet-venv", None) else { return };
    let python = Interpreter::at(&venv.join("bin/python")).expect("a Python");
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let mut wrong = Wrong::default();
    look(&python, "numpy_views", &[], &mut wrong);
    assert!(wrong.0.is_empty(), "{}", wrong.0.join("\n"));
}

/// Compiles `workloads/c/NAME.c` for an interpreter, and returns the folder of `NAME.so`.
fn compiled(python: &Interpreter, name: &str) -> String {
    let asked = "import sysconfig; print(sysconfig.get_paths()['include'])";
    let include = Command::new(&python.path).args(["-c", asked]).output().expect("it runs");
    let include = String::from_utf8(include.stdout).expect("a path");
    let folder = format!("{name}-{}", python.label);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-I", include.trim(), "-o"])
        .arg(folder.join(format!("{name}.so")))
        .arg(script(&format!("c/{name}.c")))
        .output()
        .expect("scripts/setup installs a compiler");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    folder.display().to_string()
}

/// What does not say to the collector what it holds: an extension that was compiled for this.
#[test]
fn cycles_through_c_that_tells_the_collector_nothing_are_named() {
    for python in require(&["3.8.18", "3.11.7", "3.13.0"]) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let folder = compiled(python, "untraversed");
        let mut wrong = Wrong::default();
        look(python, "untraversed", &[("MODULES", &folder)], &mut wrong);
        assert!(wrong.0.is_empty(), "{}", wrong.0.join("\n"));
    }
}

/// It would be taken for one that only a wrong count keeps.
#[test]
fn an_object_that_a_function_has_in_a_register_alone_is_held() {
    for python in require(&["2.7.18", "3.11.7", "3.13t"]) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let folder = compiled(python, "in_register");
        let env = [("MODULES", folder.as_str())];
        let workload = Workload::start(&python.path, &script("in_register.py"), &env);
        let case = memwhy::capture(workload.pid(), &Options::default()).expect("a process");
        let heap = case.heap.as_ref().expect("a heap");
        let bytes = workload.ready()["bytes"].as_u64().expect("a size");
        let kept = heap.ids().find(|id| heap.footprint(*id).0 >= bytes).expect("it is there");
        assert!(!heap.flags(kept).has(Flags::ORPHAN), "{}", python.label);
        let root = heap.roots().iter().find(|root| root.object == kept);
        let root = root.map(|root| root.name.as_str());
        assert_eq!(root, Some("a register of holding"), "{}", python.label);
    }
}

#[test]
fn culprits_are_named_on_2_7() {
    check("2.7.18", true, 0);
}

#[test]
fn culprits_are_named_on_3_8() {
    check("3.8.18", true, 0);
}

#[test]
fn culprits_are_named_on_3_12() {
    check("3.12.1", true, 0);
}

#[test]
fn culprits_are_named_on_all_others() {
    let others = [
        "3.6.15",
        "3.7.16",
        "3.9.18",
        "3.10.13",
        "debian-3.11",
        "3.11.7",
        "3.13.0",
        "debian-3.13",
        "debian-3.14",
        "debian-3.15",
    ];
    let mut wrong = Wrong::default();
    for (offset, label) in others.into_iter().enumerate() {
        look_at_all(label, false, offset, &mut wrong);
    }
    // The builds that share all but their layouts with one of these.
    if std::env::var_os(ALL).is_some() {
        let whole = ["2.7.18", "3.8.18", "3.12.1"];
        let rest =
            BUILDS.iter().filter(|build| ![&whole[..], &others[..]].concat().contains(build));
        for label in rest {
            look_at_all(label, true, 0, &mut wrong);
        }
    }
    assert!(wrong.0.is_empty(), "{}", wrong.0.join("\n"));
}
