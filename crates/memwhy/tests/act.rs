//! Does code run inside of a target, and does the target live on unharmed?
//!
//! `MEMWHY_STRESS=500` makes the stress as long as the figures in BENCHMARKS.md are.

mod binary;

use binary::{json, memwhy, run};
use memwhy_testkit::{Interpreter, Turn, Workload, require, script};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Every interpreter that may be acted upon.
const PYTHONS: [&str; 13] = [
    "2.7",
    "3.6",
    "3.7",
    "3.8",
    "3.9",
    "3.10",
    "3.11",
    "3.12",
    "3.13",
    "debian-3.11",
    "debian-3.13",
    "debian-3.14",
    "debian-3.15",
];

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
    for python in require(&PYTHONS) {
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
    for python in require(&PYTHONS) {
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

#[test]
fn a_trim_returns_what_was_predicted_and_the_thread_goes_on_waiting() {
    let _turn = turn();
    for python in require(&PYTHONS) {
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
    for python in require(&PYTHONS) {
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

#[test]
fn our_death_at_any_moment_leaves_the_target_alive_and_nothing_behind() {
    let _turn = turn();
    let often = often() * 2;
    for python in require(&["2.7", "3.9", "3.13", "debian-3.14"]) {
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
        let names = std::fs::read_dir("/tmp").into_iter().flatten().flatten();
        let ours = names.filter(|n| n.file_name().to_string_lossy().starts_with("memwhy-"));
        assert_eq!(ours.count(), 0);
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

        // A load that fails is no run that counts, and then nothing was learnt.
        let at = arguments.iter().position(|word| *word == load).unwrap_or_default();
        arguments[at] = "echo broken >&2; exit 3";
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("broken"), "{}", said(&output));
    }
}
