//! Does memwhy explain programs that were not made for it?

mod binary;

use binary::{json, run};
use memwhy_testkit::tools::venv;
use memwhy_testkit::{Turn, script};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A program that ends with this, given the time to end what it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The end of its stdin is the end of the demo.
        drop(self.0.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if self.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The demo, running, with the pids of its workers.
fn django(page: &[&str]) -> Option<(Running, Vec<u32>)> {
    let scripts = script("..").join("scripts");
    venv("django-venv", None)?;
    let mut command = Command::new(scripts.join("django-demo"));
    command.args(page).stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut running = Running(child);
    let stdout = running.0.stdout.take().unwrap_or_else(|| panic!("no stdout"));
    let lines = BufReader::new(stdout).lines().take(2).map_while(Result::ok);
    let pids: Vec<u32> = lines.filter_map(|line| line.parse().ok()).collect();
    assert_eq!(pids.len(), 2, "{page:?}: not two workers");
    Some((running, pids))
}

/// What holds of every process that could be read.
fn is_explained(pid: u32) -> Value {
    let number = pid.to_string();
    let output = run(&[&number]);
    let screen = String::from_utf8_lossy(&output.stdout);
    eprintln!("{screen}");
    assert!(output.status.success(), "{output:?}");
    assert!(screen.lines().count() <= 25, "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 100), "{screen}");
    let report = json(&[&number, "--json"]);
    assert!(report["verdict"]["cause"].is_string(), "{}", report["verdict"]);
    assert_eq!(report["heap"]["complete"], true, "{}", report["problems"]);
    assert_eq!(report["problems"], Value::Array(Vec::new()));
    let (total, rest) = (&report["rss"]["total_bytes"], &report["rss"]["unexplained_bytes"]);
    assert!(rest.as_u64().unwrap_or(u64::MAX) * 50 < total.as_u64().unwrap_or(0), "{rest}");
    report
}

/// Names and innermost functions of all Python threads.
fn threads(pid: u32) -> Vec<(String, Vec<String>)> {
    let stacks = json(&["stacks", &pid.to_string(), "--json"]);
    let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let frames = |thread: &Value| {
        let frames = thread["frames"].as_array().cloned().unwrap_or_default();
        frames.iter().map(|frame| string(&frame["function"])).collect()
    };
    let threads = stacks["threads"].as_array().cloned().unwrap_or_default();
    threads.iter().map(|thread| (string(&thread["name"]), frames(thread))).collect()
}

fn workers_are_explained(page: &[&str]) -> Vec<Value> {
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let Some((running, pids)) = django(page) else { return Vec::new() };
    let mut reports = Vec::new();
    for pid in &pids {
        reports.push(is_explained(*pid));
        let threads = threads(*pid);
        let named =
            |start: &str| threads.iter().filter(|(name, _)| name.starts_with(start)).count();
        assert_eq!(named("MainThread"), 1, "{threads:?}");
        assert!(named("ThreadPoolExecutor-") > 0, "{threads:?}");
        assert!(threads.iter().all(|(_, frames)| !frames.is_empty()), "{threads:?}");
    }
    drop(running);
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "worker {pid} is left");
    }
    reports
}

#[test]
fn workers_that_build_pages_keep_what_they_freed() {
    for report in workers_are_explained(&["--requests", "120"]) {
        assert_eq!(report["verdict"]["cause"], "allocator-retention", "{}", report["verdict"]);
    }
}

#[test]
fn workers_that_remember_visits_are_held_by_the_list() {
    for report in workers_are_explained(&["--leak", "--requests", "800"]) {
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        let objects = findings.iter().find(|finding| finding["cause"] == "python-objects");
        let path = objects.map(|finding| finding["holders"][0]["path"].clone());
        assert_eq!(path, Some("sys.modules['app'].VISITS".into()), "{objects:?}");
    }
}

#[test]
fn a_plain_http_server_is_simply_its_size() {
    let python = Path::new("/usr/bin/python3");
    let mut command = Command::new(if python.exists() { python } else { Path::new("python3") });
    command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]);
    command.env_remove("PYTHONMALLOC").stdin(Stdio::null()).stdout(Stdio::piped());
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{error}"));
    let stdout = child.stdout.take().unwrap_or_else(|| panic!("no stdout"));
    let server = Running(child);
    let line = BufReader::new(stdout).lines().next().and_then(Result::ok);
    assert!(line.as_ref().is_some_and(|line| line.starts_with("Serving")), "{line:?}");
    let pid = server.0.id();
    let report = is_explained(pid);
    assert_eq!(report["verdict"]["cause"], "none");
    let threads = threads(pid);
    let [(name, frames)] = threads.as_slice() else { panic!("{threads:?}") };
    assert_eq!(name, "MainThread");
    assert!(frames.iter().any(|function| function.contains("serve_forever")), "{frames:?}");
    // It does not end with its stdin.
    let mut server = server;
    server.0.kill().unwrap_or_else(|error| panic!("{error}"));
}
