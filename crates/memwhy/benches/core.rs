//! What does a core cost, and for how long does the process stand still, beside gdb's `gcore`?
//!
//! `cargo bench -p memwhy --bench core`. Starts `workloads/big_cache.py`, writes a core of it with each
//! tool in turn, and watches meanwhile from outside how long the process is stopped by a tracer. Disk
//! and CPUs are shared with whatever else runs: the ratio counts.

use memwhy_testkit::{Workload, require, script};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs of each; the median counts.
const RUNS: usize = 5;

/// One run of one tool.
#[derive(Clone, Copy)]
struct Run {
    wall_s: f64,
    stopped_s: f64,
    disk_mib: f64,
}

/// What is compared.
type Figure = fn(&Run) -> f64;

fn main() {
    // `cargo test` runs benches too, with this flag missing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let python = require(&["3.11.7"]).first().copied().expect("an interpreter");
    let target = Workload::start(&python.path, &script("big_cache.py"), &[]);
    let pid = target.pid().to_string();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-core");
    std::fs::create_dir_all(&folder).expect("a folder");
    let (ours, theirs) = (folder.join("ours"), folder.join("theirs"));
    let written = PathBuf::from(format!("{}.{pid}", theirs.display()));
    let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        let mut memwhy = Command::new(env!("CARGO_BIN_EXE_memwhy"));
        memwhy.args(["core", &pid, "--force", "-o"]).arg(&ours);
        runs[0].push(watched(&mut memwhy, target.pid(), &ours));
        let mut gcore = Command::new("gcore");
        gcore.arg("-o").arg(&theirs).arg(&pid);
        runs[1].push(watched(&mut gcore, target.pid(), &written));
    }
    std::fs::remove_dir_all(&folder).expect("ours");
    let median = |of: Figure, runs: &[Run]| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[RUNS / 2]
    };
    let mut text = String::from("| | memwhy core | gcore | ratio |\n| --- | --- | --- | --- |\n");
    let rows: [(&str, Figure); 3] = [
        ("process stopped, s", |run| run.stopped_s),
        ("until the file is there, s", |run| run.wall_s),
        ("on disk, MiB", |run| run.disk_mib),
    ];
    for (what, of) in rows {
        let (a, b) = (median(of, &runs[0]), median(of, &runs[1]));
        let _ = writeln!(text, "| {what} | {a:.3} | {b:.3} | {:.2} |", a / b);
    }
    std::io::stdout().write_all(text.as_bytes()).expect("standard output is open");
}

/// Runs a tool, and counts how long the process is in a tracer's stop meanwhile.
fn watched(tool: &mut Command, pid: u32, written: &Path) -> Run {
    let started = Instant::now();
    let child = tool.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.spawn().expect("the tool runs");
    let (mut stopped, mut last) = (Duration::ZERO, Instant::now());
    let status = loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        let now = Instant::now();
        if stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('t')) {
            stopped += now - last;
        }
        last = now;
        if let Some(status) = child.try_wait().expect("ours") {
            break status;
        }
        std::thread::sleep(Duration::from_micros(500));
    };
    assert!(status.success(), "{status}");
    let blocks = std::fs::metadata(written).expect("it was written").blocks();
    #[expect(clippy::cast_precision_loss, reason = "shown rounded")]
    let disk_mib = blocks as f64 * 512.0 / f64::from(1 << 20);
    Run { wall_s: started.elapsed().as_secs_f64(), stopped_s: stopped.as_secs_f64(), disk_mib }
}
