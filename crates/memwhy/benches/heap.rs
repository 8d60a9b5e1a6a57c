//! What does it cost to say who keeps what in ten million objects, and what beside its peers?
//!
//! `cargo bench -p memwhy --bench heap`. Starts `workloads/many_objects.py` and runs on it `memwhy heap
//! --retained`, `snap`, and `heap` and `diff` of that snapshot; each must stay within the budget: a
//! minute, and 1.2 GB of memory of its own. Then the same program with a million objects, where guppy3
//! and objgraph look at themselves (`scripts/guppy-venv`). The first argument is another number of
//! objects for the large one.

use memwhy_testkit::{Workload, script};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Objects of the budget.
const MANY: u64 = 10_000_000;
/// Objects that peers can be asked about.
const FEWER: u64 = 1_000_000;
/// The budget: seconds and bytes.
const MOST_SECONDS: f64 = 60.0;
const MOST_MEMORY: f64 = 1.2e9;

/// What one command took.
struct Took {
    wall_s: f64,
    cpu_s: f64,
    peak_bytes: f64,
}

fn main() {
    // `cargo test` runs benches too, with this flag missing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let many = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(MANY);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let made = Command::new(root.join("scripts/guppy-venv")).output().expect("the script runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let python = Path::new(String::from_utf8_lossy(&made.stdout).trim()).join("bin/python");
    let start = |objects: u64| {
        let count = objects.to_string();
        Workload::start(&python, &script("many_objects.py"), &[("OBJECTS", &count)])
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-heap");
    // Left there by a run that was killed.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let snapshot = folder.join("many.memwhy").display().to_string();

    let mut text = String::new();
    let mut within = true;
    {
        let target = start(many);
        let pid = target.pid().to_string();
        let _ = writeln!(text, "| {many} objects | seconds | CPU seconds | own memory, MB |");
        let _ = writeln!(text, "| --- | --- | --- | --- |");
        let commands: [&[&str]; 5] = [
            &["heap", &pid, "--retained", "--json"],
            &["explain", &pid, "--json"],
            &["snap", &pid, "-o", &snapshot, "--json"],
            &["heap", &snapshot, "--retained", "--json"],
            &["diff", &snapshot, &pid, "--json"],
        ];
        for command in commands {
            let (took, _) = run(command);
            // The budget is of one moment; to compare two takes the memory of both.
            let moments = if command.contains(&"diff") { 2.0 } else { 1.0 };
            within &= took.wall_s < MOST_SECONDS && took.peak_bytes < MOST_MEMORY * moments;
            let name = command.join(" ").replace(&pid, "PID").replace(&snapshot, "SNAPSHOT");
            let Took { wall_s, cpu_s, peak_bytes } = took;
            let mb = peak_bytes / 1e6;
            let _ = writeln!(text, "| `{name}` | {wall_s:.1} | {cpu_s:.1} | {mb:.0} |");
        }
    }
    let mut target = start(FEWER);
    let pid = target.pid().to_string();
    let (plain, report) = run(&["heap", &pid, "--json"]);
    let (retained, _) = run(&["heap", &pid, "--retained", "--json"]);
    let objects = &report["heap"]["objects"];
    let _ = writeln!(text, "\n| {objects} objects | CPU seconds | memory, MB | whose |");
    let _ = writeln!(text, "| --- | --- | --- | --- |");
    for (name, took) in [("memwhy heap", plain), ("memwhy heap --retained", retained)] {
        let (cpu_s, mb) = (took.cpu_s, took.peak_bytes / 1e6);
        let _ = writeln!(text, "| {name} | {cpu_s:.2} | {mb:.0} | memwhy's |");
    }
    for (name, command) in [
        ("guppy3 heap()", "guppy"),
        ("guppy3 domisize of the largest list", "domisize"),
        ("objgraph most_common_types()", "objgraph"),
    ] {
        let answer = target.command(command);
        let number = |key: &str| answer.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let (cpu_s, more) = (number("cpu_s"), number("rss_after_kib") - number("rss_before_kib"));
        let mb = more * 1024.0 / 1e6;
        let _ = writeln!(text, "| {name} | {cpu_s:.2} | {mb:.0} | the target's |");
    }
    std::fs::remove_dir_all(&folder).expect("ours");
    std::io::stdout().write_all(text.as_bytes()).expect("standard output is open");
    assert!(within, "beyond the budget of {MOST_SECONDS} s and {MOST_MEMORY} bytes");
}

fn run(arguments: &[&str]) -> (Took, Value) {
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_memwhy"))
        .args(arguments)
        .arg("-v")
        .output()
        .expect("memwhy runs");
    let wall_s = begun.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let number = |label: &str| -> f64 {
        let line = said.lines().rev().find(|line| line.trim_start().starts_with(label));
        let word = line.and_then(|line| line.split_whitespace().rev().nth(1));
        word.and_then(|word| word.parse().ok()).expect(label)
    };
    let took = Took {
        wall_s,
        cpu_s: number("CPU in all") / 1000.0,
        peak_bytes: number("peak memory") * 1024.0 * 1024.0,
    };
    (took, serde_json::from_slice(&output.stdout).expect("JSON"))
}
