//! What does the command line answer, and with which status, when things are not as they should be?

mod binary;

use binary::{json, memwhy, run};
use memwhy_testkit::tools::venv;
use memwhy_testkit::{BUILDS, Interpreter, Turn, Workload, interpreters, require, script};
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// `nobody`.
const ANOTHER_UID: u32 = 65534;

const COMMANDS: [&str; 13] = [
    "explain", "ps", "doctor", "stacks", "heap", "garbage", "malloc", "maps", "snap", "diff",
    "watch", "core", "demo",
];

fn one_python() -> Option<&'static Interpreter> {
    let found = || require(&["3"]).first().copied();
    interpreters().iter().find(|one| one.answers_to("3.11")).or_else(found)
}

fn turn() -> Turn {
    Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn workload(name: &str) -> Option<Workload> {
    one_python().map(|python| Workload::start(&python.path, &script(name), &[]))
}

/// Says that something was not tested; in CI that is a failure.
fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// A process of ours that ends with this.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// It ended with `status`, and said in one sentence why and in one line what to try.
#[track_caller]
fn refused(output: &Output, status: i32, sentence: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let [first, second] = lines[..] else { panic!("not two lines: {said:?}") };
    assert!(first.starts_with("memwhy: ") && first.contains(sentence), "{said}");
    let advice = second.strip_prefix("   try: ").unwrap_or_default();
    assert!(advice.len() > 10, "{said}");
}

#[test]
fn a_pid_that_nobody_has_is_a_sentence() {
    // Beyond what the kernel hands out.
    for command in [vec!["4194304"], vec!["heap", "4194304"], vec!["malloc", "4194304", "--json"]] {
        refused(&run(&command), 3, "there is no process 4194304");
    }
}

#[test]
fn a_thread_of_the_kernel_is_called_so() {
    if !std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd") {
        eprintln!("process 2 is no thread of the kernel here");
        return;
    }
    refused(&run(&["2"]), 3, "thread of the kernel");
}

#[test]
fn a_process_without_python_is_refused_where_python_is_asked_for() {
    let sleep = Running::start(Command::new("sleep").arg("60"));
    // Until it is itself and not a copy of us.
    thread::sleep(Duration::from_millis(100));
    for command in ["explain", "heap", "stacks"] {
        refused(&run(&[command, &sleep.pid()]), 3, &format!("process {}", sleep.pid()));
    }
    for command in ["maps", "malloc"] {
        let output = run(&[command, &sleep.pid()]);
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        assert!(text(&output.stdout).lines().count() > 3, "{command}");
        assert_eq!(text(&output.stderr), "", "{command}");
    }
}

/// Makes a program that everybody may run. By a process of its own: a file that we have open for
/// writing cannot be run, and another test may start a process just then, which has it open too.
fn install(from: &Path, to: &Path) {
    let made = Command::new("install").args(["-m", "755"]).args([from, to]).status();
    assert!(made.as_ref().is_ok_and(ExitStatus::success), "install {}: {made:?}", to.display());
}

/// What memwhy answers to another user.
fn as_another_user(arguments: &[&str]) -> Option<Output> {
    static COPIES: AtomicU32 = AtomicU32::new(0);
    let ours = std::fs::metadata("/proc/self").map_or(ANOTHER_UID, |found| found.uid());
    if ours != 0 {
        skip("only root can run memwhy as another user");
        return None;
    }
    let copies = COPIES.fetch_add(1, Ordering::Relaxed);
    let name = format!("memwhy-{}-nobody-{copies}", std::process::id());
    // Where that user may go: the place of the binary itself can be somebody's home.
    let copy = std::env::temp_dir().join(name);
    install(Path::new(env!("CARGO_BIN_EXE_memwhy")), &copy);
    let mut command = Command::new(&copy);
    // `uid` drops the groups of root as well.
    command.args(arguments).stdin(Stdio::null()).current_dir("/").uid(ANOTHER_UID).gid(ANOTHER_UID);
    let output = command.output().unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_file(&copy).unwrap_or_else(|error| panic!("{error}"));
    Some(output)
}

#[test]
fn another_users_process_tells_what_proc_does() {
    let Some(healthy) = workload("healthy.py") else { return };
    let pid = healthy.pid().to_string();
    for command in ["explain", "maps", "heap", "stacks", "malloc"] {
        let Some(output) = as_another_user(&[command, &pid]) else { return };
        refused(&output, 4, &format!("the memory of process {pid} cannot be read"));
        assert!(text(&output.stderr).contains("sudo"), "{command}: {}", text(&output.stderr));
        assert!(!output.stdout.is_empty(), "{command}");
    }
    let Some(output) = as_another_user(&[&pid]) else { return };
    let screen = text(&output.stdout);
    assert!(screen.contains("healthy.py") && screen.contains("RSS"), "{screen}");
    assert!(screen.contains("MiB") && screen.contains("undecided"), "{screen}");
    assert!(screen.lines().count() <= 25, "{screen}");
    let Some(output) = as_another_user(&["doctor", &pid]) else { return };
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("REFUSED"), "{}", text(&output.stdout));
}

#[test]
fn a_target_that_goes_away_is_a_sentence() {
    let Some(python) = one_python() else { return };
    let _turn = turn();
    let mut seen = [0u32; 6];
    for time in 0..120u32 {
        let mut target = Command::new(&python.path);
        target
            .args(["-c", "import time; kept = [bytes(900) for _ in range(20000)]; time.sleep(60)"]);
        let mut target = Running::start(&mut target);
        thread::sleep(Duration::from_millis(60));
        let pid = target.pid();
        let mut command = memwhy(&[&pid]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let memwhy = command.spawn().unwrap_or_else(|error| panic!("{error}"));
        // All over a run, which takes about so long.
        let moment = u64::from(time) * 37 % 240;
        thread::sleep(Duration::from_millis(moment));
        target.0.kill().unwrap_or_else(|error| panic!("{error}"));
        if time % 2 == 0 {
            // Otherwise it stays as a zombie until memwhy is done.
            target.0.wait().unwrap_or_else(|error| panic!("{error}"));
        }
        let output = memwhy.wait_with_output().unwrap_or_else(|error| panic!("{error}"));
        let said = text(&output.stderr);
        match output.status.code() {
            Some(0) => assert_eq!(said, ""),
            Some(3) => refused(&output, 3, &pid),
            Some(5) => refused(&output, 5, "went away"),
            other => panic!("target killed after {moment} ms: {other:?}: {said}"),
        }
        seen[output.status.code().map_or(0, |code| usize::try_from(code).unwrap_or(0))] += 1;
        if time >= 60 && seen[5] > 0 {
            break;
        }
    }
    eprintln!("{} finished, {} came too late, {} saw it go", seen[0], seen[3], seen[5]);
    assert!(seen[5] > 0, "no run of memwhy saw its target go away: {seen:?}");
}

/// The smallest program of 32 bits: it waits for a signal, for ever.
fn program_of_32_bits() -> PathBuf {
    const ORIGIN: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    // mov eax, 29 (pause); int 0x80; jmp back
    const CODE: [u8; 9] = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];
    let len = HEADERS + 9;
    let mut bytes = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |bytes: &mut Vec<u8>, value: u16| bytes.extend(value.to_le_bytes());
    let word = |bytes: &mut Vec<u8>, value: u32| bytes.extend(value.to_le_bytes());
    half(&mut bytes, 2); // an executable
    half(&mut bytes, 3); // for the 386
    for value in [1, ORIGIN + HEADERS, 52, 0, 0] {
        word(&mut bytes, value);
    }
    for value in [52, 32, 1, 0, 0, 0] {
        half(&mut bytes, value);
    }
    // One segment, all of the file, to be read and executed.
    for value in [1, 0, ORIGIN, ORIGIN, len, len, 5, 0x1000] {
        word(&mut bytes, value);
    }
    bytes.extend(CODE);
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("elf32-{}", std::process::id()));
    let program = made.with_extension("run");
    std::fs::write(&made, bytes).unwrap_or_else(|error| panic!("{}: {error}", made.display()));
    install(&made, &program);
    std::fs::remove_file(&made).unwrap_or_else(|error| panic!("{error}"));
    program
}

#[test]
fn a_process_of_32_bits_is_called_so() {
    let path = program_of_32_bits();
    let started = Command::new(&path).stdin(Stdio::null()).spawn();
    let Ok(child) = started else {
        std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
        eprintln!("SKIPPED: this kernel runs no 32-bit programs: {started:?}");
        return;
    };
    let mut running = Running(child);
    thread::sleep(Duration::from_millis(100));
    std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
    let ended = running.0.try_wait().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ended, None, "the 32-bit program ended");
    refused(&run(&[&running.pid()]), 3, "32-bit");
}

#[test]
fn scripts_can_ask_for_a_cause() {
    let _turn = turn();
    let Some(kept) = workload("thread_arenas.py") else { return };
    let ask = |pid: u32, causes: &str| run(&[&pid.to_string(), "--fail-on", causes]).status.code();
    assert_eq!(ask(kept.pid(), "allocator-retention"), Some(10));
    assert_eq!(ask(kept.pid(), "busy,allocator-retention"), Some(10));
    assert_eq!(ask(kept.pid(), "python-objects"), Some(0));
    assert_eq!(ask(kept.pid(), "no-such-cause"), Some(2));
    drop(kept);
    let Some(healthy) = workload("healthy.py") else { return };
    assert_eq!(ask(healthy.pid(), "allocator-retention,python-objects"), Some(0));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let Some(healthy) = workload("healthy.py") else { return };
    let pid = healthy.pid().to_string();
    for arguments in
        [vec![pid.as_str()], vec!["heap", &pid, "--top", "100000", "--json"], vec!["ps"]]
    {
        let mut command = memwhy(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{error}"));
        // Closed before anything is written: the first write fails.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
    }
    let line = format!("{} {pid} | head -1", env!("CARGO_BIN_EXE_memwhy"));
    let output = Command::new("sh").args(["-c", &line]).output();
    let output = output.unwrap_or_else(|error| panic!("{error}"));
    assert!(text(&output.stdout).starts_with(&format!("memwhy {pid} ")), "{output:?}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn output_goes_to_the_file_that_was_named() {
    let Some(healthy) = workload("healthy.py") else { return };
    let pid = healthy.pid().to_string();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{pid}.json"));
    let named = path.display().to_string();
    let output = run(&[&pid, "--json", "-o", &named]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let report = std::fs::read(&path).unwrap_or_else(|error| panic!("{named}: {error}"));
    std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
    let report: Value = serde_json::from_slice(&report).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report["target"]["pid"], healthy.pid());
    refused(&run(&[&pid, "-o", "/nonexistent/report"]), 1, "/nonexistent/report");
}

#[test]
fn every_command_speaks_json() {
    let Some(healthy) = workload("healthy.py") else { return };
    let pid = healthy.pid().to_string();
    for (command, schema) in [
        ("explain", "memwhy.report/1"),
        ("maps", "memwhy.maps/1"),
        ("heap", "memwhy.heap/1"),
        ("stacks", "memwhy.stacks/1"),
        ("malloc", "memwhy.malloc/1"),
    ] {
        let said = json(&[command, &pid, "--json"]);
        assert_eq!(said["schema"], schema);
        assert_eq!(said["target"]["pid"], healthy.pid(), "{command}");
    }
    let said = json(&["ps", "--json"]);
    assert_eq!(said["schema"], "memwhy.ps/1");
    let rows = said["processes"].as_array().cloned().unwrap_or_default();
    let row = rows.iter().find(|row| row["pid"] == healthy.pid());
    assert!(row.is_some_and(|row| row["rss_bytes"].as_u64() > Some(1 << 20)), "{said}");
}

/// Validates with `jsonschema`; `None` if it cannot be had.
fn validator() -> Option<PathBuf> {
    Some(venv("test-venv", None)?.join("bin/python"))
}

const VALIDATE: &str = "
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
kind = jsonschema.validators.validator_for(schema)
kind.check_schema(schema)
validator = kind(schema, format_checker=kind.FORMAT_CHECKER)
faults = ['%s: %s' % (fault.json_path, fault.message) for fault in
          validator.iter_errors(json.load(sys.stdin))]
sys.exit('\\n'.join(faults) or None)
";

fn is_valid(python: &Path, report: &[u8], what: &str) -> ExitStatus {
    let schema = script("..").join("schema/memwhy.report-1.schema.json");
    let mut command = Command::new(python);
    command.args(["-c", VALIDATE]).arg(schema).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{error}"));
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(report).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{error}"));
    eprint!("{}", text(&output.stderr));
    output.status
}

#[test]
fn reports_keep_to_their_schema() {
    let Some(python) = validator() else { return };
    assert!(!is_valid(&python, b"{\"schema\": \"memwhy.report/1\"}", "a stub").success());
    for (name, cause) in [
        ("main_heap_hole.py", "allocator-retention"),
        ("pymalloc_fragments.py", "pymalloc-fragmentation"),
        ("big_cache.py", "python-objects"),
        ("healthy.py", "none"),
    ] {
        let _turn = turn();
        let Some(target) = workload(name) else { return };
        let output = run(&[&target.pid().to_string(), "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(report["verdict"]["cause"], cause, "{name}");
        assert!(is_valid(&python, &output.stdout, name).success(), "{name}");
        let owners = report["rss"]["owners"].as_array().cloned().unwrap_or_default();
        let owned: u64 = owners.iter().filter_map(|owner| owner["resident_bytes"].as_u64()).sum();
        let unexplained = report["rss"]["unexplained_bytes"].as_u64().unwrap_or(0);
        assert_eq!(Some(owned + unexplained), report["rss"]["total_bytes"].as_u64(), "{name}");
    }
    let Some(healthy) = workload("healthy.py") else { return };
    let Some(output) = as_another_user(&[&healthy.pid().to_string(), "--json"]) else { return };
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(report["target"]["withheld"].is_string(), "{report}");
    assert!(is_valid(&python, &output.stdout, "withheld").success());
}

#[test]
fn help_has_each_command_and_fits() {
    for arguments in [vec!["--help"], vec!["-h"], vec!["help"]] {
        let output = run(&arguments);
        let help = text(&output.stdout);
        assert!(output.status.success(), "{arguments:?}");
        for command in COMMANDS {
            let line = help.lines().find(|line| line.trim_start().starts_with(command));
            assert!(line.is_some_and(|line| line.split_whitespace().count() > 3), "{help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        assert!(help.contains("Exit status"), "{help}");
    }
    for command in COMMANDS {
        let help = run(&[command, "--help"]);
        assert!(help.status.success() && !help.stdout.is_empty(), "{command}");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
    assert_eq!(run(&["--no-such-flag", "1"]).status.code(), Some(2));
    assert_eq!(run(&["no-such-command"]).status.code(), Some(2));
    assert!(text(&run(&["--version"]).stdout).starts_with("memwhy "));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    const ESCAPE: char = '\u{1b}';
    let Some(healthy) = workload("healthy.py") else { return };
    let pid = healthy.pid().to_string();
    assert!(!text(&run(&[&pid]).stdout).contains(ESCAPE), "a pipe is no terminal");
    assert!(text(&run(&[&pid, "--color", "always"]).stdout).contains(ESCAPE));
    // `script` runs a command on a terminal of its own.
    let on_a_terminal = |no_color: Option<&str>| {
        let line = format!("{} {pid}", env!("CARGO_BIN_EXE_memwhy"));
        let mut command = Command::new("script");
        command.args(["--quiet", "--command", &line, "/dev/null"]).stdin(Stdio::null());
        command.env_remove("NO_COLOR").envs(no_color.map(|value| ("NO_COLOR", value)));
        command.output().ok().map(|output| text(&output.stdout))
    };
    let Some(screen) = on_a_terminal(None) else {
        eprintln!("SKIPPED: no `script` here, colours on a terminal are not tested");
        return;
    };
    assert!(screen.contains(ESCAPE) && screen.contains("VERDICT"), "{screen:?}");
    let plain = on_a_terminal(Some("1")).unwrap_or_default();
    assert!(!plain.contains(ESCAPE) && plain.contains("VERDICT"), "{plain:?}");
    let empty = on_a_terminal(Some("")).unwrap_or_default();
    assert!(empty.contains(ESCAPE), "an empty NO_COLOR asks for nothing");
}

#[test]
fn the_demo_shows_the_cure_and_leaves_nothing() {
    for python in require(&BUILDS) {
        let _turn = turn();
        let path = python.path.display().to_string();
        let output = run(&["demo", "--python", &path]);
        let shown = text(&output.stdout);
        eprintln!("{}:\n{shown}", python.label);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let verdicts: Vec<&str> =
            shown.lines().filter(|line| line.starts_with("VERDICT")).collect();
        if python.label.ends_with('t') {
            // All objects are in mimalloc there, for which nobody has a cure.
            let [before] = verdicts[..] else { panic!("not one screen: {shown}") };
            assert!(before.contains("pymalloc fragmentation"), "{before}");
            let words: Vec<&str> = shown.split_whitespace().collect();
            assert!(words.join(" ").contains("free inside mimalloc"), "{shown}");
        } else {
            let [before, after] = verdicts[..] else { panic!("not two screens: {shown}") };
            assert!(before.contains("allocator retention"), "{}: {before}", python.label);
            assert!(!after.contains("allocator retention"), "{}: {after}", python.label);
            assert!(shown.contains("\npredicted "), "{shown}");
        }
        let head = shown.lines().next().unwrap_or_default();
        let pid = head.strip_prefix("memwhy ").and_then(|rest| rest.split(' ').next());
        let pid: u32 = pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{head}"));
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
    }
    let output = run(&["demo", "--python", "/nonexistent/python"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("\nmemwhy: cannot start /nonexistent/python"), "{said}");
    assert!(said.contains("\n   try: "), "{said}");
}
