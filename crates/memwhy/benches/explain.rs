//! What does an explanation cost, beside what guppy3's `heap()` costs on the same process?
//!
//! `cargo bench -p memwhy`. Starts `workloads/big_cache.py` (1.8 M objects, 220 MB) with an
//! interpreter that has guppy3 (`scripts/guppy-venv` makes one), explains it from outside, then has
//! it call `guppy.hpy().heap()` on itself, and prints both with their ratio. Times are CPU seconds:
//! wall time on a shared machine says little.

use memwhy_testkit::{Workload, script};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs of memwhy; the median counts.
const RUNS: usize = 5;

fn main() {
    // `cargo test` runs benches too, with this flag missing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let python = guppy_python();
    let mut target = Workload::start(&python, &script("big_cache.py"), &[]);
    let rss_before = status_mib(target.pid(), "VmRSS");
    let mut runs: Vec<Run> = (0..RUNS).map(|_| explain(target.pid())).collect();
    runs.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
    let ours = &runs[RUNS / 2];
    let rss_between = status_mib(target.pid(), "VmRSS");
    let guppy = target.command("guppy");
    let number = |key: &str| guppy.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let mut text = String::new();
    let mut row = |what: &str, ours: String, theirs: String| {
        let _ = writeln!(text, "| {what} | {ours} | {theirs} |");
    };
    row("", "memwhy".into(), "guppy3 heap()".into());
    row("---", "---".into(), "---".into());
    row("objects", ours.objects.to_string(), format!("{:.0}", number("objects")));
    row("CPU seconds", format!("{:.2}", ours.cpu_s), format!("{:.2}", number("cpu_s")));
    row("target stopped, s", format!("{:.3}", ours.pause_s), format!("{:.2}", number("wall_s")));
    row(
        "target's RSS grew by, MiB",
        format!("{:.1}", rss_between - rss_before),
        format!("{:.1}", number("rss_after_kib") / 1024.0 - number("rss_before_kib") / 1024.0),
    );
    row("own memory at most, MiB", format!("{:.0}", ours.peak_mib), "in the target".into());
    let _ = writeln!(
        text,
        "\ntarget {rss_before:.0} MiB; memwhy uses {:.2} of guppy3's CPU time and {:.2} of the \
         target's memory",
        ours.cpu_s / number("cpu_s"),
        ours.peak_mib / rss_before
    );
    std::io::stdout().write_all(text.as_bytes()).expect("standard output is open");
}

/// One run of memwhy.
struct Run {
    cpu_s: f64,
    peak_mib: f64,
    pause_s: f64,
    objects: u64,
}

fn explain(pid: u32) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_memwhy"))
        .args(["explain", &pid.to_string(), "--json", "-v"])
        .output()
        .expect("memwhy runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let number = |label: &str| -> f64 {
        let line = said.lines().find(|line| line.trim_start().starts_with(label)).expect(label);
        line.split_whitespace().rev().nth(1).and_then(|word| word.parse().ok()).expect(label)
    };
    Run {
        cpu_s: number("CPU in all") / 1000.0,
        peak_mib: number("peak memory"),
        pause_s: report["target"]["capture"]["pause_ms"].as_f64().expect("a pause") / 1000.0,
        objects: report["heap"]["objects"].as_u64().expect("a heap"),
    }
}

fn guppy_python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let made = Command::new(root.join("scripts/guppy-venv")).output().expect("the script runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Path::new(String::from_utf8_lossy(&made.stdout).trim()).join("bin/python")
}

fn status_mib(pid: u32, key: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with(key)).expect("it has memory");
    let kib = line.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok());
    kib.expect("a number") / 1024.0
}
