//! Who keeps memory of C in programs that have nothing wrong with them?
//!
//! What libraries count themselves is compared with the rows of holders: NumPy's arrays as
//! `tracemalloc` has them, SQLite's own count, nodes of documents.

use memwhy::Options;
use memwhy::model::{Case, HolderKind, Holding};
use memwhy_reason::Ask;
use memwhy_reason::analyses::NativeGrowth;
use memwhy_report::Style;
use memwhy_target::core_file::write::Existing;
use memwhy_testkit::tools::{compiled, venv};
use memwhy_testkit::{Turn, Workload, require, script};
use std::path::{Path, PathBuf};

fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn capture(workload: &Workload) -> Case {
    memwhy::capture(workload.pid(), &Options::default()).expect("a capture")
}

/// What all holders with one of these names have besides objects.
fn held_by(case: &Case, names: &[&str]) -> u64 {
    let native = case.native_memory.as_ref().expect("a search");
    let is_one = |of: &&Holding| of.names.iter().any(|name| names.contains(&name.as_str()));
    let rows = native.holders.iter().filter(is_one);
    rows.map(|of| of.direct.plus(of.through).bytes.0).sum()
}

fn chunks_of(case: &Case, names: &[&str]) -> u64 {
    let native = case.native_memory.as_ref().expect("a search");
    let is_one = |of: &&Holding| of.names.iter().any(|name| names.contains(&name.as_str()));
    native.holders.iter().filter(is_one).map(|of| of.all().chunks).sum()
}

#[track_caller]
fn near(ours: u64, theirs: u64, percent: u64, what: &str) {
    let off = ours.abs_diff(theirs);
    assert!(off * 100 <= theirs * percent, "{what}: {ours} for {theirs}");
}

#[test]
fn each_library_has_what_it_counts_itself_and_nothing_is_lost() {
    let Some(venv) = venv("healthy-venv", None) else { return };
    let python = venv.join("bin/python");
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let workload = Workload::start(&python, &script("native_libraries.py"), &[]);
    let case = capture(&workload);
    let screen = memwhy_report::text::held(&case, 15, Style::default());
    eprintln!("{screen}");
    let native = case.native_memory.as_ref().expect("a search");
    let lost = native.lost();
    assert!(lost.bytes.0 * 1000 < native.all.bytes.0, "{lost:?} of {:?}", native.all);
    let verdict = memwhy::explain(&case);
    assert_ne!(verdict.cause, Some("native-leak"), "{}", verdict.summary);

    let counted = |name: &str| workload.ready()[name].as_u64().expect("a number");
    near(held_by(&case, &["numpy.ndarray"]), counted("arrays_bytes"), 2, "arrays");
    let sqlite = ["sqlite3.Connection", "sqlite3.Statement", "sqlite3.Cursor", "libsqlite3.so.0"];
    let (database, least) = (held_by(&case, &sqlite), counted("sqlite_bytes"));
    // Pages of a database are not cleared: what was there before may lead on.
    assert!(database >= least / 20 * 19 && database <= least * 2, "{database} for {least}");
    let nodes = chunks_of(&case, &["lxml.etree._Document", "lxml.etree._Element"]);
    let least = counted("nodes");
    assert!(nodes >= least && nodes <= least * 2, "{nodes} chunks for {least} nodes");
    assert!(held_by(&case, &["ssl.SSLContext"]) > 1 << 20);
    // All holders together are all that is in use.
    let sum: u64 = native.holders.iter().map(|of| of.all().bytes.0).sum();
    assert_eq!(sum, native.all.bytes.0);

    // A snapshot has the same, but for text.
    let folder = temporary("native-libraries.memwhy");
    let _ = std::fs::remove_dir_all(&folder);
    memwhy::write(&case, &folder, memwhy::Values::LeftOut).expect("a snapshot");
    let stored = memwhy::open(&folder).expect("the snapshot");
    std::fs::remove_dir_all(&folder).expect("it is there");
    let again = stored.native_memory.as_ref().expect("holders");
    assert_eq!(again.holders, native.holders);
    assert_eq!(again.contents.len(), native.contents.len());
    assert!(again.contents.iter().all(|group| group.content.text.is_none()));
}

#[test]
fn growth_of_memory_that_is_known_names_its_holder_on_cores_and_processes() {
    let flags = ["-O1", "-pthread"];
    let library = compiled("cc", &flags, "leaks.c", &temporary("libgrowth.so"));
    let Some(library) = library else { return };
    for python in require(&["2.7.18", "3.12.1", "3.13t"]) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let label = &python.label;
        let env = [("LEAKS_LIBRARY", library.to_str().expect("a path"))];
        let mut workload = Workload::start(&python.path, &script("native_growth.py"), &env);
        let before = capture(&workload);
        workload.command("grow");
        let after = capture(&workload);
        let ask = Ask::since(&before, &after);
        let rows = ask.get::<NativeGrowth>();
        let row = |size: u64, kind: HolderKind, name: &str| {
            let found = rows.iter().find(|row| {
                row.sizes == (size, size) && row.holder.kind == kind && row.chunks.growth() > 100
            });
            let found = found.unwrap_or_else(|| panic!("{label}: no row of {size}: {rows:#?}"));
            assert_eq!(found.holder.names, [name], "{label}");
            found.chunks.growth()
        };
        let cache = row(2016, HolderKind::Library, "libgrowth.so");
        assert!((19_800..=20_100).contains(&cache), "{label}: {cache}");
        let nodes = row(64, HolderKind::Type, "__main__.Document");
        assert!((19_800..=20_100).contains(&nodes), "{label}: {nodes}");
        let shown = memwhy_report::text::diff(
            &before,
            &after,
            5,
            memwhy_reason::Hold::Reaches,
            Style::default(),
        );
        assert!(shown.contains("kept by libgrowth.so"), "{label}: {shown}");
        let verdict = memwhy_reason::Verdict::of(&ask);
        assert_eq!(verdict.cause, Some("native-memory"), "{label}: {}", verdict.summary);
        let told = format!("{:?}", verdict.finding().map(|finding| &finding.evidence));
        assert!(told.contains("grew by"), "{label}: {told}");

        if label.starts_with("3.12") {
            let path = temporary("native-growth.core");
            let _ = std::fs::remove_file(&path);
            let (existing, patience) = (Existing::Keep, std::time::Duration::from_secs(60));
            memwhy::write_core(workload.pid(), &path, existing, patience).expect("a core");
            let core = memwhy::open(&path).expect("the core");
            std::fs::remove_file(&path).expect("it is there");
            let holders = |case: &Case| -> Vec<(HolderKind, Vec<String>, u64)> {
                let native = case.native_memory.as_ref().expect("a search");
                let rows = native.holders.iter().filter(|of| of.all().chunks > 1000);
                rows.map(|of| (of.kind, of.names.clone(), of.all().chunks)).collect()
            };
            assert_eq!(holders(&core), holders(&after), "{label}");
        }
    }
}
