//! Is a preview what `repr()` prints?
//!
//! `workloads/previews.py` lists values with what `repr()` says of them, and which law holds:
//!
//! * `exact`: given room, the preview is the same text, and with less room it still is, where `…`
//!   stands for any text;
//! * `begins`: up to the closing bracket `repr()` says only what it is and where, and the preview
//!   begins the same;
//! * `holds`: a class in Python has the say; the preview has these pieces, in this order.

use memwhy_model::Addr;
use memwhy_native::Images;
use memwhy_python::find::{self, Interpreter};
use memwhy_python::preview::preview;
use memwhy_target::live::pages;
use memwhy_target::{Process, View};
use memwhy_testkit::{Turn, Workload, require, script};
use std::path::Path;

/// Room for every value of the workload.
const PLENTY: usize = 20_000;

fn look(pid: u32) -> (View, Interpreter) {
    let process = Process::open(pid).unwrap_or_else(|error| panic!("{error}"));
    let maps = process.maps().unwrap_or_else(|error| panic!("{error}"));
    let present = pages::present(&process, &maps).unwrap_or_else(|error| panic!("{error}"));
    let view = View::live(process, maps, present);
    let images = Images::of(&view);
    let python = find::find(&view, &images, &mut memwhy_model::Problems::default());
    let python = python.unwrap_or_else(|refusal| panic!("{refusal}"));
    (view, python)
}

/// Whether `text` is `pattern`, in which `…` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    let pieces: Vec<&str> = pattern.split('…').collect();
    let last = pieces.len() - 1;
    for (index, piece) in pieces.iter().enumerate() {
        let at = if index == 0 {
            rest.starts_with(piece).then_some(0)
        } else if index == last {
            rest.ends_with(piece).then(|| rest.len() - piece.len())
        } else {
            rest.find(piece)
        };
        let Some(at) = at else { return false };
        if last == 0 && rest.len() != piece.len() {
            return false;
        }
        rest = &rest[at + piece.len()..];
    }
    true
}

/// What is wrong with the preview of one value.
fn complaint(law: &str, said: &serde_json::Value, see: &dyn Fn(usize) -> String) -> Option<String> {
    let whole = see(PLENTY);
    match law {
        "exact" => {
            let said = said.as_str().unwrap_or_default();
            if whole != said {
                return Some(format!("{whole}\n      instead of {said}"));
            }
            for budget in [8, 20, 60] {
                let short = see(budget);
                // Brackets are closed whatever it takes.
                if short.chars().count() > budget + 24 {
                    return Some(format!("{short} has more than {budget} characters"));
                }
                if !matches(&short, said) {
                    return Some(format!("{short} is no beginning of {said}"));
                }
            }
            None
        }
        "begins" => {
            let said = said.as_str().unwrap_or_default().trim_end_matches('>');
            (!whole.starts_with(said)).then(|| format!("{whole}\n      instead of {said}"))
        }
        _ => {
            let mut rest = whole.as_str();
            for piece in said.as_array().into_iter().flatten() {
                let piece = piece.as_str().unwrap_or_default();
                let Some(at) = rest.find(piece) else {
                    return Some(format!("{whole}: no {piece}"));
                };
                rest = &rest[at + piece.len()..];
            }
            None
        }
    }
}

fn agree(labels: &[&str]) {
    let mut faults = Vec::new();
    for python in require(labels) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let workload = Workload::start(&python.path, &script("previews.py"), &[]);
        let (view, interpreter) = look(workload.pid());
        let mut wrong = Vec::new();
        let mut count = 0;
        for object in workload.ready()["objects"].as_array().into_iter().flatten() {
            let (Some(expression), Some(addr)) = (object[0].as_str(), object[1].as_u64()) else {
                panic!("{object}")
            };
            count += 1;
            let see = |budget| match preview(&view, &interpreter.layouts, Addr(addr), budget) {
                Ok(text) => text,
                Err(fault) => fault.to_string(),
            };
            let law = object[3].as_str().unwrap_or_default();
            if let Some(what) = complaint(law, &object[2], &see) {
                wrong.push(format!("  {expression}\n      {what}"));
            }
        }
        eprintln!("{}: {} of {count} previews right", python.label, count - wrong.len());
        assert!(count > 150, "{}: only {count} values", python.label);
        if !wrong.is_empty() {
            faults.push(format!("{}:\n{}", python.label, wrong.join("\n")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn previews_are_what_old_interpreters_print() {
    agree(&["2.7.18", "3.6.15", "3.7.16", "3.8.18"]);
}

#[test]
fn previews_are_what_newer_interpreters_print() {
    agree(&["3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0"]);
}

#[test]
fn previews_are_what_debians_interpreters_print() {
    agree(&["debian-3.11.2", "debian-3.13", "debian-3.14", "debian-3.15"]);
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    assert!(matches("[1, …]", "[1, 2, 3]"));
    assert!(matches("'a…b…'", "'axxbyy'"));
    assert!(!matches("[1, …]", "[2, 3]"));
    assert!(!matches("[1]", "[1]]"));
}
