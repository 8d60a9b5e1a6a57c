//! Do causes beyond malloc hold where they were planted, and do cures return what was predicted?
//!
//! A process's own `cure` is the oracle: what RSS is after it.

mod binary;

use binary::json;
use memwhy::model::{Bytes, Case, Untold};
use memwhy::{Options, Verdict};
use memwhy_report::Style;
use memwhy_testkit::{Interpreter, Turn, Workload, require, script};
use serde_json::Value;
use std::path::Path;

fn turn() -> Turn {
    Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn start(python: &Interpreter, name: &str, how: &str) -> Workload {
    Workload::start(&python.path, &script(&format!("{name}.py")), &[("HOW", how)])
}

/// Captures and explains; the screen is printed for whoever looks at a failure.
fn look(pid: u32, label: &str) -> (Case, Verdict) {
    let case = memwhy::capture(pid, &Options::default())
        .unwrap_or_else(|error| panic!("{label}: {error}"));
    let verdict = memwhy::explain(&case);
    let screen = memwhy_report::text::explain(&case, &verdict, Style::default());
    eprintln!("{label}\n{screen}");
    assert!(screen.lines().count() <= 25, "{label}: {} lines", screen.lines().count());
    let owned: Bytes = case.accounting.owners().map(|one| one.resident).sum();
    assert_eq!(owned + case.accounting.unexplained, case.rss(), "{label}");
    assert!(case.about.tells(Untold::Residency));
    (case, verdict)
}

fn kib(answer: &Value, key: &str) -> u64 {
    answer[key].as_u64().unwrap_or_else(|| panic!("{key}: {answer}")) << 10
}

/// RSS as predicted for the first cure of the verdict.
fn predicted(verdict: &Verdict, label: &str) -> u64 {
    let remedy = verdict.finding().and_then(|finding| finding.remedies.first());
    let rss = remedy.and_then(|remedy| remedy.expected_rss);
    rss.unwrap_or_else(|| panic!("{label}: no predicted RSS: {remedy:?}")).0
}

/// What was predicted is what came: to 3 MiB, because the cure itself runs in the process.
fn agree(predicted: u64, after: u64, label: &str) {
    eprintln!("{label}: predicted {predicted} B, then it was {after} B\n");
    let off = predicted.abs_diff(after);
    assert!(off <= 3 << 20, "{label}: predicted {predicted} B, then it was {after} B");
}

#[test]
fn what_is_not_malloced_has_its_cause_and_its_cure() {
    for python in require(&["3.9.18", "3.11.7"]) {
        for (name, cause) in [
            ("shared_memory", "shared-memory"),
            ("file_mappings", "file-mappings"),
            ("thread_stacks", "thread-stacks"),
        ] {
            let _turn = turn();
            let label = format!("{name} on {}", python.label);
            let mut workload = start(python, name, "");
            let (_, verdict) = look(workload.pid(), &label);
            assert_eq!(verdict.cause, Some(cause), "{label}");
            let after = kib(&workload.command("cure"), "after_rss_kib");
            agree(predicted(&verdict, &label), after, &label);
            let (_, cured) = look(workload.pid(), &label);
            assert_eq!(cured.cause, Some("none"), "{label}, cured");
        }
    }
}

#[test]
fn what_was_never_written_in_huge_pages_is_what_is_gone_without_them() {
    for python in require(&["3.11.7"]) {
        let _turn = turn();
        let plain = start(python, "huge_pages", "plain");
        let (without, ordinary) = look(plain.pid(), "huge_pages, plain");
        assert_ne!(ordinary.cause, Some("huge-pages"));
        let workload = start(python, "huge_pages", "");
        let (case, verdict) = look(workload.pid(), "huge_pages");
        // A machine may make none, or be short of them.
        if workload.ready()["expected"]["cause"] == "none" {
            eprintln!("SKIPPED: the kernel makes no huge pages here");
            continue;
        }
        assert_eq!(verdict.cause, Some("huge-pages"));
        assert!(case.huge.as_ref().is_some_and(|huge| huge.all), "{:?}", case.huge);
        agree(predicted(&verdict, "huge_pages"), without.rss().0, "huge_pages");
    }
}

/// A parent of `fork_cow.py`, one of its children, and what each child has alone.
fn forked(python: &Interpreter, how: &str) -> (Workload, u32, u64) {
    let mut parent = start(python, "fork_cow", how);
    let child = parent.ready()["children"][0].as_u64().and_then(|pid| u32::try_from(pid).ok());
    let private = private(&mut parent);
    (parent, child.expect("it forked"), private)
}

fn private(parent: &mut Workload) -> u64 {
    let answer = parent.command("private");
    answer["private_kib"][0].as_u64().expect("a number") << 10
}

/// The figure behind `what` in a sentence: `… predicted private memory 12.3 MiB instead …`.
fn mib_after(text: &str, what: &str) -> f64 {
    let rest = text.split_once(what).unwrap_or_else(|| panic!("no {what} in {text}")).1;
    let mut words = rest.split_ascii_whitespace();
    let number: f64 = words.next().and_then(|word| word.parse().ok()).expect("a number");
    match words.next() {
        Some("KiB") => number / 1024.0,
        Some("B") => 0.0,
        _ => number,
    }
}

#[test]
fn a_worker_is_read_without_unsharing_a_page_and_its_copies_have_their_cause() {
    for python in require(&["3.9.18", "3.11.7"]) {
        let _turn = turn();
        let label = format!("fork_cow on {}", python.label);
        let (mut parent, child, before) = forked(python, "collect");
        let (case, verdict) = look(child, &label);
        let after = private(&mut parent);
        // The pages of the parent's answer, and nothing of what was read.
        assert!(after.abs_diff(before) <= 1 << 20, "{label}: {before} B, then {after} B");
        assert_eq!(verdict.cause, Some("fork-cow"), "{label}");
        let fork = case.fork.as_ref().expect("it was forked");
        assert_eq!((fork.with, fork.siblings), (parent.pid(), 2), "{label}");
        assert!(fork.unshared.0.abs_diff(before) <= 2 << 20, "{label}: {fork:?}, {before} B");
        let cure = &verdict.finding().expect("it holds").remedies[0].action;
        assert!(cure.contains("gc.freeze()"), "{label}: {cure}");
        let predicted = mib_after(cure, "predicted private memory ");

        // One table of all of them, and no page twice.
        let family = json(&[&parent.pid().to_string(), "--children", "--json"]);
        assert_eq!(family["schema"], "memwhy.family/1");
        let rows = family["processes"].as_array().expect("rows");
        assert_eq!(rows.len(), 3, "{family}");
        let total = &family["total"];
        let number = |value: &Value| value.as_u64().expect("a number");
        let owned: u64 = total["owners"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| number(&row["pss_bytes"]))
            .sum();
        assert_eq!(owned + number(&total["unexplained_bytes"]), number(&total["pss_bytes"]));
        assert!(number(&total["pss_bytes"]) < number(&total["rss_bytes"]) * 3 / 4, "{total}");
        let causes = total["causes"].as_array().expect("rows");
        let workers = causes.iter().find(|row| row["cause"] == "fork-cow");
        assert!(workers.is_some_and(|row| row["processes"] == 2), "{total}");
        drop(parent);

        let (_frozen, child, private) = forked(python, "freeze");
        #[expect(clippy::cast_precision_loss, reason = "MiB")]
        let off = (private as f64 / 1_048_576.0 - predicted).abs();
        assert!(off <= 3.0, "{label}: predicted {predicted} MiB, after gc.freeze() {private} B");
        let (_, verdict) = look(child, &format!("{label}, frozen"));
        assert_ne!(verdict.cause, Some("fork-cow"), "{label}, frozen");
    }
}

#[test]
fn who_uses_what_was_inherited_is_told_that_a_freeze_does_not_help() {
    for python in require(&["3.11.7"]) {
        let _turn = turn();
        let (_parent, child, _) = forked(python, "read");
        let (_, verdict) = look(child, "fork_cow, read");
        assert_eq!(verdict.cause, Some("fork-cow"));
        let cure = &verdict.finding().expect("it holds").remedies[0].action;
        assert!(cure.starts_with("keep what all processes read out of Python objects"), "{cure}");
    }
}
