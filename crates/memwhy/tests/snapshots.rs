//! Does a snapshot answer every command as the process did, and does a difference say what was done?

mod binary;

use binary::{json, memwhy as binary, run};
use memwhy::model::{Case, ObjectId, PreviewLength, TargetKind};
use memwhy::{Options, Values};
use memwhy_reason::picture::{Direction, picture};
use memwhy_reason::{Ask, Meant, Wanted, closeup, ways};
use memwhy_report::picture::{dot, svg};
use memwhy_report::{Style, text};
use memwhy_testkit::{Folder, Turn, Workload, interpreters, require, script};
use serde_json::Value;
use std::path::Path;

/// Commands that read a target and need nothing else.
const READING: [&[&str]; 10] = [
    &["explain"],
    &["heap"],
    &["malloc"],
    &["maps"],
    &["stacks"],
    &["stacks", "--native"],
    &["garbage"],
    &["locks"],
    &["tasks"],
    &["busy"],
];

/// Commands that read a target and are asked for an object: they show what the graph and the
/// details say, which are compared below.
const OF_AN_OBJECT: [&str; 3] = ["show", "paths", "refs"];

/// Commands that read no target, write something, or look again and again.
const OTHERS: [&str; 12] = [
    "ps", "doctor", "snap", "diff", "watch", "core", "exec", "shell", "trim", "try", "demo", "help",
];

/// The commands that there are.
fn commands() -> Vec<String> {
    let help = String::from_utf8(run(&["--help"]).stdout).expect("text");
    let commands = help.split("Commands:").nth(1).and_then(|rest| rest.split("Options:").next());
    let lines = commands.expect("a list").lines().filter(|line| line.starts_with("  "));
    let lines = lines.filter(|line| !line.starts_with("   "));
    lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// A folder of this file's tests.
fn folder(name: &str) -> Folder {
    Folder::new(env!("CARGO_TARGET_TMPDIR"), name)
}

fn turn() -> Turn {
    Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// What a report says, but for what no two looks have in common: taken out, and returned.
fn without_the_moment(report: &mut Value) -> Vec<(String, Value)> {
    let mut taken = vec![("timings".to_owned(), report["timings"].take())];
    for key in ["kind", "path", "uptime_s", "taken_at", "capture", "cgroup"] {
        taken.push((key.into(), report["target"][key].take()));
    }
    taken
}

/// Replaces the target in all that is said, and takes out what others change.
fn rename(value: &mut Value, target: &str) {
    match value {
        Value::String(text) => *text = text.replace(target, "TARGET"),
        Value::Array(list) => list.iter_mut().for_each(|one| rename(one, target)),
        Value::Object(map) => {
            // How many others share a page is not the target's doing, and time goes by.
            map.remove("pss_bytes");
            map.remove("private_bytes");
            map.remove("asleep_at_least_s");
            // A thread that waits again and again makes a new lock each time.
            map.remove("waits_at");
            // In the words of its function where only stacks were read, by who keeps it elsewhere.
            map.remove("waits_for");
            map.values_mut().for_each(|one| rename(one, target));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn every_command_is_known_to_read_or_not() {
    for name in commands() {
        let known = READING.iter().filter_map(|command| command.first());
        let mut known = known.chain(&OF_AN_OBJECT).chain(&OTHERS);
        assert!(known.any(|known| *known == name), "{name}: does it read a target?");
    }
}

#[test]
fn a_snapshot_answers_every_command_as_the_process_does() {
    let Some(python) = require(&["3.11.7"]).first().copied() else { return };
    let _turn = turn();
    let folder = folder("parity");
    let workload = Workload::start(&python.path, &script("pymalloc_fragments.py"), &[]);
    let (pid, path) = (workload.pid().to_string(), folder.path("a.memwhy"));
    json(&["snap", &pid, "-o", &path, "--json", "--values"]);
    let there = commands();
    let there = |command: &&[&str]| command.first().is_some_and(|n| there.iter().any(|c| c == n));
    for command in READING.iter().copied().filter(there) {
        let with = |target: &str, more: &[&str]| -> Vec<String> {
            let (name, rest) = command.split_first().expect("a command");
            let head: &[&str] = &[name, target];
            [head, rest, more].concat().into_iter().map(str::to_owned).collect()
        };
        let report = |target: &str| {
            let arguments = with(target, &["--json"]);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut report = json(&arguments);
            rename(&mut report, &path);
            // The main thread has the number of the process.
            rename(&mut report, &pid);
            // What is to be done to the process cannot be done to a snapshot of it: `memwhy trim PID`.
            rename(&mut report, "PID");
            report
        };
        let (mut live, mut kept) = (report(&pid), report(&path));
        let (of_live, of_kept) = (without_the_moment(&mut live), without_the_moment(&mut kept));
        // Of the process only the number is in the target, of the snapshot too.
        (live["target"]["pid"], kept["target"]["pid"]) = (Value::Null, Value::Null);
        let lines = |report: &Value| format!("{report:#}");
        let (live_lines, kept_lines) = (lines(&live), lines(&kept));
        let mut both = live_lines.lines().zip(kept_lines.lines());
        if let Some((live, kept)) = both.find(|(live, kept)| live != kept) {
            panic!("{command:?}: live {live}, kept {kept}");
        }
        assert_eq!(live, kept, "{command:?}");
        let kind = |taken: &[(String, Value)]| taken.iter().find(|t| t.0 == "kind").cloned();
        assert_eq!(kind(&of_live).expect("a kind").1, "process");
        assert_eq!(kind(&of_kept).expect("a kind").1, "snapshot");

        let screen = |target: &str| {
            let arguments = with(target, &[]);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            // Wide enough for the header to be one line.
            let output = binary(&arguments).env("COLUMNS", "200").output().expect("it runs");
            assert!(output.status.success(), "{arguments:?}");
            let text = String::from_utf8(output.stdout).expect("text");
            let text = text.replace(&path, "TARGET").replace(&pid, "TARGET");
            let text = text.replace("PID", "TARGET");
            // Lines break elsewhere where the name of the target is longer.
            // What else lives in its control group goes on living between the two.
            let all = text.lines().skip(1);
            let lines = all.skip_while(|line| line.starts_with("GROUP") || line.starts_with("  "));
            // Stacks of a process leave the names to another command, which a snapshot has read.
            let lines = lines.filter(|line| !line.trim_start().starts_with("who has these locks"));
            let lines = lines.map(str::to_owned);
            let words = lines
                .flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
            let head = text.lines().next().unwrap_or_default().to_owned();
            let mut words: Vec<String> = words.collect();
            // How long a thread is asleep: `1.1 s`.
            for at in 1..words.len() {
                if words[at] == "s" && words[at - 1].parse::<f64>().is_ok() {
                    "TIME".clone_into(&mut words[at - 1]);
                }
            }
            // A thread that waits again and again makes a new lock each time, which has a name or none.
            while let Some(from) = words.windows(2).position(|two| two == ["waiting", "for"]) {
                let len = words[from..].iter().position(|word| word == "0" || word == "1");
                words.drain(from..from + len.unwrap_or(2).max(2));
            }
            (head, words.join(" "))
        };
        let ((live_head, live), (kept_head, kept)) = (screen(&pid), screen(&path));
        // That screen shows how pages are shared, too; the test below compares it.
        assert!(live == kept || command == ["maps"], "{command:?}:\n{live}\n{kept}");
        assert!(live_head.contains("  paused ") && !live_head.contains("snapshot"), "{live_head}");
        assert!(kept_head.contains("  snapshot") && !kept_head.contains("paused"), "{kept_head}");
    }
}

/// Everything that is said of a case, as text.
fn said(case: &Case) -> String {
    let verdict = memwhy::explain(case);
    let style = Style { color: false, width: 200 };
    let report = memwhy_report::json::report(case, &verdict);
    let parts = [
        format!("{report:#}"),
        format!("{:#}", memwhy_report::json::malloc(case)),
        format!("{:#}", memwhy_report::json::maps(case)),
        text::explain(case, &verdict, style),
        text::malloc(case, style),
        text::maps(case, None, style),
    ];
    parts.join("\n")
}

#[test]
fn on_every_interpreter_what_was_kept_is_what_was_seen() {
    let folder = folder("kept");
    for python in require(&["2.7.18", "3.6.15", "3.8.18", "3.12.1", "3.13.0"]) {
        let _turn = turn();
        let workload = Workload::start(&python.path, &script("pymalloc_fragments.py"), &[]);
        let live = memwhy::capture(workload.pid(), &Options::default()).expect("readable");
        let path = folder.0.join(format!("{}.memwhy", python.label));
        memwhy::write(&live, &path, Values::Kept).expect("writable");
        let mut kept = memwhy::open(&path).expect("a snapshot");
        assert_eq!(kept.about.kind, TargetKind::Snapshot);
        (kept.about.kind, kept.about.path) = (live.about.kind, None);
        assert!(said(&live) == said(&kept), "{}", python.label);

        let (was, is) = (live.heap.as_ref().expect("a heap"), kept.heap.as_ref().expect("a heap"));
        let (answers, stored) = (live.details.as_ref(), kept.details.as_ref());
        let (answers, stored) = (answers.expect("details"), stored.expect("details"));
        for id in was.ids().step_by(37) {
            let label = format!("{} {:?}", python.label, was.addr(id));
            assert_eq!(was.references(id), is.references(id), "{label}");
            assert_eq!(was.reference_count(id), is.reference_count(id), "{label}");
            assert_eq!(answers.labels(was, id), stored.labels(is, id), "{label}");
            if was.type_row(was.type_of(id)).is_some_and(|ty| ty.name == "builtins.function") {
                assert_eq!(answers.captured(was, id), stored.captured(is, id), "{label}");
            }
            for length in PreviewLength::ALL {
                let (was, is) = (answers.preview(was, id, length), stored.preview(is, id, length));
                assert_eq!(was, is, "{label}");
            }
        }
        same_screens_and_pictures(&python.label, &live, &kept);
    }
}

/// Of some objects, also those with long previews and keys.
fn same_screens_and_pictures(label: &str, live: &Case, kept: &Case) {
    let (live, kept) = (Ask::new(live), Ask::new(kept));
    let heap = live.heap.as_ref().expect("a heap");
    let style = Style { color: false, width: 200 };
    let shown = |ask: &Ask<'_>, id: ObjectId| {
        let closeup = text::show(ask.case(), &closeup(ask, id, 20), style);
        let ways = ways(ask, &Meant::Object(id), &Wanted { top: 3, ..Wanted::default() });
        let around = [Direction::Forward, Direction::Back].map(|d| picture(ask, id, d, 2));
        let pictures = around.map(|one| format!("{}{}{one:?}", svg(&one), dot(&one)));
        [closeup, text::paths(ask.case(), &ways, style), pictures.concat()]
    };
    for id in heap.ids().step_by(heap.len() / 60) {
        assert_eq!(shown(&live, id), shown(&kept, id), "{label} {}", heap.addr(id));
    }
}

#[test]
fn a_difference_says_whether_a_cure_kept_its_promise() {
    let found = || require(&["3"]).first().copied();
    let python = interpreters().iter().find(|one| one.answers_to("3.11")).or_else(found);
    let Some(python) = python else { return };
    let _turn = turn();
    let folder = folder("promise");
    let mut workload = Workload::start(&python.path, &script("thread_arenas.py"), &[]);
    let (pid, path) = (workload.pid().to_string(), folder.path("before.memwhy"));
    json(&["snap", &pid, "-o", &path, "--json"]);
    let same = json(&["diff", &path, &pid, "--json"]);
    assert_eq!(same["same_process"], "same");
    assert_eq!(same["objects"]["growth"], 0);
    assert_eq!(same["types"], serde_json::json!([]));

    workload.command("trim");
    let trimmed = json(&["diff", &path, &pid, "--json"]);
    let growth = |value: &Value| value["growth"].as_i64().expect("a number");
    let owners = trimmed["owners"].as_array().expect("owners").iter();
    let owners: i64 = owners.map(|owner| growth(&owner["resident_bytes"])).sum();
    assert_eq!(owners + growth(&trimmed["unexplained"]), growth(&trimmed["rss"]));
    let promise = &trimmed["promises"][0];
    let kept = promise["kept"].as_f64().expect("a share");
    assert!((0.95..1.05).contains(&kept), "{promise:#}");
    let screen = String::from_utf8(run(&["diff", &path, &pid]).stdout).expect("text");
    assert!(screen.contains("came back") && screen.contains("as predicted"), "{screen}");
    eprintln!("{screen}");
}
