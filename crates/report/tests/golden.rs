//! Whole screens, compared with files that were read by a person.
//!
//! `UPDATE=1 cargo test -p memwhy-report` rewrites them; read the difference.

mod cases;

use memwhy_model::{Bytes, Case, Owner, ProblemKind, TargetKind, Untold};
use memwhy_reason::analyses::By;
use memwhy_reason::{Ask, Selection};
use memwhy_report::text::{self, StackOptions};
use memwhy_report::{HeapView, Style, json};
use std::path::Path;

fn golden(name: &str, screen: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, screen).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(screen, expected, "{name}: UPDATE=1 rewrites it");
}

fn explain(case: &Case) -> String {
    text::explain(case, &memwhy_reason::explain(case), Style::default())
}

fn all() -> [(&'static str, Case); 5] {
    [
        ("retention", cases::retention()),
        ("fragmented_pools", cases::fragmented_pools()),
        ("growing_dict", cases::growing_dict()),
        ("ordinary", cases::ordinary()),
        ("withheld", cases::withheld()),
    ]
}

#[test]
fn explain_says_what_a_person_approved() {
    for (name, case) in all() {
        golden(&format!("explain_{name}.txt"), &explain(&case));
    }
}

/// A core's process is gone: what can be checked is checked on the core, and what is to be done is done
/// to a process whose number nobody knows yet.
#[test]
fn of_a_core_no_command_names_the_process_that_is_gone() {
    for (name, mut case) in all() {
        case.about.kind = TargetKind::Core;
        case.about.path = Some("/var/crash/core.of-it".into());
        case.about.uptime_s = None;
        case.about.untold = Untold::ALL.to_vec();
        let verdict = memwhy_reason::explain(&case);
        let printed = json::report(&case, &verdict);
        for said in [explain(&case), printed["findings"].to_string()] {
            for word in ["4711", "gdb -p", "/proc/"] {
                assert!(!said.contains(word), "{name} says {word}: {said}");
            }
        }
    }
}

#[test]
fn the_parts_say_what_a_person_approved() {
    let (case, style) = (cases::retention(), Style::default());
    let options = StackOptions { locals: true, ..StackOptions::default() };
    golden("maps.txt", &text::maps(&case, None, style));
    let ask = Ask::new(&case);
    let view = HeapView::new(&ask, Selection::default(), By::Footprint, 20).expect("a heap");
    golden("heap.txt", &text::heap(&case, &view, style));
    golden("stacks.txt", &text::stacks(&case, options, style));
    golden("malloc.txt", &text::malloc(&case, style));
}

#[test]
fn the_verdict_fits_on_a_screen() {
    for (name, case) in all() {
        let screen = explain(&case);
        assert!(screen.lines().count() <= 25, "{name}: {} lines", screen.lines().count());
        for line in screen.lines() {
            assert!(line.chars().count() <= 100, "{name}: {line}");
        }
    }
}

#[test]
fn a_verdict_with_much_to_say_leaves_out_the_least_important() {
    let mut case = cases::retention();
    for kind in [ProblemKind::TornPool, ProblemKind::BrokenList, ProblemKind::KernelRefused] {
        case.problems.note(kind, String::new);
    }
    case.accounting = case.accounting.with(Owner::PymallocFree, Bytes::mib(300));
    case.pymalloc.as_mut().expect("read").pinned_by_type =
        (0..3).map(|n| (format!("app.very.deep.module.VeryLongName{n}"), 1_000)).collect();
    let full = explain(&case);
    assert!(full.lines().count() <= 25, "{full}");
    assert!(full.contains("ALSO") && full.contains("CURE 1") && full.contains("NOTES"), "{full}");
}

#[test]
fn the_rss_line_adds_up() {
    for (name, case) in all() {
        let screen = explain(&case);
        let line: Vec<&str> = screen
            .lines()
            .skip_while(|line| !line.starts_with("  RSS"))
            .take_while(|line| line.starts_with("  "))
            .map(str::trim)
            .collect();
        let line = line.join(" ");
        let (total, parts) = line.split_once(" MiB = ").expect("a total");
        let number = |text: &str| -> f64 {
            let word = text.split(' ').rev().find(|word| !word.starts_with('('));
            word.and_then(|word| word.parse().ok()).expect("a number")
        };
        let sum: f64 = parts.split(" · ").map(number).sum();
        assert!((sum - number(total)).abs() < 0.01, "{name}: {line}");
    }
}

#[test]
fn owners_and_unexplained_are_rss_in_json_too() {
    for (name, case) in all() {
        let report = json::report(&case, &memwhy_reason::explain(&case));
        let rss = &report["rss"];
        let owners: u64 = rss["owners"]
            .as_array()
            .expect("owners")
            .iter()
            .map(|owner| owner["resident_bytes"].as_u64().expect("bytes"))
            .sum();
        let all = owners + rss["unexplained_bytes"].as_u64().expect("bytes");
        assert_eq!(Some(all), rss["total_bytes"].as_u64(), "{name}");
    }
}

#[test]
fn every_part_has_its_format_and_its_target() {
    let case = cases::retention();
    let ask = Ask::new(&case);
    let view = HeapView::new(&ask, Selection::default(), By::Footprint, 20).expect("a heap");
    let parts = [
        ("memwhy.maps/1", json::maps(&case)),
        ("memwhy.heap/1", json::heap(&case, &view)),
        (
            "memwhy.stacks/1",
            json::stacks(&case, json::ThreadDetail { locals: true, native: true, source: true }),
        ),
        ("memwhy.malloc/1", json::malloc(&case)),
    ];
    for (schema, part) in parts {
        assert_eq!(part["schema"], schema);
        assert_eq!(part["target"]["pid"], 4711, "{schema}");
    }
}
