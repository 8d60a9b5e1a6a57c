//! Does the target live on unharmed, whatever becomes of memwhy?

mod binary;

use binary::{json, memwhy, run};
use memwhy::Options;
use memwhy_testkit::{Interpreter, Turn, Workload, interpreters, require, script};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What the target's RSS may differ by: it answers in between, on memory that it has.
const NOISE: u64 = 1 << 20;

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    /// A number from 0 up to, not including, 1.
    fn roll(&mut self) -> f64 {
        // The constants are Knuth's, of MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        f64::from(u32::try_from(self.0 >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

fn one_python() -> Option<&'static Interpreter> {
    interpreters().iter().find(|one| one.answers_to("3.11")).or_else(|| {
        let found = require(&["3"]);
        found.first().copied()
    })
}

fn turn() -> Turn {
    Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// The states of all threads: `S`, `R`, and `t` while a tracer holds one.
fn states(pid: u32) -> Vec<char> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let state = |stat: String| stat.rsplit_once(')')?.1.trim_start().chars().next();
    tasks
        .filter_map(|task| state(std::fs::read_to_string(task.path().join("stat")).ok()?))
        .collect()
}

fn stands(pid: u32) -> bool {
    states(pid).iter().any(|state| matches!(state, 't' | 'T'))
}

fn status(pid: u32, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {key} of {pid}"))
}

fn children(pid: u32) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok()).collect()
}

/// A target that was looked at, and how it was before.
struct Target {
    workload: Workload,
    beats: u64,
    rss: u64,
}

impl Target {
    fn start(python: &Interpreter, name: &str) -> Self {
        let mut workload = Workload::start(&python.path, &script(name), &[]);
        let beats = workload.command("ping")["beats"].as_u64().unwrap_or(0);
        let rss = status(workload.pid(), "VmRSS") << 10;
        Self { workload, beats, rss }
    }

    /// It runs, nobody traces it, it answers, it has no child and is of its size.
    fn is_unharmed(&mut self, when: &str) {
        let pid = self.workload.pid();
        let begun = Instant::now();
        while stands(pid) || status(pid, "TracerPid") != 0 {
            let late = begun.elapsed() > Duration::from_secs(1);
            assert!(!late, "{when}: {:?}, tracer {}", states(pid), status(pid, "TracerPid"));
            thread::sleep(Duration::from_millis(1));
        }
        self.beats += 1;
        assert_eq!(self.workload.command("ping")["beats"], self.beats, "{when}");
        assert_eq!(children(pid), "", "{when}: the target has children");
        let rss = status(pid, "VmRSS") << 10;
        assert!(rss.abs_diff(self.rss) <= NOISE, "{when}: RSS {} -> {rss}", self.rss);
    }
}

fn start_memwhy(pid: u32) -> Child {
    let mut command = memwhy(&[&pid.to_string()]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("memwhy: {error}"))
}

/// How long a run takes, and how long the target stands in it.
fn usual(pid: u32) -> (Duration, Duration) {
    let begun = Instant::now();
    let report = json(&[&pid.to_string(), "--json"]);
    let pause = report["target"]["capture"]["pause_ms"].as_f64().unwrap_or(0.0);
    (begun.elapsed(), Duration::from_secs_f64(pause / 1000.0))
}

/// Waits until the target stands, as long as memwhy runs.
fn until_it_stands(pid: u32, memwhy: &mut Child) -> bool {
    loop {
        if stands(pid) {
            return true;
        }
        if memwhy.try_wait().is_ok_and(|ended| ended.is_some()) {
            return false;
        }
    }
}

/// Runs memwhy and lets `end` end it, so often: each second time at any moment of its run, and
/// otherwise at a moment when the target stands.
fn interrupted(times: u32, seed: u64, end: fn(&mut Child)) {
    let Some(python) = one_python() else { return };
    let _turn = turn();
    let mut target = Target::start(python, "healthy.py");
    let pid = target.workload.pid();
    let (whole, pause) = usual(pid);
    let mut dice = Dice(seed);
    let mut standing = 0;
    for time in 0..times {
        let mut memwhy = start_memwhy(pid);
        if time % 2 == 0 {
            thread::sleep(whole.mul_f64(dice.roll()));
        } else if until_it_stands(pid, &mut memwhy) {
            // Some of the stop has passed, and waking up takes its time.
            thread::sleep(pause.mul_f64(dice.roll() / 2.0));
        }
        standing += u32::from(stands(pid));
        end(&mut memwhy);
        memwhy.wait().unwrap_or_else(|error| panic!("{error}"));
        target.is_unharmed(&format!("after run {time} of {times}"));
    }
    eprintln!("{standing} of {times} while the target stood; a run {whole:?}, a stop {pause:?}");
    assert!(standing * 20 >= times, "only {standing} of {times} while the target stood");
}

#[test]
fn a_target_works_on_when_memwhy_is_killed_at_any_moment() {
    interrupted(100, 7, |memwhy| memwhy.kill().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn a_target_works_on_when_memwhy_is_interrupted_at_any_moment() {
    interrupted(20, 11, |memwhy| {
        // As Ctrl-C does; memwhy may have ended just before.
        let sent = Command::new("kill").args(["-INT", &memwhy.id().to_string()]).output();
        drop(sent.unwrap_or_else(|error| panic!("kill: {error}")));
    });
}

#[test]
fn a_target_stands_no_longer_than_a_second_for_each_gibibyte() {
    let Some(python) = one_python() else { return };
    for name in ["big_cache.py", "main_heap_hole.py", "pinned_fragments.py"] {
        let _turn = turn();
        let mut target = Target::start(python, name);
        let report = json(&[&target.workload.pid().to_string(), "--json"]);
        let rss = report["rss"]["total_bytes"].as_f64().unwrap_or(0.0) / f64::from(1 << 30);
        let pause = report["target"]["capture"]["pause_ms"].as_f64().unwrap_or(f64::MAX);
        eprintln!("{name}: RSS {rss:.3} GiB, stopped for {pause:.1} ms");
        assert!(rss > 0.15, "{name}: {rss} GiB is too small to tell");
        // 50 ms more: other tests run beside this one.
        assert!(pause < 1000.0 * rss + 50.0, "{name}: {pause} ms for {rss} GiB");
        target.is_unharmed(name);
    }
}

/// Stops of a program with a thread in every call that waits; `MEMWHY_STOPS=1000` for the long form.
const STOPS: usize = 40;

/// Seen before sleepers were spared: 2.7 got `EINTR` from `epoll.poll()` at every stop.
#[test]
fn no_call_that_a_thread_sleeps_in_is_ended_by_a_stop() {
    let stops = std::env::var("MEMWHY_STOPS").ok().and_then(|text| text.parse().ok());
    let stops: usize = stops.unwrap_or(STOPS);
    // From 3.5 on the interpreter hides what is looked for: PEP 475.
    for python in require(&["2.7", "3.12"]) {
        let mut workload = Workload::start(&python.path, &script("sleepers.py"), &[]);
        for stop in 0..stops {
            if stop % 4 == 3 {
                memwhy::capture(workload.pid(), &Options::default()).expect("it runs");
            } else {
                let options = Options { look: Duration::ZERO, ..Options::default() };
                memwhy::look(workload.pid(), &options).expect("it runs");
            }
        }
        let counts = workload.command("counts");
        for (name, seen) in counts.as_object().expect("an object") {
            assert_eq!(seen["errors"].as_array(), Some(&Vec::new()), "{}: {name}", python.label);
            let wakes = ["moment", "wakes", "giver", "nap"].iter().any(|word| name.contains(word));
            let returns = seen["returns"].as_u64().expect("a number");
            assert_eq!(returns > 0, wakes, "{}: {name} came back {returns} times", python.label);
        }
        assert!(counts.as_object().is_some_and(|all| all.len() > 20), "{counts}");
    }
}

#[test]
fn a_target_that_is_not_to_be_stopped_never_stands() {
    let Some(python) = one_python() else { return };
    let _turn = turn();
    let workload = Workload::start(&python.path, &script("busy.py"), &[]);
    let pid = workload.pid();
    let over = AtomicBool::new(false);
    let (looks, stood) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut looks, mut stood) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                looks += 1;
                stood += u32::from(stands(pid) || status(pid, "TracerPid") != 0);
            }
            (looks, stood)
        });
        for _ in 0..5 {
            let report = json(&[&pid.to_string(), "--pause", "none", "--json"]);
            let capture = &report["target"]["capture"];
            assert_eq!(capture["how"], "none");
            assert_eq!(capture["pause_ms"], 0.0);
            assert!(capture["torn_reads"].is_u64(), "{capture}");
        }
        over.store(true, Ordering::Relaxed);
        watcher.join().unwrap_or((0, u32::MAX))
    });
    assert!(looks > 100, "only {looks} looks");
    assert_eq!(stood, 0, "of {looks} looks");
}

/// The present pages of all mappings of a process.
fn present_pages(pid: u32) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let pagemap = File::open(format!("/proc/{pid}/pagemap")).unwrap_or_else(|e| panic!("{e}"));
    let mut present = 0;
    for line in maps.lines().filter(|line| !line.ends_with("[vsyscall]")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let hex = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
        let Some((start, end)) = range.map(|(start, end)| (hex(start), hex(end))) else { continue };
        let len = usize::try_from((end - start) / 512).unwrap_or(0);
        let mut entries = vec![0; len];
        pagemap.read_exact_at(&mut entries, start / 512).unwrap_or_else(|e| panic!("{line}: {e}"));
        // Bit 63 of each entry of 8 bytes: the page is there.
        let tops = entries.iter().skip(7).step_by(8);
        present += tops.map(|top| u64::from(top >> 7)).sum::<u64>();
    }
    present
}

#[test]
fn no_page_that_is_not_resident_becomes_so() {
    let Some(python) = one_python() else { return };
    let _turn = turn();
    let mut target = Target::start(python, "sparse_mmap.py");
    let pid = target.workload.pid();
    let expected = target.workload.ready()["size"].as_u64().unwrap_or(0) / 8 / 4096;
    let before = present_pages(pid);
    assert!((expected..expected * 3 / 2).contains(&before), "{before} pages, not {expected}");
    for command in [vec!["explain"], vec!["maps"], vec!["heap"], vec!["explain", "--pause", "none"]]
    {
        let number = pid.to_string();
        let output = run(&[command.as_slice(), &[&number]].concat());
        assert!(output.status.success(), "{command:?}: {output:?}");
        assert_eq!(present_pages(pid), before, "after {command:?}");
    }
    target.is_unharmed("after all");
}
