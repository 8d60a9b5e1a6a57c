//! Are single objects, and what is more than in an earlier moment, shown the same of a process, its
//! snapshot and its core?

mod binary;

use binary::{json, memwhy, run};
use memwhy_testkit::{Folder, Turn, Workload, require, script};
use serde_json::{Map, Value};
use std::path::Path;
use std::process::Command;

/// A folder of this file's tests.
fn folder(name: &str) -> Folder {
    Folder::new(env!("CARGO_TARGET_TMPDIR"), name)
}

/// What is said of the heap: not of the target, of which a core knows less.
fn of_the_heap(arguments: &[&str]) -> Value {
    let Value::Object(mut report) = json(arguments) else { panic!("{arguments:?}: no object") };
    for key in ["target", "timings", "problems"] {
        report.remove(key);
    }
    Value::Object(report.into_iter().collect::<Map<_, _>>())
}

/// Takes out what objects look like: a snapshot keeps the first characters of that only.
fn without_previews(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(without_previews),
        Value::Object(map) => {
            map.remove("preview");
            map.values_mut().for_each(without_previews);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn objects_are_the_same_in_a_process_its_snapshot_and_its_core() {
    let Some(python) = require(&["3.11.7"]).first().copied() else { return };
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let folder = folder("objects");
    let mut workload = Workload::start(&python.path, &script("growing.py"), &[]);
    let pid = workload.pid().to_string();
    workload.command("grow");
    let [base, kept, core] = ["base.memwhy", "kept.memwhy", "core"].map(|name| folder.path(name));
    json(&["snap", &pid, "-o", &base, "--json"]);
    workload.command("grow");
    json(&["snap", &pid, "-o", &kept, "--json", "--values"]);
    assert!(run(&["core", &pid, "-o", &core]).status.success());

    let asked: [&[&str]; 9] = [
        &["paths", "JOURNAL"],
        &["paths", "collections.deque", "--all"],
        &["paths", "JOURNAL", "--to", "JOURNAL[17]"],
        &["show", "JOURNAL"],
        &["show", "JOURNAL[17]"],
        &["heap", "--retained"],
        &["heap", "--by", "owner", "--top", "5"],
        &["heap", "--by", "referrer", "--type", "str"],
        &["heap", "--rel", &base],
    ];
    for command in asked {
        let (name, rest) = command.split_first().expect("a command");
        let of = |target: &str| of_the_heap(&[&[*name, target], rest, &["--json"]].concat());
        let mut live = of(&pid);
        let theirs = of(&core);
        assert!(live == theirs, "{command:?}, core:\n{live:#}\n{theirs:#}");
        let mut theirs = of(&kept);
        without_previews(&mut live);
        without_previews(&mut theirs);
        assert!(live == theirs, "{command:?}, snapshot:\n{live:#}\n{theirs:#}");
    }
    // What was added between the two, and hardly more.
    let grown = of_the_heap(&["heap", &core, "--rel", &base, "--json"]);
    let rows = grown["groups"]["rows"].as_array().cloned().unwrap_or_default();
    let text = rows.iter().find(|row| row["key"] == "builtins.str");
    let more = text.and_then(|row| row["objects"].as_u64());
    assert!(more.is_some_and(|more| (8000..8100).contains(&more)), "{grown:#}");
    // And as a difference, by what names alone keep.
    let kept_more = of_the_heap(&["diff", &base, &core, "--retained", "--json"]);
    let first = &kept_more["keepers"][0];
    assert!(first["path"].as_str().is_some_and(|path| path.contains("JOURNAL")), "{kept_more:#}");
    assert!(first["retained_objects"]["growth"].as_u64().is_some_and(|more| more >= 8000));
    let screen = run(&["diff", &base, &kept, "--retained"]).stdout;
    assert!(String::from_utf8_lossy(&screen).contains("kept alone by"));

    for (format, begins) in [("svg", &b"<svg"[..]), ("png", b"\x89PNG"), ("dot", b"digraph")] {
        let drawn = [&pid, &kept, &core].map(|target| {
            let file = folder.path(&format!("picture.{format}"));
            let output = run(&["refs", target, "JOURNAL", "--back", "-o", &file]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{target} {format}: {said}");
            std::fs::read(&file).expect("the picture")
        });
        assert!(drawn[0].starts_with(begins), "{format}");
        assert!(drawn[0] == drawn[2], "{format}: not the same picture");
        let boxes = |picture: &[u8]| String::from_utf8_lossy(picture).matches("->").count();
        assert!(format != "dot" || boxes(&drawn[0]) == boxes(&drawn[1]), "not as many arrows");
    }
}

#[test]
fn a_full_disk_leaves_no_half_snapshot() {
    let Some(python) = require(&["3.11.7"]).first().copied() else { return };
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let folder = folder("full");
    let workload = Workload::start(&python.path, &script("growing.py"), &[]);
    let (pid, path) = (workload.pid().to_string(), folder.path("half.memwhy"));
    // A limit on the size of files refuses as a full disk does.
    for blocks in ["0", "8", "64"] {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let mut shell = Command::new("sh");
        let output = shell
            .args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_memwhy"), "snap", &pid, "-o", &path])
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{blocks}: {said}");
        assert!(said.contains("cannot write") || said.contains("could not be written"), "{said}");
        assert_eq!(said.trim_end().lines().count(), 2, "{said}");
        let left = std::fs::read_dir(&folder.0).expect("a folder").count();
        assert_eq!(left, 0, "{blocks}: something is left");
    }
    // With room for it there is one.
    assert!(memwhy(&["snap", &pid, "-o", &path]).output().expect("it runs").status.success());
    assert!(Path::new(&path).join("manifest.json").exists());
}

#[test]
fn generations_are_those_of_the_collector() {
    for python in require(&["3.8.18", "3.11.7", "3.12.1", "3.13.0", "debian-3.14"]) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let mut workload = Workload::start(&python.path, &script("growing.py"), &[]);
        let pid = workload.pid().to_string();
        let said = workload.command("generations");
        let heap = json(&["heap", &pid, "--by", "generation", "--json"]);
        let rows = heap["groups"]["rows"].as_array().cloned().unwrap_or_default();
        for (number, theirs) in (0..3).zip(said["counts"].as_array().expect("counts")) {
            let key = format!("generation {number}");
            let own = |row: &&Value| row["key"].as_str().is_some_and(|k| k.starts_with(&key));
            let ours = rows.iter().find(own).map_or(0, |row| row["objects"].as_u64().unwrap_or(0));
            let theirs = theirs.as_u64().expect("a number");
            // What it made to answer is there no more, and what it answered with is.
            assert!(ours.abs_diff(theirs) < 100, "{} {key}: {ours}, not {theirs}", python.label);
            assert!(number > 0 || ours > 4900, "{} {key}: {ours}", python.label);
        }
    }
}
