//! Is a pool of gunicorn's workers one table, in which what they share is counted once?

mod binary;

use binary::{json, run};
use memwhy_testkit::tools::venv;
use memwhy_testkit::{Turn, script};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const WORKERS: usize = 3;
/// What the kernel counts changes while it is looked at, by a page here and there.
const GRAIN: u64 = 2 << 20;

/// The service; dropping it ends it.
struct Service {
    child: Child,
    socket: PathBuf,
}

impl Service {
    fn start(venv: &Path) -> Self {
        let socket = std::env::temp_dir().join(format!("memwhy-pool-{}", std::process::id()));
        let mut command = Command::new(venv.join("bin/gunicorn"));
        command.args(["pool_app:application", "--preload", "--workers", "3", "--bind"]);
        command.arg(format!("unix:{}", socket.display())).current_dir(script(""));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { child: child.expect("gunicorn runs"), socket }
    }

    fn workers(&self) -> Vec<u32> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Asks until it answers: then its workers are there.
    fn is_ready(&self) -> bool {
        let asked = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        self.workers().len() == WORKERS && asked().is_ok_and(|answer| answer.contains(" 200 "))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for pid in self.workers().into_iter().chain([self.child.id()]) {
            let _ = Command::new("kill").arg("-KILL").arg(pid.to_string()).status();
        }
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

/// A sum of smaps, as the kernel states it.
fn rollup(pid: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("a number") << 10
}

#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number: {value}"))
}

#[test]
fn workers_of_gunicorn_are_one_table_and_what_they_share_is_counted_once() {
    let Some(venv) = venv("healthy-venv", None) else { return };
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let service = Service::start(&venv);
    let begun = Instant::now();
    while !service.is_ready() {
        assert!(begun.elapsed() < Duration::from_secs(120), "gunicorn does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    let pids: Vec<u32> = [service.child.id()].into_iter().chain(service.workers()).collect();

    let parent = service.child.id().to_string();
    let family = json(&[&parent, "--children", "--json"]);
    let rows = family["processes"].as_array().expect("rows");
    let mut told: Vec<u64> = rows.iter().map(|row| number(&row["pid"])).collect();
    let mut wanted: Vec<u64> = pids.iter().map(|pid| u64::from(*pid)).collect();
    told.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(told, wanted, "{family}");
    assert_eq!(family["unread"].as_array().map(Vec::len), Some(0), "{family}");

    // Each row and the sum are the kernel's, and owners add up to what is counted once.
    let total = &family["total"];
    let stated = |field: &str| -> u64 { pids.iter().map(|pid| rollup(*pid, field)).sum() };
    for (ours, field) in [("rss_bytes", "Rss"), ("pss_bytes", "Pss")] {
        let (ours, theirs) = (number(&total[ours]), stated(field));
        assert!(ours.abs_diff(theirs) <= GRAIN, "{field}: {ours} B, the kernel {theirs} B");
    }
    let owners = total["owners"].as_array().expect("rows");
    let owned: u64 = owners.iter().map(|row| number(&row["pss_bytes"])).sum();
    assert_eq!(owned + number(&total["unexplained_bytes"]), number(&total["pss_bytes"]));
    // The table is in all of them, and its pages are the parent's: once, not four times.
    let (rss, pss) = (number(&total["rss_bytes"]), number(&total["pss_bytes"]));
    assert!(pss * 2 < rss, "{pss} B of {rss} B");
    let private: Vec<u64> = rows.iter().map(|row| number(&row["private_bytes"])).collect();
    assert!(private.iter().all(|one| *one < number(&rows[0]["rss_bytes"])), "{private:?}");

    let shown = String::from_utf8(run(&[&parent, "--children"]).stdout).expect("text");
    eprintln!("{shown}");
    assert!(shown.contains("each page counted once"), "{shown}");
    assert!(shown.contains("4 processes"), "{shown}");
}
