//! Is the heap of an allocator that stands in for glibc's walked as it counts itself?
//!
//! tcmalloc, mimalloc and jemalloc as Debian has them, preloaded; of jemalloc extents are walked, not
//! blocks.

mod binary;

use binary::json;
use memwhy::model::{Case, Owner, StandIn};
use memwhy::{Options, Verdict};
use memwhy_report::Style;
use memwhy_testkit::tools::library;
use memwhy_testkit::{Turn, Workload, require, script};
use serde_json::Value;
use std::path::Path;

/// Asking, and answering, takes some objects.
const GRAIN: u64 = 256 << 10;

fn look(workload: &Workload, label: &str) -> (Case, Verdict) {
    let case = memwhy::capture(workload.pid(), &Options::default())
        .unwrap_or_else(|error| panic!("{label}: {error}"));
    let verdict = memwhy::explain(&case);
    let screen = memwhy_report::text::explain(&case, &verdict, Style::default());
    eprintln!("{label}\n{screen}");
    assert!(screen.lines().count() <= 25, "{label}: {} lines", screen.lines().count());
    let owned: u64 = case.accounting.owners().map(|one| one.resident.0).sum();
    assert_eq!(owned + case.accounting.unexplained.0, case.rss().0, "{label}");
    (case, verdict)
}

fn near(ours: u64, theirs: &Value, what: &str, label: &str) {
    let theirs = theirs.as_u64().unwrap_or_else(|| panic!("{label}: {what}: {theirs}"));
    eprintln!("{label}: {what}: {ours} B, and it counts {theirs} B");
    assert!(ours.abs_diff(theirs) <= GRAIN, "{label}: {what}: {ours} B, and it counts {theirs} B");
}

/// What was walked, and what the allocator says of itself: walked to the end, and as much in use.
fn counted<'a>(case: &'a Case, workload: &mut Workload, label: &str) -> (&'a StandIn, Value) {
    let facts = case.stand_in.as_ref().unwrap_or_else(|| panic!("{label}: no stand-in"));
    assert!(facts.walked && facts.off.0 == 0, "{label}: {facts:?} {:?}", case.problems);
    let says = workload.command("hold stats");
    workload.command("resume");
    near(facts.used.0, &says["used"], "in use", label);
    (facts, says)
}

#[test]
fn tcmalloc_is_walked_as_it_counts_itself_and_its_cure_returns_what_was_predicted() {
    let Some(preload) = library("libtcmalloc_minimal.so.4") else { return };
    for python in require(&["3.9.18", "3.11.7"]) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let label = format!("tcmalloc under {}", python.label);
        let path = script("stand_in.py");
        let mut workload = Workload::start(&python.path, &path, &[("LD_PRELOAD", &preload)]);
        let (case, verdict) = look(&workload, &label);
        let (facts, says) = counted(&case, &mut workload, &label);
        near(facts.reserved.0, &says["reserved"], "reserved", &label);
        near(facts.free_pages.0, &says["free_pages"], "free pages", &label);
        near(facts.returned.0, &says["returned"], "given back", &label);
        near(facts.cached.0, &says["cached"], "cached", &label);
        assert_eq!(verdict.cause, Some("allocator-retention"), "{label}");
        assert!(case.heap.as_ref().is_some_and(memwhy::model::HeapGraph::complete), "{label}");
        // Little is nobody's: blocks in use are Python's, or its runtime's.
        assert!(case.resident(Owner::MallocNative).0 * 10 < case.rss().0, "{label}");

        let remedy = &verdict.finding().expect("it holds").remedies[0];
        assert!(remedy.action.contains("TCMALLOC_AGGRESSIVE_DECOMMIT"), "{label}");
        let predicted = remedy.expected_rss.expect("it is computed").0;
        let environment = [("LD_PRELOAD", &preload[..]), ("TCMALLOC_AGGRESSIVE_DECOMMIT", "t")];
        let cured = Workload::start(&python.path, &path, &environment);
        let (cured, left) = look(&cured, &format!("{label}, cured"));
        let next = &left.finding().expect("blocks are pinned").remedies[0].action;
        assert!(next.starts_with("free what lies between"), "{label}: {next}");
        let off = predicted.abs_diff(cured.rss().0);
        assert!(off <= predicted / 10, "{label}: predicted {predicted}, then {}", cured.rss());
    }
}

#[test]
fn mimalloc_is_walked_as_it_counts_itself() {
    let Some(preload) = library("libmimalloc.so.2") else { return };
    for python in require(&["3.11.7"]) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let label = format!("mimalloc under {}", python.label);
        let environment = [("LD_PRELOAD", &preload[..])];
        let mut workload = Workload::start(&python.path, &script("stand_in.py"), &environment);
        let (case, verdict) = look(&workload, &label);
        counted(&case, &mut workload, &label);
        assert_eq!(verdict.cause, Some("allocator-retention"), "{label}");
        let remedy = &verdict.finding().expect("it holds").remedies[0];
        assert!(remedy.action.contains("MIMALLOC_"), "{label}");
        let shown = json(&["malloc", &workload.pid().to_string(), "--json"]);
        assert_eq!(shown["stand_in"]["name"], "mimalloc", "{shown}");
        assert_eq!(shown["stand_in"]["exact"], true, "{shown}");
    }
}

#[test]
fn jemallocs_extents_are_what_it_counts_itself() {
    let Some(preload) = library("libjemalloc.so.2") else { return };
    for python in require(&["3.11.7"]) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let label = format!("jemalloc under {}", python.label);
        let environment = [("LD_PRELOAD", &preload[..])];
        let mut workload = Workload::start(&python.path, &script("stand_in.py"), &environment);
        let (case, verdict) = look(&workload, &label);
        let facts = case.stand_in.as_ref().expect("it is recognised");
        // What caches of threads have is not known block by block.
        assert_eq!((facts.name.as_str(), facts.walked), ("jemalloc", false));
        let says = workload.command("hold stats");
        workload.command("resume");
        near(facts.used.0, &says["used"], "in use", &label);
        near((facts.used + facts.free_blocks).0, &says["active"], "active", &label);
        near(facts.free_pages.0, &says["free_pages"], "free pages", &label);
        near(facts.returned.0, &says["retained"], "retained", &label);
        assert!(!screen(&workload).contains("0 B off"), "{label}");
        if verdict.cause == Some("allocator-retention") {
            let remedy = &verdict.finding().expect("it holds").remedies[0].action;
            assert!(remedy.contains("MALLOC_CONF=background_thread:true"), "{label}: {remedy}");
        }
        let kept = case.resident(Owner::MallocFree);
        assert!(kept.0 > 0 && kept <= facts.free_pages + facts.returned, "{label}: {kept}");
    }
}

fn screen(workload: &Workload) -> String {
    let case = memwhy::capture(workload.pid(), &Options::default()).expect("a capture");
    let shown = memwhy_report::text::malloc(&case, Style::default());
    eprintln!("{shown}");
    shown
}
