//! Does watching tell growth from what comes and goes, and does it end as it should?
//!
//! `workloads/growing.py` changes only when it is told to, after a look was printed: no look depends
//! on how fast this machine is.

use memwhy_testkit::tools::compiled;
use memwhy_testkit::{Turn, Workload, require, script};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A watch that is running.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watch {
    fn start(pid: u32, more: &[&str]) -> Self {
        let pid = pid.to_string();
        let arguments = [&["watch", &pid, "--every", "100ms", "--for", "30m"], more].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_memwhy"));
        command.args(arguments).env_remove("COLUMNS").env("NO_COLOR", "1").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("text");
        line
    }

    fn look(&mut self) -> Value {
        let look: Value = serde_json::from_str(&self.line()).expect("JSON");
        assert_eq!((&look["schema"], &look["event"]), (&"memwhy.watch/1".into(), &"look".into()));
        look
    }

    /// What it says at its end, and its status.
    fn end(mut self) -> (Value, Option<i32>) {
        let verdict = loop {
            let line = self.line();
            let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
            if said["event"] == "verdict" {
                break said;
            }
        };
        (verdict, self.child.wait().expect("it ends").code())
    }

    /// Ctrl-C.
    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().expect("kill runs");
        assert!(sent.success());
    }
}

/// A look is a line that begins with the time.
fn is_look(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|word| {
        word.contains(':') && word.chars().all(|c| c.is_ascii_digit() || c == ':')
    })
}

/// Watches while each of `commands` is done after a look; then presses Ctrl-C.
fn watched(workload: &mut Workload, commands: &[&str]) -> Value {
    let mut watch = Watch::start(workload.pid(), &["--json"]);
    for command in commands {
        watch.look();
        workload.command(command);
    }
    watch.look();
    watch.interrupt();
    let (verdict, status) = watch.end();
    assert_eq!(status, Some(0), "{verdict:#}");
    assert!(verdict["looks"].as_u64().is_some_and(|looks| looks > commands.len() as u64));
    verdict
}

/// In one process, so that there is one start to wait for.
#[test]
fn growth_is_told_from_what_comes_and_goes_and_every_end_says_what_was_seen() {
    let Some(python) = require(&["3.11.7"]).first().copied() else { return };
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let mut workload = Workload::start(&python.path, &script("growing.py"), &[]);
    let verdict = watched(&mut workload, &["ping"; 3]);
    assert_eq!(verdict["course"], "steady", "{verdict:#}");

    let verdict = watched(&mut workload, &["batch", "done", "batch", "done"]);
    assert_eq!(verdict["course"], "sawtooth", "{verdict:#}");

    let verdict = watched(&mut workload, &["grow"; 5]);
    assert_eq!(verdict["course"], "growing", "{verdict:#}");
    let slope = |list: &Value, name: &str| {
        let rows = list.as_array().cloned().unwrap_or_default();
        let row = rows.into_iter().find(|row| row["name"] == name).unwrap_or_default();
        row["bytes_per_s"].as_f64().unwrap_or(0.0)
    };
    assert!(verdict["live_bytes_per_s"].as_f64().is_some_and(|slope| slope > 0.0));
    assert!(slope(&verdict["owners"], "python.objects") > 0.0, "{verdict:#}");
    let types = &verdict["types"];
    let text = types.as_array().and_then(|types| types.first()).cloned().unwrap_or_default();
    assert_eq!(text["name"], "builtins.str", "{verdict:#}");
    let holder = &verdict["holders"][0];
    assert!(holder["path"].as_str().is_some_and(|path| path.contains("JOURNAL")), "{verdict:#}");
    assert!(holder["growth_bytes"].as_i64().is_some_and(|bytes| bytes > 3 << 20), "{verdict:#}");

    let said = said_at_the_end(&mut workload, 4);
    assert!(said.contains("JOURNAL"), "{said}");

    let mut watch = Watch::start(workload.pid(), &["--json"]);
    for _ in 0..4 {
        watch.look();
        workload.command("grow");
    }
    drop(workload);
    let (verdict, status) = watch.end();
    assert_eq!(status, Some(5), "{verdict:#}");
    assert!(verdict["looks"].as_u64().is_some_and(|looks| looks >= 4), "{verdict:#}");
    assert_eq!(verdict["course"], "growing", "{verdict:#}");
}

/// Grows after each of so many looks that are printed as text; then presses Ctrl-C. What it says then.
fn said_at_the_end(workload: &mut Workload, looks: usize) -> String {
    let mut watch = Watch::start(workload.pid(), &[]);
    let head = watch.line();
    assert!(head.starts_with("memwhy "), "{head}");
    let mut seen = 0;
    while seen < looks {
        let line = watch.line();
        assert!(!line.is_empty(), "it ended");
        if is_look(&line) {
            seen += 1;
            workload.command("grow");
        }
    }
    watch.interrupt();
    let mut said = String::new();
    watch.lines.read_to_string(&mut said).expect("text");
    assert_eq!(watch.child.wait().expect("it ends").code(), Some(0), "{said}");
    assert!(said.contains("VERDICT  growing: "), "{said}");
    said
}

/// Memory of C: whose it is, what it looks like, and what to run to find the call that takes it.
#[test]
fn growth_of_memory_of_c_names_who_keeps_it_and_the_probe() {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libwatched.so");
    let library = compiled("cc", &["-O1", "-pthread"], "leaks.c", &library);
    let Some(library) = library else { return };
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let library = library.to_str().expect("a path");
    let env = [("LEAKS_LIBRARY", library), ("SESSIONS", "5000")];
    for python in require(&["3.8.18"]) {
        let mut workload = Workload::start(&python.path, &script("native_growth.py"), &env);
        let verdict = watched(&mut workload, &["grow"; 4]);
        assert_eq!(verdict["course"], "growing", "{verdict:#}");
        let native = &verdict["native_memory"];
        assert_eq!(native["names"], serde_json::json!(["libwatched.so"]), "{verdict:#}");
        // 5,000 sessions each time, each in a chunk of 2 KB.
        let chunks = native["growth_chunks"].as_i64().expect("a number");
        assert!((19_900..=20_100).contains(&chunks), "{native:#}");
        assert_eq!(native["growth_bytes"].as_i64(), Some(chunks * 2016), "{native:#}");
        let probe = native["probe"].as_str().expect("a command");
        assert!(probe.contains("malloc") && probe.contains("20"), "{probe}");
    }
    for python in require(&["3.13.0"]) {
        let mut workload = Workload::start(&python.path, &script("native_growth.py"), &env);
        let said = said_at_the_end(&mut workload, 5);
        assert!(said.contains("kept by libwatched.so"), "{said}");
    }
}
