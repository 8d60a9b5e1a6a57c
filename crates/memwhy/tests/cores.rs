//! What becomes of core files that are not as they should be, and of writing where it cannot be done?

mod binary;

use binary::{json, memwhy, run};
use memwhy_testkit::tools::venv;
use memwhy_testkit::{Folder, Interpreter, Turn, Workload, require, script};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A folder of this file's tests.
fn folder(name: &str) -> Folder {
    Folder::new(env!("CARGO_TARGET_TMPDIR"), &format!("cores-{name}"))
}

fn with(folder: &Folder, name: &str, bytes: &[u8]) -> String {
    let path = folder.path(name);
    fs::write(&path, bytes).expect("room");
    path
}

fn names(folder: &Folder) -> BTreeSet<String> {
    let entries = fs::read_dir(&folder.0).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into()).collect()
}

fn turn() -> Turn {
    Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn python() -> Option<&'static Interpreter> {
    require(&["3.12"]).first().copied()
}

fn waiting(python: &Interpreter) -> Workload {
    Workload::start(&python.path, &script("ring.py"), &[])
}

fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// It ended with `status`, and said in one sentence why and in one line what to try.
#[track_caller]
fn refused(output: &Output, status: i32, sentence: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(said.lines().count() == 2 && said.contains(sentence), "{said}");
}

/// The head of an ELF file: class, type, machine.
fn elf(class: u8, kind: u16, machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
    bytes[16..18].copy_from_slice(&kind.to_le_bytes());
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[20] = 1;
    bytes[32] = 64;
    bytes[52] = 64;
    bytes[54] = 56;
    bytes
}

/// A core of these `PT_LOAD` (4-byte flags, then offset, address, 0, held, size, alignment).
fn with_segments(segments: &[[u64; 4]]) -> Vec<u8> {
    let mut bytes = elf(2, 4, 62);
    bytes[56] = u8::try_from(segments.len()).expect("few");
    for [offset, at, held, size] in segments {
        bytes.extend([1u32, 6].iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend([*offset, *at, 0, *held, *size, 4096].iter().flat_map(|w| w.to_le_bytes()));
    }
    bytes.resize(4096 * 3, 7);
    bytes
}

#[test]
fn what_is_no_core_is_refused_with_the_reason() {
    let folder = folder("none");
    let cases = [
        (with(&folder, "empty", b""), "it is empty"),
        (with(&folder, "text", b"Dear core,\nhow are you? This is a text.\n"), "it is no core"),
        (with(&folder, "short", b"\x7fELF"), "it is no core"),
        ("/proc/self/exe".into(), "a program or a library, not a core"),
        (with(&folder, "narrow", &elf(1, 4, 3)), "32-bit"),
        (with(&folder, "foreign", &elf(2, 4, 183)), "another machine"),
        (with(&folder, "nothing", &elf(2, 4, 62)), "without memory"),
        (with(&folder, "gz", b"\x1f\x8b\x08\0\0\0\0\0\0\0\x07\x07\x07\x07"), "cannot be expanded"),
        (with(&folder, "zst", b"\x28\xb5\x2f\xfdnonsense"), "cannot be expanded"),
    ];
    for (path, sentence) in &cases {
        for command in ["explain", "heap", "malloc", "maps", "stacks"] {
            refused(&run(&[command, path]), 3, sentence);
        }
        refused(&run(&[path]), 3, sentence);
    }
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
    refused(&run(&["heap", &pipe]), 3, "it is no file");
    refused(&run(&["heap", "/dev/zero"]), 3, "it is no file");
    refused(&run(&["stacks", &pipe]), 3, "it is no file");
    let missing = run(&[&folder.path("missing"), "--json"]);
    assert_eq!(missing.status.code(), Some(2));
    let folder_itself = run(&["heap", &folder.path("")]);
    assert!(String::from_utf8_lossy(&folder_itself.stderr).contains("manifest.json"));
}

#[test]
fn a_core_of_somebody_else_is_refused_as_not_permitted() {
    let folder = folder("somebody");
    let path = with(&folder, "core", &with_segments(&[[4096, 0x10_000, 4096, 4096]]));
    let closed = fs::Permissions::from_mode(0o000);
    fs::set_permissions(&path, closed).expect("ours");
    // Root may read everything: it has to be somebody else.
    let output = if fs::File::open(&path).is_ok() {
        let binary = env!("CARGO_BIN_EXE_memwhy");
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups", binary, "heap", &path]);
        other.output().expect("setpriv")
    } else {
        run(&["heap", &path])
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() != Some(4) && said.contains("ermission denied") {
        return skip(&format!("{path} is in a folder that nobody else may enter"));
    }
    refused(&output, 4, "you may not read it");
}

#[test]
fn segments_that_cannot_be_are_cut_and_said() {
    let folder = folder("segments");
    let cases = [
        // One reaches beyond the end of the address space, one beyond the file, two overlap, one
        // has the bytes of another.
        with_segments(&[[4096, 0x10_000, 4096, 4096], [4096, u64::MAX - 10, 64, 4096]]),
        with_segments(&[[4096, 0x10_000, 1 << 40, 1 << 41]]),
        with_segments(&[[4096, 0x10_000, 4096, 8192], [8192, 0x11_000, 4096, 4096]]),
        with_segments(&[[4096, 0x10_000, 4096, 4096], [4096, 0x20_000, 4096, 4096]]),
    ];
    for (n, bytes) in cases.iter().enumerate() {
        let maps = json(&["maps", &with(&folder, &n.to_string(), bytes), "--json"]);
        let problems = maps["problems"].as_array().expect("a list");
        assert!(problems.iter().any(|one| one["kind"] == "core-incomplete"), "{n}: {problems:?}");
        assert!(maps["rss"]["total_bytes"].as_u64().is_some_and(|n| n <= 8192), "{n}");
    }
}

#[test]
fn a_cut_or_compressed_core_tells_what_it_holds() {
    let Some(python) = python() else { return };
    let _turn = turn();
    let folder = folder("cut");
    let workload = waiting(python);
    let path = folder.path("whole");
    assert!(run(&["core", &workload.pid().to_string(), "-o", &path]).status.success());
    let whole = json(&["heap", &path, "--json"]);
    let bytes = fs::read(&path).expect("just written");
    for (tenths, name) in [(1, "a"), (5, "b"), (9, "c")] {
        let cut = with(&folder, name, &bytes[..bytes.len() / 10 * tenths]);
        let maps = json(&["maps", &cut, "--json"]);
        let problems = maps["problems"].as_array().expect("a list");
        assert!(problems.iter().any(|one| one["kind"] == "core-incomplete"), "{tenths}");
        for command in ["explain", "heap", "stacks", "malloc"] {
            let status = run(&[command, &cut]).status.code();
            assert!(matches!(status, Some(0 | 3)), "{command}, {tenths} tenths: {status:?}");
        }
    }
    assert!(!whole["heap"]["objects"].is_null());
    // As administrators do it, and systemd-coredump now and formerly.
    for (tool, ending) in [("gzip", "gz"), ("zstd", "zst"), ("lz4", "lz4")] {
        let name = folder.path(&format!("whole.{ending}"));
        let packed =
            Command::new("sh").args(["-c", &format!("{tool} -q -1 -c <{path} >{name}")]).status();
        if !packed.is_ok_and(|status| status.success()) {
            skip(&format!("{tool} is not there"));
            continue;
        }
        let expanded = json(&["heap", &name, "--json"]);
        assert_eq!(expanded["heap"]["objects"], whole["heap"]["objects"], "{tool}");
        assert!(expanded["problems"].as_array().is_some_and(Vec::is_empty), "{tool}");
        assert_eq!(run(&["stacks", &name]).status.code(), Some(0), "{tool}");
        // Cut off while it was packed: what came before is told, and that it is not all.
        let packed = fs::read(&name).expect("just written");
        let cut = with(&folder, &format!("cut.{ending}"), &packed[..packed.len() / 10 * 9]);
        let maps = json(&["maps", &cut, "--json"]);
        assert!(maps["problems"].to_string().contains("core-incomplete"), "{tool}");
    }
    // Nothing is left of what was expanded.
    let left = names(&folder).into_iter().filter(|name| name.starts_with('.')).count();
    assert_eq!(left, 0);
}

#[test]
fn a_core_of_no_python_has_its_memory_explained_only() {
    let folder = folder("sleep");
    let mut sleep = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep");
    std::thread::sleep(Duration::from_millis(200));
    let path = folder.path("core");
    let written = run(&["core", &sleep.id().to_string(), "-o", &path]);
    let _ = sleep.kill();
    let _ = sleep.wait();
    assert!(written.status.success());
    refused(&run(&[&path]), 3, "no Python interpreter");
    assert!(json(&["maps", &path, "--json"])["rss"]["total_bytes"].as_u64() > Some(0));
    assert!(run(&["malloc", &path]).status.success());
}

#[test]
fn a_program_that_is_gone_is_found_by_exe_and_another_build_is_refused() {
    let Some(python) = require(&["debian-3.11"]).first().copied() else { return };
    let _turn = turn();
    let folder = folder("exe");
    let copy = folder.0.join("python-of-another-machine");
    // By a process of its own: a file that we have open for writing cannot be run.
    let made = Command::new("cp").arg(&python.path).arg(&copy).status();
    assert!(made.is_ok_and(|status| status.success()));
    let workload = Workload::start(&copy, &script("ring.py"), &[]);
    let path = folder.path("core");
    assert!(run(&["core", &workload.pid().to_string(), "-o", &path]).status.success());
    let here = json(&["heap", &path, "--json"])["heap"]["objects"].clone();
    assert!(here.as_u64() > Some(10_000), "{here}");
    fs::remove_file(&copy).expect("ours");
    refused(&run(&["heap", &path]), 3, "no Python interpreter");
    // Another build in its place is not taken for it.
    let made = Command::new("cp").arg("/bin/sleep").arg(&copy).status();
    assert!(made.is_ok_and(|status| status.success()));
    refused(&run(&["heap", &path]), 3, "no Python interpreter");
    let maps = json(&["maps", &path, "--json"]);
    let said = maps["problems"].to_string();
    assert!(said.contains("file-not-found") && said.contains("another build"), "{said}");
    let exe = python.path.to_string_lossy();
    let found = json(&["heap", &path, "--exe", &exe, "--json"])["heap"]["objects"].clone();
    assert_eq!(found, here);
    // Below a folder that stands for the other machine's root.
    let inside = folder.0.join("root").join(copy.strip_prefix("/").expect("absolute"));
    fs::create_dir_all(inside.parent().expect("it has one")).expect("ours");
    let made = Command::new("cp").arg(&python.path).arg(&inside).status();
    assert!(made.is_ok_and(|status| status.success()));
    let root = folder.path("root");
    let found = json(&["heap", &path, "--lib-root", &root, "--json"])["heap"]["objects"].clone();
    assert_eq!(found, here);
}

#[test]
fn a_file_of_that_name_stays_unless_it_is_to_go() {
    let Some(python) = python() else { return };
    let _turn = turn();
    let folder = folder("existing");
    let workload = waiting(python);
    let pid = workload.pid().to_string();
    let path = with(&folder, "core", b"precious");
    refused(&run(&["core", &pid, "-o", &path]), 1, "exists; nothing was written");
    assert_eq!(fs::read(&path).expect("still there"), b"precious");
    assert!(run(&["core", &pid, "-o", &path, "--force"]).status.success());
    assert!(run(&["stacks", &path]).status.success());
    assert_eq!(names(&folder).len(), 1);
}

/// A file system of one MiB, in a mount namespace that is gone with the command.
#[test]
fn a_disk_that_is_too_small_is_told_beforehand_with_what_it_takes() {
    let Some(python) = python() else { return };
    let _turn = turn();
    let folder = folder("small");
    let workload = waiting(python);
    let script = format!(
        "mount -t tmpfs -o size=1m none {folder} && {memwhy} core {pid} -o {folder}/core; \
         status=$?; ls -A {folder}; exit $status",
        folder = folder.0.display(),
        memwhy = env!("CARGO_BIN_EXE_memwhy"),
        pid = workload.pid(),
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output();
    let output = output.expect("unshare");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("unshare") {
        return skip("a mount namespace takes root");
    }
    refused(&output, 1, "and its disk has 1.0 MiB");
    assert_eq!(output.stdout, b"", "something was left there");
}

#[test]
fn a_full_disk_and_a_kill_leave_no_half_file() {
    let Some(python) = python() else { return };
    let _turn = turn();
    let folder = folder("half");
    let workload = waiting(python);
    let pid = workload.pid().to_string();
    let path = folder.path("core");
    // A limit on the size of files refuses as a full disk does.
    let limited = format!(
        "trap '' XFSZ; ulimit -f 2048; exec {} core {pid} -o {path}",
        env!("CARGO_BIN_EXE_memwhy")
    );
    let full = Command::new("sh").args(["-c", &limited]).output().expect("a shell");
    refused(&full, 1, "cannot write");
    assert_eq!(names(&folder).len(), 0);
    let mut complete = 0;
    for wait in 0..12 {
        let mut child = memwhy(&["core", &pid, "-o", &path]);
        let mut child = child.stdout(Stdio::null()).spawn().expect("the binary");
        std::thread::sleep(Duration::from_millis(wait * 20));
        let _ = child.kill();
        let _ = child.wait();
        match names(&folder).len() {
            0 => {}
            1 => {
                complete += 1;
                assert!(run(&["stacks", &path]).status.success());
                fs::remove_file(&path).expect("ours");
            }
            more => panic!("{more} files: {:?}", names(&folder)),
        }
    }
    eprintln!("{complete} of 12 were complete when they were killed");
    // And the process goes on.
    let state = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    assert!(state.lines().any(|line| line.starts_with("State:") && line.contains('S')), "{state}");
}

/// The functions that gdb shows of each thread, by its number.
fn backtraces(arguments: &[&str]) -> Option<BTreeMap<u32, Vec<String>>> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-batch", "-nx", "-ex", "set debuginfod enabled off"]);
    gdb.args(["-ex", "thread apply all bt 12"]);
    let output = gdb.args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut threads: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if line.starts_with("Thread ") {
            let number = line.split_once("(LWP ").and_then(|(_, rest)| rest.split(')').next());
            current = number.and_then(|number| number.parse().ok());
        } else if let (Some(thread), Some(frame)) = (current, line.strip_prefix('#')) {
            // `3  0x00007f… in name (arguments) at file:line`, the address left out of the first.
            let words: Vec<&str> = frame.split_ascii_whitespace().collect();
            let function = words.iter().position(|word| *word == "in").map_or(1, |at| at + 1);
            let function = words.get(function).copied().unwrap_or_default().to_owned();
            threads.entry(thread).or_default().push(function);
        }
    }
    Some(threads)
}

#[test]
fn gdb_shows_the_threads_and_stacks_of_our_core_as_it_shows_the_living() {
    let Some(python) = python() else { return };
    let _turn = turn();
    let folder = folder("gdb");
    let workload = waiting(python);
    let pid = workload.pid().to_string();
    let path = folder.path("core");
    assert!(run(&["core", &pid, "-o", &path]).status.success());
    let exe = fs::read_link(format!("/proc/{pid}/exe")).expect("it runs");
    let Some(core) = backtraces(&[&exe.to_string_lossy(), &path]) else {
        return skip("gdb is not there");
    };
    let live = backtraces(&["-p", &pid]).expect("gdb was there");
    assert!(live.len() >= 3 && live.values().all(|frames| frames.len() >= 4), "{live:?}");
    assert_eq!(core, live);
}

#[test]
fn py_spy_and_pystack_show_our_core_as_they_show_the_living() {
    let Some(venv) = venv("stacks-venv", None) else { return };
    // All of pyenv's that both of them read.
    for python in
        require(&["2.7.18", "3.7.16", "3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0"])
    {
        others_show_it_as_the_living(python, &venv);
    }
}

fn others_show_it_as_the_living(python: &Interpreter, venv: &Path) {
    let _turn = turn();
    let folder = folder("readers");
    let workload = waiting(python);
    let pid = workload.pid().to_string();
    let path = folder.path("core");
    assert!(run(&["core", &pid, "-o", &path]).status.success());
    let exe = fs::read_link(format!("/proc/{pid}/exe")).expect("it runs");
    let frames = |tool: &str, arguments: &[&str]| {
        let output = Command::new(venv.join("bin").join(tool)).args(arguments).output();
        let output = output.expect("it was installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        // Functions and lines; whether the path is shortened differs between the two.
        let frame = |line: &str| {
            let (before, place) = line.rsplit_once(".py")?;
            let file = before.rsplit(['/', '(', '"']).next()?;
            let function = before.trim().split('(').next()?.split('/').next()?;
            line.starts_with(' ').then(|| format!("{function}{file}{place}"))
        };
        let frames: Vec<String> = text.lines().filter_map(frame).collect();
        assert!(!frames.is_empty(), "{tool}: {text}{error}");
        frames
    };
    let live = frames("py-spy", &["dump", "--pid", &pid]);
    assert_eq!(frames("py-spy", &["dump", "--core", &path]), live);
    let live = frames("pystack", &["remote", &pid]);
    assert_eq!(frames("pystack", &["core", &path, &exe.to_string_lossy()]), live);
}

#[test]
fn heads_and_notes_that_lie_are_survived() {
    let Some(python) = python() else { return };
    let _turn = turn();
    let folder = folder("lies");
    let workload = waiting(python);
    let path = folder.path("core");
    assert!(run(&["core", &workload.pid().to_string(), "-o", &path]).status.success());
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).expect("ours");
    let mut head = vec![0; 48 << 10];
    file.read_exact_at(&mut head, 0).expect("it is longer");
    let files = memwhy::CoreFiles::default();
    let mut opened = 0;
    let rounds = std::env::var("MEMWHY_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok());
    for round in 0..60 * rounds.unwrap_or(1u64) {
        let mut lying = head.clone();
        let mut dice = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..=round % 8 {
            dice = (dice ^ (dice >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let at = usize::try_from(dice >> 16).expect("64 bits") % lying.len();
            let value = [0, 1, 0x7f, 0xff][usize::from(dice.to_le_bytes()[7] % 4)];
            lying[at] = value;
        }
        file.write_all_at(&lying, 0).expect("room");
        let case = memwhy::open_core(Path::new(&path), &files, &memwhy::Options::default());
        opened += u64::from(case.is_ok());
    }
    assert!(opened > 0, "every lie was noticed at the door, so nothing behind it was tested");
}
