//! Does code run inside of a target, and does the target live on unharmed?
//!
//! `MEMWHY_STRESS=500` makes the stress as long as the figures in BENCHMARKS.md are.

mod binary;

use binary::{json, memwhy, run};
use memwhy_testkit::tools::{library, present, which};
use memwhy_testkit::{Interpreter, ORDINARY, Turn, Workload, others, require, script};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

fn turn() -> Turn {
    Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn start(python: &Interpreter, name: &str) -> Workload {
    Workload::start(&python.path, &script(name), &[])
}

/// How often the stress acts on each interpreter.
fn often() -> usize {
    std::env::var("MEMWHY_STRESS").ok().and_then(|often| often.parse().ok()).unwrap_or(6)
}

fn exec(pid: u32, code: &str, more: &[&str]) -> Output {
    let pid = pid.to_string();
    let mut arguments = vec!["exec", &pid, "--allow-write", "-c", code];
    arguments.extend_from_slice(more);
    run(&arguments)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn on_stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What is there to be counted of a process, and which of its names.
fn traces(pid: u32) -> (usize, usize) {
    let count =
        |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count);
    (count("task"), count("fd"))
}

/// Waits for what threads that end may still show.
#[track_caller]
fn settles(pid: u32, before: (usize, usize), label: &str) {
    let begun = Instant::now();
    while traces(pid) != before {
        assert!(begun.elapsed() < Duration::from_secs(5), "{label}: {:?}, {before:?}", traces(pid));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn without_consent_nothing_is_done_and_the_user_is_told_what_would_be() {
    for python in require(&["3.11"]) {
        let target = start(python, "waiting.py");
        let before = traces(target.pid());
        for command in [&["exec"][..], &["shell"], &["trim"]] {
            let pid = target.pid().to_string();
            let mut arguments = command.to_vec();
            arguments.push(&pid);
            if command == ["exec"] {
                arguments.extend(["-c", "main.changed = True"]);
            }
            let output = run(&arguments);
            assert_eq!(output.status.code(), Some(2), "{command:?}");
            let told = on_stderr(&output);
            assert!(told.contains("would change process"), "{told}");
            assert!(told.contains("borrow a thread"), "{told}");
            assert!(told.contains("--allow-write"), "{told}");
        }
        assert_eq!(traces(target.pid()), before);
        assert_eq!(
            said(&exec(target.pid(), "print(hasattr(main, 'changed'))", &["-q"])),
            "False\n"
        );
    }
}

#[test]
fn code_runs_in_every_interpreter_whether_it_waits_or_works() {
    let _turn = turn();
    for python in require(&ORDINARY) {
        for name in ["waiting.py", "spinning.py"] {
            let label = format!("{} {name}", python.label);
            let target = start(python, name);
            let pid = target.pid();
            let before = traces(pid);
            let code =
                "import os\nprint(os.getpid())\nprint(main.__name__, mem.rss() > 1000000)\n1/0";
            let output = exec(pid, code, &[]);
            let (text, told) = (said(&output), on_stderr(&output));
            assert_eq!(output.status.code(), Some(1), "{label}: {text}{told}");
            let mut lines = text.lines();
            assert_eq!(lines.next(), Some(pid.to_string().as_str()), "{label}: {text}{told}");
            // In 2.7 `print (a, b)` prints a tuple.
            let main = lines.next().unwrap_or_default();
            assert!(main == "__main__ True" || main == "('__main__', True)", "{label}: {text}");
            assert!(text.contains("File \"<command>\", line 4, in <module>"), "{label}: {text}");
            assert!(text.contains("ZeroDivisionError"), "{label}: {text}");
            assert!(told.contains("threads and open files are as before"), "{label}: {told}");
            settles(pid, before, &label);

            assert_eq!(
                exec(pid, "import sys; sys.exit(7)", &["-q"]).status.code(),
                Some(7),
                "{label}"
            );
            // No name of ours stays in the program.
            let names = "print(sorted(n for n in vars(main) if 'memwhy' in n or n in 'fstdmkr'))";
            assert_eq!(said(&exec(pid, names, &["-q"])), "[]\n", "{label}");
            settles(pid, before, &label);
        }
    }
}

#[test]
fn other_builds_are_acted_upon_too_or_it_is_said_why_not() {
    let _turn = turn();
    for python in require(&[&others()[..], &["musl-3.13"]].concat()) {
        for name in ["waiting.py", "spinning.py", "busy_mixed.py"] {
            let label = format!("{} {name}", python.label);
            let target = start(python, name);
            let before = traces(target.pid());
            // A stripped 2.7 has no names for the ring that would tell it anything as it runs.
            let refused = python.label == "debian-2.7.18" && name == "spinning.py";
            let patience = if refused { "1s" } else { "60s" };
            let output = exec(target.pid(), "print(6 * 7)", &["--timeout", patience]);
            let (text, told) = (said(&output), on_stderr(&output));
            if refused {
                assert_eq!(output.status.code(), Some(1), "{label}: {text}{told}");
                for part in [
                    "no thread stands where it may be borrowed",
                    "is running",
                    "names this one is stripped of",
                    "try: once more, with a longer --timeout",
                ] {
                    assert!(told.contains(part), "{label}: {told}");
                }
            } else {
                assert_eq!(
                    (text.as_str(), output.status.code()),
                    ("42\n", Some(0)),
                    "{label}: {told}"
                );
            }
            if name != "busy_mixed.py" {
                settles(target.pid(), before, &label);
            }
        }
    }
}

#[test]
fn what_code_prints_goes_to_us_and_not_to_the_programs_own_output() {
    for python in require(&["2.7", "3.12"]) {
        let mut target = start(python, "waiting.py");
        let code =
            "def f():\n    print('in a function')\nf()\nimport sys\nprint(sys.stdout.fileno())";
        assert_eq!(
            said(&exec(target.pid(), code, &["-q"])),
            "in a function\n1\n",
            "{}",
            python.label
        );
        // A word too many there would not be an answer.
        assert!(target.command("ping").get("beats").is_some());
    }
}

#[test]
fn code_that_does_not_end_is_interrupted_and_the_target_is_well() {
    for python in require(&["2.7", "3.8", "3.13", "debian-3.14"]) {
        let mut target = start(python, "waiting.py");
        let before = traces(target.pid());
        let output = exec(target.pid(), "while True: pass", &["--timeout", "1s"]);
        assert_eq!(output.status.code(), Some(124), "{}: {}", python.label, on_stderr(&output));
        assert!(said(&output).contains("KeyboardInterrupt"), "{}", said(&output));
        settles(target.pid(), before, &python.label);
        assert!(target.command("ping").get("beats").is_some());
    }
}

#[test]
fn a_console_answers_like_pythons_own() {
    let _turn = turn();
    for python in require(&ORDINARY) {
        let target = start(python, "waiting.py");
        let pid = target.pid();
        let before = traces(pid);
        let mut console = memwhy(&["shell", &pid.to_string(), "--allow-write"]);
        console.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut console = console.spawn().unwrap_or_else(|error| panic!("{error}"));
        let script = "x = 3\nx + 4\ndef f(a):\n    return a * 2\n\nf(21)\n_ + 1\nmain.__name__\n\
                      for i in range(2):\n    print(i)\n\n1 +\nthing = ['kept']\nmem.find(id(thing))\n1/0\n";
        if let Some(mut stdin) = console.stdin.take() {
            stdin.write_all(script.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        }
        let output = console.wait_with_output().unwrap_or_else(|error| panic!("{error}"));
        let (text, told) = (said(&output), on_stderr(&output));
        let label = &python.label;
        assert!(text.starts_with("7\n42\n43\n'__main__'\n0\n1\n"), "{label}: {text}{told}");
        assert!(text.contains("SyntaxError"), "{label}: {text}");
        assert!(text.contains("['kept']\n"), "{label}: {text}");
        assert!(text.trim_end().ends_with("by zero"), "{label}: {text}");
        assert!(told.contains("threads and open files are as before"), "{label}: {told}");
        settles(pid, before, label);
    }
}

/// A console at a terminal, which `script` of util-linux provides.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<String>>,
    /// How much of what was shown has been looked at.
    seen: usize,
}

impl Terminal {
    fn open(pid: u32, state: &Path) -> Self {
        let memwhy = env!("CARGO_BIN_EXE_memwhy");
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command"]);
        command.arg(format!("exec '{memwhy}' shell {pid} --allow-write")).arg("/dev/null");
        command.env("XDG_STATE_HOME", state).env("TERM", "xterm").env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("script: {error}"));
        let (Some(keys), Some(mut screen)) = (child.stdin.take(), child.stdout.take()) else {
            panic!("no pipes")
        };
        let shown = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&shown);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                sink.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Self { child, keys, shown, seen: 0 }
    }

    /// Waits until `text` is shown, behind what was waited for before; returns what came before it.
    #[track_caller]
    fn wait(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let shown = plain(&self.shown.lock().unwrap_or_else(PoisonError::into_inner));
            let rest = shown.get(self.seen..).unwrap_or_default();
            if let Some(at) = rest.find(text) {
                self.seen += at + text.len();
                return rest[..at].to_owned();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no {text:?} in {rest:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn press(&mut self, keys: &str) {
        let pressed = self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush());
        pressed.unwrap_or_else(|error| panic!("{keys:?}: {error}"));
    }

    /// Types a line and waits for the next prompt; returns what was shown between.
    #[track_caller]
    fn line(&mut self, line: &str) -> String {
        self.press(&format!("{line}\r"));
        // The line itself ends where it was entered.
        self.wait("\r\n");
        self.wait(">>> ")
    }
}

/// What is shown without the sequences that move and colour: `ESC [`, parameters, a letter.
fn plain(shown: &str) -> String {
    let mut parts = shown.split("\x1b[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // One that has not come whole is left out, too.
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        text.push_str(&part[end..]);
    }
    text
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already where all went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The address in what `memwhy show` prints: `list object 0x7f58cd362460, 80 B …`.
#[track_caller]
fn printed_address(pid: u32, object: &str) -> String {
    let text = said(&run(&["show", &pid.to_string(), object]));
    let address = text.split(" object ").nth(1).and_then(|rest| rest.split(',').next());
    let address = address.filter(|word| word.starts_with("0x")).map(str::to_owned);
    address.unwrap_or_else(|| panic!("no address in {text}"))
}

#[test]
fn a_console_at_a_terminal_completes_remembers_and_finds_what_memwhy_printed() {
    let _turn = turn();
    if present(which("script"), "script").is_none() {
        return;
    }
    for python in require(&["2.7", "3.8", "3.13", "debian-3.14"]) {
        let label = &python.label;
        let mut target = start(python, "waiting.py");
        let pid = target.pid();
        let made = "main.KEPT = [{'name': 'needle-' + str(7), 'number': 12345678}]\n\
                    main.KEPT_TUPLE = (1.5, 'inside')";
        assert!(exec(pid, made, &["-q"]).status.success(), "{label}");
        let before = traces(pid);
        // A list and a dict, which the collector knows, and a string, which it does not.
        let list = printed_address(pid, "__main__.KEPT");
        let held = printed_address(pid, "__main__.KEPT[0]");
        let name = printed_address(pid, "__main__.KEPT[0]['name']");

        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("state-{label}"));
        drop(std::fs::remove_dir_all(&state));
        let mut console = Terminal::open(pid, &state);
        let welcome = console.wait(">>> ");
        assert!(welcome.contains("`main` is the program's __main__"), "{label}: {welcome}");

        // Values are echoed, None is not, names stay, and a block wants an empty line.
        assert_eq!(console.line("x = 3"), "\r", "{label}");
        let shows = |console: &mut Terminal, line: &str, wanted: &str| {
            let shown = console.line(line);
            assert!(shown.contains(wanted), "{label}: {line}: {shown:?}");
        };
        shows(&mut console, "x + 4", "7\r\n");
        console.press("def f(a):\r");
        console.wait("... ");
        console.press("    b = a * 2\r");
        console.wait("... ");
        console.press("    return b\r");
        console.wait("... ");
        assert_eq!(console.line(""), "\r", "{label}");
        shows(&mut console, "f(_)", "14\r\n");
        shows(&mut console, "1/0", "ZeroDivisionError");

        // What was printed is found, and is that very object.
        shows(&mut console, &format!("mem.find({list}) is main.KEPT"), "True\r\n");
        shows(&mut console, &format!("mem.find({held}) is main.KEPT[0]"), "True\r\n");
        shows(&mut console, &format!("mem.find({name})"), "'needle-7'\r\n");
        shows(&mut console, "mem.find(16)", "LookupError: no live object at 0x10");
        shows(&mut console, "1000000 < mem.rss() < 1000000000", "True\r\n");
        let kinds = if label.starts_with('2') { "__builtin__.dict" } else { "builtins.dict" };
        shows(&mut console, "mem.top(5)", kinds);

        // Tab completes, the arrow remembers.
        console.press("mem.fi\t");
        console.wait("mem.find");
        console.press(&format!("({list})[0]['num\x08\x08\x08number']\r"));
        console.wait("12345678\r\n");
        console.wait(">>> ");
        console.press("main.KEPT_\t");
        console.wait("main.KEPT_TUPLE");
        console.press("[1]\r");
        console.wait("'inside'\r\n");
        console.wait(">>> ");
        console.press("\x1b[A");
        console.wait("main.KEPT_TUPLE[1]");
        console.press("\r");
        console.wait("'inside'\r\n");
        console.wait(">>> ");

        // Ctrl-C ends what runs, and not the console; at the prompt, the line.
        console.press("while True: pass\r");
        console.wait("... ");
        console.press("\r");
        console.wait("\r\n");
        // It runs once it uses the CPU; before, the key would be for the line.
        let begun = Instant::now();
        let ticks = || processor_ticks(pid);
        let idle = ticks();
        while ticks() < idle + 5 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{label}: it does not run");
            thread::sleep(Duration::from_millis(10));
        }
        console.press("\x03");
        console.wait("KeyboardInterrupt");
        console.wait(">>> ");
        shows(&mut console, "x", "3\r\n");

        console.press("\x04");
        console.wait("(threads and open files are as before");
        assert!(console.child.wait().is_ok_and(|status| status.success()), "{label}");
        settles(pid, before, label);

        // The next console knows what was typed in this one.
        let mut console = Terminal::open(pid, &state);
        console.wait(">>> ");
        console.press("\x1b[A\x1b[A");
        console.wait("while True: pass");
        console.press("\x03");
        console.wait(">>> ");
        console.press("\x04");
        console.wait("(threads and open files are as before");
        settles(pid, before, label);
        assert!(target.command("ping").get("beats").is_some(), "{label}");
    }
}

/// The CPU time of a process, in clock ticks.
fn processor_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum()
}

#[test]
fn a_trim_returns_what_was_predicted_and_the_thread_goes_on_waiting() {
    let _turn = turn();
    for python in require(&ORDINARY) {
        let mut target = start(python, "thread_arenas.py");
        let pid = target.pid().to_string();
        let json = json(&["trim", &pid, "--allow-write", "-q", "--json"]);
        let number = |key: &str| json.get(key).and_then(Value::as_u64).unwrap_or_default();
        let (predicted, returned) = (number("predicted_bytes"), number("returned_bytes"));
        assert!(predicted > 100 << 20, "{}: {json}", python.label);
        // The kernel's counters lag by some pages a thread.
        let off = predicted.abs_diff(returned);
        assert!(off < 4 << 20, "{}: predicted {predicted}, returned {returned}", python.label);
        assert_eq!(json.get("finished"), Some(&Value::Bool(true)), "{}", python.label);
        assert!(target.command("ping").get("beats").is_some());
    }
}

/// A lock that nobody will let go of, as after a fork at the wrong moment: whoever is borrowed for a
/// call of malloc would not come back.
#[test]
fn a_lock_of_malloc_that_somebody_has_is_waited_for_and_then_told() {
    for python in require(&["2.7", "3.11.7", "debian-3.14"]) {
        let mut target = start(python, "waiting.py");
        let pid = target.pid().to_string();
        let heap = json(&["malloc", &pid, "--json"]);
        let arenas = heap.pointer("/malloc/glibc/arenas").and_then(Value::as_array);
        let main = arenas.and_then(|arenas| arenas.iter().find(|arena| arena["main"] == true));
        let address = main.and_then(|arena| arena["address"].as_str()).unwrap_or_default();
        let at = u64::from_str_radix(address.trim_start_matches("0x"), 16);
        let at = at.unwrap_or_else(|error| panic!("{error} in {heap}"));
        let memory = std::fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/mem"));
        let memory = memory.unwrap_or_else(|error| panic!("{error}"));
        let lock = |held: u32| memory.write_all_at(&held.to_le_bytes(), at);
        lock(1).unwrap_or_else(|error| panic!("{error}"));
        let output = run(&["trim", &pid, "--allow-write", "-q", "--timeout", "1s"]);
        lock(0).unwrap_or_else(|error| panic!("{error}"));
        let told = on_stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {told}", python.label);
        let expected = format!("malloc's arena at {address} is locked");
        assert!(told.contains(&expected), "{}: {told}", python.label);
        assert!(target.command("ping").get("beats").is_some(), "{}", python.label);
        json(&["trim", &pid, "--allow-write", "-q", "--json"]);
    }
}

#[test]
fn other_allocators_give_back_what_they_keep_and_no_figure_is_invented_for_it() {
    let _turn = turn();
    let allocators = [
        ("jemalloc", "libjemalloc.so.2", "mallctl("),
        ("tcmalloc", "libtcmalloc_minimal.so.4", "MallocExtension_ReleaseFreeMemory()"),
        ("mimalloc", "libmimalloc.so.2", "mi_collect(true)"),
    ];
    for python in require(&["2.7", "3.11.7"]) {
        for (name, file, function) in allocators {
            let Some(path) = library(file) else { continue };
            let preloaded = [("LD_PRELOAD", path.as_str())];
            let hole = script("main_heap_hole.py");
            let mut target = Workload::start(&python.path, &hole, &preloaded);
            let label = format!("{} {name}", python.label);
            let pid = target.pid().to_string();
            let told = on_stderr(&run(&["trim", &pid]));
            assert!(told.contains(&format!("to call {name}'s {function}")), "{label}: {told}");
            let json = json(&["trim", &pid, "--allow-write", "-q", "--json"]);
            assert_eq!(json.get("predicted_bytes"), Some(&Value::Null), "{label}: {json}");
            let why = json.get("not_predicted_because").and_then(Value::as_str).unwrap_or_default();
            assert!(why.contains(name), "{label}: {why}");
            assert_eq!(json.get("finished"), Some(&Value::Bool(true)), "{label}: {json}");
            let returned = json.get("returned_bytes").and_then(Value::as_u64).unwrap_or_default();
            assert!(returned > 40 << 20, "{label}: {json}");
            assert!(target.command("ping").get("beats").is_some(), "{label}");
        }
    }
}

/// musl's malloc gives nothing back on request, and where it is linked into the program no other can
/// be preloaded.
#[test]
fn a_process_on_musl_is_not_trimmed_and_it_is_said_why() {
    let Some(compiler) = present(which("musl-gcc"), "musl-gcc") else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = folder.join("musl.c");
    let text = "#include <stdlib.h>\n#include <unistd.h>\nint main(void) {\n  char byte;\n  \
                void *block = malloc(100000);\n  free(malloc(10));\n  if (!block) return 1;\n  \
                write(1, \"READY {}\\n\", 9);\n  \
                return read(0, &byte, 1);\n}\n";
    std::fs::write(&source, text).unwrap_or_else(|error| panic!("{error}"));
    let reason = "its malloc is musl's, which has no function that gives memory back";
    for (flag, advice) in [
        ("-pie", "try: another allocator, preloaded"),
        ("-static", "try: another allocator, linked into the program"),
    ] {
        let program = folder.join(format!("musl{flag}"));
        let made = Command::new(&compiler).arg(flag).arg("-o").arg(&program).arg(&source).status();
        assert!(made.is_ok_and(|status| status.success()), "{flag}");
        let target = Workload::start(&program, Path::new(""), &[]);
        let output = run(&["trim", &target.pid().to_string(), "--allow-write"]);
        let told = on_stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(reason), "{told}");
        assert!(told.contains(advice), "{told}");
        let output = exec(target.pid(), "1", &["-q"]);
        let told = on_stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("it has no Python interpreter"), "{told}");
    }
}

#[test]
fn who_cannot_be_acted_upon_is_left_as_it_is_and_told_why() {
    for python in require(&["3.11.7"]) {
        let mut target = start(python, "waiting.py");
        let pid = target.pid().to_string();
        let before = traces(target.pid());
        let signal = |name: &str| {
            let sent = Command::new("kill").args([name, &pid]).status();
            assert!(sent.is_ok_and(|status| status.success()));
        };
        // Stopped: nothing would run.
        signal("-STOP");
        for command in [&["exec", &pid, "-c", "1"][..], &["shell", &pid], &["trim", &pid]] {
            let mut arguments = command.to_vec();
            arguments.extend(["--allow-write", "-q"]);
            let output = run(&arguments);
            let told = on_stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{command:?}: {told}");
            assert!(told.contains("it is stopped (SIGSTOP"), "{command:?}: {told}");
            assert!(told.contains(&format!("`kill -CONT {pid}`")), "{command:?}: {told}");
        }
        signal("-CONT");
        // Somebody else's: a user without rights, as containers have them.
        let other = Command::new("setpriv")
            .args(["--reuid", "65534", "--clear-groups", env!("CARGO_BIN_EXE_memwhy"), "exec"])
            .args([&pid, "--allow-write", "-q", "-c", "1"])
            .output();
        let other = other.unwrap_or_else(|error| panic!("setpriv: {error}"));
        let told = on_stderr(&other);
        // Where we have no right to become somebody else, or that user none to run us, setpriv says so.
        if !told.contains("setpriv") {
            assert_eq!(other.status.code(), Some(4), "{told}");
            assert!(told.contains("not permitted"), "{told}");
        }
        settles(target.pid(), before, &python.label);
        assert!(target.command("ping").get("beats").is_some());
    }
    // No such process: above what the kernel gives.
    let output = run(&["exec", "4194305", "--allow-write", "-c", "1"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(on_stderr(&output).contains("there is no process 4194305"));
    // None of Python: this one.
    let us = std::process::id();
    let output = exec(us, "1", &["-q"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(on_stderr(&output).contains("it has no Python interpreter"), "{}", on_stderr(&output));
    // A zombie: it has ended, and we have not asked how.
    let mut ended = Command::new("true").spawn().unwrap_or_else(|error| panic!("{error}"));
    let stat = format!("/proc/{}/stat", ended.id());
    while !std::fs::read_to_string(&stat).unwrap_or_default().contains(") Z") {
        thread::sleep(Duration::from_millis(5));
    }
    let output = exec(ended.id(), "1", &["-q"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(on_stderr(&output).contains("has exited (zombie)"), "{}", on_stderr(&output));
    drop(ended.wait());
}

#[test]
fn a_user_who_interrupts_us_interrupts_the_code_and_leaves_the_target_well() {
    for python in require(&["2.7", "3.12"]) {
        let mut target = start(python, "waiting.py");
        let before = traces(target.pid());
        let code = "import sys\nprint('begun')\nwhile True: pass";
        let pid = target.pid().to_string();
        let mut command = memwhy(&["exec", &pid, "--allow-write", "-c", code]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.as_mut().unwrap_or_else(|error| panic!("{error}"));
        let mut begun = [0; 6];
        let mut stdout = child.stdout.take();
        let read = stdout.as_mut().map(|pipe| pipe.read_exact(&mut begun));
        assert!(read.is_some_and(|read| read.is_ok()) && &begun == b"begun\n", "{}", python.label);
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        let mut text = String::new();
        drop(stdout.as_mut().map(|pipe| pipe.read_to_string(&mut text)));
        let mut told = String::new();
        drop(child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut told)));
        let status = child.wait().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(status.code(), Some(130), "{text}{told}");
        assert!(text.contains("KeyboardInterrupt"), "{text}");
        assert!(told.contains("interrupted on your request"), "{told}");
        assert!(told.contains("threads and open files are as before"), "{told}");
        settles(target.pid(), before, &python.label);
        assert!(target.command("ping").get("beats").is_some());
    }
}

#[test]
fn what_was_imported_meanwhile_is_named_and_nothing_else_stays() {
    for python in require(&["2.7", "3.6", "3.13", "debian-3.15"]) {
        let target = start(python, "waiting.py");
        let names = "import sys\nprint(' '.join(sorted(sys.modules)))";
        let modules = || {
            let text = said(&exec(target.pid(), names, &["-q"]));
            text.split_whitespace().map(str::to_owned).collect::<BTreeSet<String>>()
        };
        let before = modules();
        let told = on_stderr(&exec(target.pid(), "import colorsys", &[]));
        let line = told.lines().find_map(|line| line.strip_prefix("(imported meanwhile: "));
        let told: BTreeSet<_> =
            line.unwrap_or_default().trim_end_matches(')').split(", ").collect();
        let after = modules();
        let stayed: BTreeSet<&str> = after.difference(&before).map(String::as_str).collect();
        assert_eq!(stayed, told, "{}", python.label);
        assert_eq!(stayed, BTreeSet::from(["colorsys"]), "{}", python.label);
    }
}

#[test]
fn garbage_is_collected_first_where_that_is_asked_for() {
    for python in require(&["2.7", "3.11"]) {
        let target = start(python, "waiting.py");
        let waste =
            "import gc\ngc.disable()\nfor i in range(1000):\n    a = []\n    a.append(a)\ndel a";
        assert!(exec(target.pid(), waste, &["-q"]).status.success());
        let pid = target.pid().to_string();
        let json = json(&["trim", &pid, "--allow-write", "-q", "--gc", "--json"]);
        let collected = json.get("collected_objects").and_then(Value::as_u64);
        assert!(collected.is_some_and(|n| n >= 1000), "{json}");
    }
}

#[test]
fn a_busy_program_survives_being_acted_upon_again_and_again() {
    let _turn = turn();
    let often = often();
    for python in require(&[&ORDINARY[..], &["3.13t"]].concat()) {
        let target = start(python, "busy_mixed.py");
        let (mut lost, mut before) = (Vec::new(), Vec::new());
        for round in 0..often {
            let code = "names = sorted(main.counts)\nprint(' '.join(str(main.counts[n]) for n in names))\n\
                        print(len(main.errors))\nprint(main.errors[:3])";
            let output = exec(target.pid(), code, &["-q"]);
            let text = said(&output);
            let counts: Vec<u64> = text
                .lines()
                .next()
                .unwrap_or_default()
                .split(' ')
                .filter_map(|word| word.parse().ok())
                .collect();
            if output.status.code() != Some(0) || counts.len() != 7 {
                lost.push(format!("round {round}: {text}{}", on_stderr(&output)));
                continue;
            }
            assert_eq!(text.lines().nth(1), Some("0"), "{}: {text}", python.label);
            // Nobody stands still: from each round to the next but a few every thread has worked.
            before.push(counts);
            if let [.., earlier, _, _, now] = before.as_slice() {
                let stuck = earlier.iter().zip(now).any(|(earlier, now)| earlier == now);
                assert!(!stuck, "{}: {earlier:?} {now:?}", python.label);
            }
        }
        assert!(lost.is_empty(), "{}: {} of {often} lost: {lost:?}", python.label, lost.len());
        eprintln!("{}: {often} of {often} ran", python.label);
    }
}

/// What is in the folder for temporary files and has our name.
fn files_of_ours() -> BTreeSet<OsString> {
    let names = std::fs::read_dir("/tmp").into_iter().flatten().flatten().map(|n| n.file_name());
    names.filter(|name| name.to_string_lossy().starts_with("memwhy-")).collect()
}

#[test]
fn our_death_at_any_moment_leaves_the_target_alive_and_nothing_behind() {
    let _turn = turn();
    let often = often() * 2;
    for python in require(&["2.7", "3.9", "3.13", "debian-3.14"]) {
        let before = files_of_ours();
        let target = start(python, "busy_mixed.py");
        let pid = target.pid().to_string();
        for round in 0..often {
            let mut command = memwhy(&["exec", &pid, "--allow-write", "-q", "-c", "print(1)"]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap_or_else(|error| panic!("{error}"));
            let micros = 7919 * (round as u64 * 31 % 37);
            thread::sleep(Duration::from_micros(micros));
            drop(child.kill());
            drop(child.wait());
        }
        let alive = exec(target.pid(), "print(len(main.errors))", &["-q"]);
        assert_eq!(said(&alive), "0\n", "{}: {}", python.label, on_stderr(&alive));
        assert_eq!(files_of_ours().difference(&before).count(), 0, "{:?}", files_of_ours());
    }
}

#[test]
fn the_cure_that_helps_is_told_from_those_that_do_not() {
    let _turn = turn();
    for python in require(&["3.11.7"]) {
        let path = python.path.display().to_string();
        let job = script("hole_job.py").display().to_string();
        let svg = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trial.svg");
        let drawn = svg.display().to_string();
        let mut arguments = vec!["try", "--with", "trim,arena-max=2", "--repeats", "2", "--json"];
        arguments.extend(["--svg", &drawn, "--", &path, &job]);
        let json = json(&arguments);
        let cures = json.get("cures").and_then(Value::as_array).cloned().unwrap_or_default();
        let effect = |n: usize| cures.get(n).and_then(|cure| cure.get("effect")?.as_str());
        assert_eq!(
            (effect(0), effect(1), effect(2)),
            (Some("none"), Some("less"), Some("noise")),
            "{json}"
        );
        assert_eq!(json.get("best").and_then(Value::as_str), Some("trim"));
        let by = cures.get(1).and_then(|cure| cure.get("effect_bytes")?.as_u64()).unwrap_or(0);
        assert!(by > 40 << 20, "{by}");
        let picture = std::fs::read_to_string(&svg).unwrap_or_default();
        assert_eq!(picture.matches("<polyline").count(), 6);
    }
}

#[test]
fn every_cure_that_is_installed_is_run_and_told_from_the_others() {
    let _turn = turn();
    let libraries = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2"];
    if libraries.iter().any(|name| library(name).is_none()) {
        return;
    }
    for python in require(&["3.11.7"]) {
        let path = python.path.display().to_string();
        let job = script("hole_job.py").display().to_string();
        let json = json(&["try", "--repeats", "1", "--json", "--", &path, &job]);
        let cures = json.get("cures").and_then(Value::as_array).cloned().unwrap_or_default();
        let wanted = [
            "glibc",
            "trim",
            "arena-max=2",
            "trim-threshold=131072",
            "mmap-threshold=65536",
            "python-malloc",
            "tcmalloc",
            "tcmalloc-decommit",
            "jemalloc",
            "mimalloc",
        ];
        let names: Vec<_> = cures.iter().filter_map(|cure| cure.get("cure")?.as_str()).collect();
        assert_eq!(names, wanted, "{json}");
        let rss =
            |cure: &Value| cure.pointer("/runs/0/end_bytes").and_then(Value::as_u64).unwrap_or(0);
        for cure in &cures {
            let once = cure.pointer("/runs/0").cloned().unwrap_or_default();
            assert_eq!(once.get("failure"), Some(&Value::Null), "{cure}");
            let number = |key: &str| once.get(key).and_then(Value::as_f64).unwrap_or(0.0);
            assert!(number("cpu_s") > 0.0 && number("work_s") > 2.0, "{cure}");
            let samples =
                once.get("samples_ms_bytes").and_then(Value::as_array).map_or(0, Vec::len);
            assert!(samples > 3 && rss(cure) > 1 << 20, "{cure}");
        }
        // The hole below what was made last: whoever gives pages back by itself has none.
        let by_name =
            |name: &str| wanted.iter().position(|one| *one == name).map(|at| rss(&cures[at]));
        for cure in ["trim", "jemalloc", "tcmalloc-decommit"] {
            let less = by_name("glibc").unwrap_or(0).saturating_sub(by_name(cure).unwrap_or(0));
            assert!(less > 40 << 20, "{cure}: {json}");
        }
    }
}

#[test]
fn a_program_that_is_a_service_is_loaded_watched_and_ended() {
    let _turn = turn();
    for python in require(&["3.11.7"]) {
        let path = python.path.display().to_string();
        let load = "sleep 0.3";
        let code = "import time\nwhile True: time.sleep(1)";
        let mut arguments =
            vec!["try", "--with", "glibc", "--repeats", "1", "--json", "--load", load];
        arguments.extend(["--settle", "300ms", "--rest", "300ms", "--", &path, "-c", code]);
        let json = json(&arguments);
        let once = json.pointer("/cures/0/runs/0").cloned().unwrap_or_default();
        assert_eq!(once.get("failure"), Some(&Value::Null), "{json}");
        let work = once.get("work_s").and_then(Value::as_f64).unwrap_or(0.0);
        assert!(work >= 0.3, "{json}");
        // What is left is explained with the same screen.
        let report = json.pointer("/explained/0/report").cloned().unwrap_or_default();
        assert_eq!(report.get("schema").and_then(Value::as_str), Some("memwhy.report/1"), "{json}");
        assert_eq!(
            report.pointer("/verdict/cause").and_then(Value::as_str),
            Some("none"),
            "{report}"
        );
        let text: Vec<&str> = arguments.iter().copied().filter(|word| *word != "--json").collect();
        let shown = String::from_utf8(run(&text).stdout).expect("text");
        let (_, screen) = shown.split_once("UNDER    glibc, after the load:").expect(&shown);
        assert!(screen.contains("VERDICT") && screen.contains("NEXT"), "{shown}");

        // A load that fails is no run that counts, and then nothing was learnt.
        let at = arguments.iter().position(|word| *word == load).unwrap_or_default();
        arguments[at] = "echo broken >&2; exit 3";
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("broken"), "{}", said(&output));
    }
}
