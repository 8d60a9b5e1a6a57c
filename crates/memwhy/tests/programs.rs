//! Do real programs get what they deserve: none of the causes of leaks where nothing is wrong, and
//! the holder by name where they leak?
//!
//! `scripts/programs` runs them. In CI the healthy ones are those that need little to be installed;
//! `MEMWHY_ALL_HEALTHY=1` runs all. docs/healthy-programs.md has the figures of such a run.

use memwhy::model::{Bytes, Case, Owner};
use memwhy::{Options, Verdict};
use memwhy_reason::holders::{Known, KnownHolders};
use memwhy_reason::{Ask, Standing};
use memwhy_report::Style;
use memwhy_testkit::tools::venv;
use memwhy_testkit::{Turn, script};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Runs all healthy programs.
const ALL: &str = "MEMWHY_ALL_HEALTHY";
/// Causes that say that something is wrong with a program.
const WRONG: [&str; 5] =
    ["uncollected-cycles", "uncollectable", "refcount-leak", "known-bug", "deadlock"];
/// A function begins at its decorator, from 3.8 on, and fails some lines later.
const NEAR: u32 = 3;

fn scripts() -> PathBuf {
    script("..").join("scripts")
}

fn list(kind: &str) -> Vec<String> {
    let output = Command::new(scripts().join("programs")).args(["--list", kind]).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The script, running one program after the other.
struct Programs {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Programs {
    fn start(names: &[String]) -> Self {
        let mut command = Command::new(scripts().join("programs"));
        command.args(names).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdin, stdout }
    }

    /// The next program, when it has done its work: its name and processes.
    fn next(&mut self) -> (String, Vec<u32>) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_else(|| panic!("it ended: {:?}", self.child.wait()));
        (name.to_owned(), words.map(|word| word.parse().expect("a pid")).collect())
    }

    /// Lets the program end.
    fn go_on(&mut self) {
        let stdin = self.stdin.as_mut().expect("open");
        stdin.write_all(b"\n").expect("it listens");
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        // With the end of its input it stops whatever runs.
        drop(self.stdin.take());
        drop(self.child.wait());
    }
}

fn examine(name: &str, pid: u32) -> (Case, Verdict) {
    let case = memwhy::capture(pid, &Options::default())
        .unwrap_or_else(|error| panic!("{name} {pid}: {error}"));
    let verdict = memwhy::explain(&case);
    (case, verdict)
}

fn screen(case: &Case, verdict: &Verdict) -> String {
    memwhy_report::text::explain(case, verdict, Style::default())
}

/// What is wrong with a program in which nothing is, for whoever reads the failure.
fn false_alarms(case: &Case, verdict: &Verdict) -> Vec<String> {
    let held = verdict.findings.iter().filter(|finding| finding.standing == Standing::Holds);
    let alarms = held.filter(|finding| WRONG.contains(&finding.cause));
    let mut all: Vec<String> =
        alarms.map(|finding| format!("{}: {}", finding.cause, finding.summary)).collect();
    // Rules are heard where data is why the process is big.
    if verdict
        .findings
        .iter()
        .any(|one| one.cause == "python-objects" && one.standing != Standing::Holds)
    {
        return all;
    }
    let ask = Ask::new(case);
    all.extend(ask.get::<KnownHolders>().iter().map(|known| known.sentence.clone()));
    all
}

#[test]
fn nothing_is_found_wrong_with_healthy_programs() {
    let whole = std::env::var_os(ALL).is_some();
    let venvs: &[&str] = if whole { &["healthy-venv"] } else { &[] };
    let mut venvs = ["celery-venv", "django-venv"].iter().chain(venvs);
    if !venvs.all(|name| venv(name, None).is_some()) {
        return;
    }
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let names = list(if whole { "healthy" } else { "quick" });
    let mut programs = Programs::start(&names);
    let mut wrong = Vec::new();
    eprintln!("| program | processes | objects | RSS | cause | unreachable | orphans |");
    for _ in &names {
        let (name, pids) = programs.next();
        let (mut objects, mut rss, mut garbage, mut orphans) = (0, Bytes(0), Bytes(0), Bytes(0));
        let mut causes = Vec::new();
        for &pid in &pids {
            let (case, verdict) = examine(&name, pid);
            let heap = case.heap.as_ref().unwrap_or_else(|| panic!("{name}: {:?}", case.problems));
            assert!(heap.complete(), "{name}: {:?}", case.problems);
            objects += heap.len();
            rss += case.rss();
            garbage += case.resident(Owner::PythonGarbage);
            orphans += case.resident(Owner::PythonOrphans);
            causes.push(verdict.cause.unwrap_or("undecided"));
            for alarm in false_alarms(&case, &verdict) {
                wrong.push(format!("{name} {pid}: {alarm}\n{}", screen(&case, &verdict)));
            }
        }
        causes.dedup();
        let (count, causes) = (pids.len(), causes.join(", "));
        eprintln!("| {name} | {count} | {objects} | {rss} | {causes} | {garbage} | {orphans} |");
        programs.go_on();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A program that leaks, and how it is to be explained.
struct Leak {
    name: &'static str,
    rule: &'static str,
    /// The file, and what its line begins with.
    place: (&'static str, &'static str),
    /// What the screen says.
    said: &'static str,
    /// What the cure says.
    cure: &'static str,
}

const DJANGO: &str = "djangoapp/leaks.py";
const CELERY: &str = "celeryapp/tasks.py";

const LEAKS: [Leak; 11] = [
    Leak {
        name: "django-module-cache",
        rule: "container",
        place: (DJANGO, "def module_cache"),
        said: "sys.modules['leaks'].RESULTS, a dict of 400 entries",
        cure: "bound sys.modules['leaks'].RESULTS",
    },
    Leak {
        name: "django-lru-method",
        rule: "lru-cache",
        place: (DJANGO, "    def width"),
        said: "lru_cache on Report.width()",
        cure: "cache per instance",
    },
    Leak {
        name: "django-logging-handler",
        rule: "logging",
        place: (DJANGO, "def logging_handler"),
        said: "logger 'app.requests' has 400 handlers",
        cure: "removeHandler",
    },
    Leak {
        name: "django-stored-error",
        rule: "stored-traceback",
        place: (DJANGO, "    return int(found[-1])"),
        said: "400 tracebacks kept",
        cure: "traceback.clear_frames()",
    },
    Leak {
        name: "django-callback",
        rule: "callbacks",
        place: (DJANGO, "    def changed"),
        said: "sys.modules['leaks'].LISTENERS keeps 400 callbacks",
        cure: "weakref.WeakMethod",
    },
    Leak {
        name: "django-at-exit",
        rule: "atexit",
        place: (DJANGO, "    def close"),
        said: "registrations of Report.close()",
        cure: "atexit.unregister()",
    },
    Leak {
        name: "django-finalizer",
        rule: "finalize",
        place: (DJANGO, "    def close"),
        said: "calls of Report.close()",
        cure: "",
    },
    Leak {
        name: "celery-module-cache",
        rule: "container",
        place: (CELERY, "def module_cache"),
        said: "sys.modules['tasks'].SEEN, a dict of 400 entries",
        cure: "bound sys.modules['tasks'].SEEN",
    },
    Leak {
        name: "celery-lru-method",
        rule: "lru-cache",
        place: (CELERY, "    def total"),
        said: "lru_cache on Invoice.total()",
        cure: "cache per instance",
    },
    Leak {
        name: "celery-stored-error",
        rule: "stored-traceback",
        place: (CELERY, "    return int(found[-1])"),
        said: "tracebacks kept",
        cure: "traceback.clear_frames()",
    },
    Leak {
        name: "celery-logger-per-job",
        rule: "logging",
        place: (CELERY, "def logger_per_job"),
        said: "each with a name of its own",
        cure: "name loggers after modules",
    },
];

fn line_of((file, begins): (&str, &str)) -> u32 {
    let text = std::fs::read_to_string(script(file)).expect("it is there");
    let at = text.lines().position(|line| line.starts_with(begins)).expect("such a line");
    u32::try_from(at + 1).expect("a short file")
}

fn is_explained(leak: &Leak, case: &Case, verdict: &Verdict) -> Result<(), String> {
    if verdict.cause != Some("python-objects") {
        return Err(format!("{:?}", verdict.cause));
    }
    let ask = Ask::new(case);
    let known = ask.get::<KnownHolders>();
    let Some(known) = known.first().filter(|known| known.rule == leak.rule) else {
        let rules: Vec<&Known> = known.iter().collect();
        return Err(format!("not {}, but {rules:#?}", leak.rule));
    };
    let Known { sentence, cure, holder, .. } = known;
    if !sentence.contains(leak.said) {
        return Err(format!("{sentence:?} does not say {:?}", leak.said));
    }
    if !cure.contains(leak.cure) {
        return Err(format!("{cure:?} does not say {:?}", leak.cure));
    }
    let (file, line) = (holder.file.as_deref().unwrap_or_default(), holder.line.unwrap_or(0));
    let name = leak.place.0.rsplit('/').next().unwrap_or_default();
    let wanted = line_of(leak.place);
    if !file.ends_with(name) || line.abs_diff(wanted) > NEAR {
        return Err(format!("{file}:{line} instead of {}:{wanted}", leak.place.0));
    }
    Ok(())
}

#[test]
fn a_site_and_a_worker_that_leak_are_explained_by_name() {
    if !["celery-venv", "django-venv"].iter().all(|name| venv(name, None).is_some()) {
        return;
    }
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let names: Vec<String> = LEAKS.iter().map(|leak| leak.name.to_owned()).collect();
    assert_eq!(names, list("leaking"));
    let mut programs = Programs::start(&names);
    let mut wrong = Vec::new();
    for leak in &LEAKS {
        let (name, pids) = programs.next();
        assert_eq!(name, leak.name);
        // Behind the one that has forked it, where there is one.
        let pid = *pids.last().expect("a process");
        let (case, verdict) = examine(&name, pid);
        if let Err(why) = is_explained(leak, &case, &verdict) {
            wrong.push(format!("{name}: {why}\n{}", screen(&case, &verdict)));
        }
        programs.go_on();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
