//! Is the heap of musl's malloc walked to the last block, linked dynamically and statically?
//!
//! A program in C writes down what it holds, freed and lost; what the walk finds is compared with that,
//! block by block.

mod binary;

use binary::{json, run};
use memwhy::model::{Addr, AddrRange, Case, Owner, Pause, ProblemKind, Problems};
use memwhy::{Options, Verdict};
use memwhy_native::Images;
use memwhy_native::alloc::glibc::FreeChunks;
use memwhy_native::alloc::other;
use memwhy_native::alloc::stand_in::Walked;
use memwhy_report::Style;
use memwhy_target::{CoreFiles, Process};
use memwhy_testkit::tools::{present, which};
use memwhy_testkit::{Folder, Truth as Objects, Turn, Workload, require, script};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How it is linked: the flag, and what the binary is called.
const LINKED: [(&str, &str); 3] =
    [("-pie", "dynamic"), ("-static", "static"), ("-s", "static-stripped")];
/// Blocks that the C library has for itself: what the loader took, environment, buffers.
const ITS_OWN: usize = 64;

fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The program, linked with `flag`; `None` where no compiler is.
fn program(flag: &str, name: &str) -> Option<PathBuf> {
    let compiler = present(which("musl-gcc"), "musl-gcc")?;
    let program = scratch().join(format!("musl-{name}"));
    let mut compile = Command::new(compiler);
    compile.args(["-O1", "-w", "-pthread", flag]);
    if flag == "-s" {
        compile.arg("-static");
    }
    let made = compile.arg("-o").arg(&program).arg(script("c/musl.c")).status();
    assert!(made.is_ok_and(|status| status.success()), "musl.c does not compile with {flag}");
    Some(program)
}

/// What the program wrote down, by address: sizes of what is in use.
struct Truth {
    held: BTreeMap<u64, u64>,
    lost: BTreeMap<u64, u64>,
    freed: HashSet<u64>,
}

impl Truth {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the truth");
        let (mut held, mut lost) = (BTreeMap::new(), BTreeMap::new());
        let mut freed = HashSet::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (kind, address) = (words.next(), words.next().expect("an address"));
            let address = u64::from_str_radix(address, 16).expect("an address");
            let mut size = || words.next().expect("a size").parse().expect("a size");
            let _ = match kind {
                Some("H") => held.insert(address, size()),
                Some("L") => lost.insert(address, size()),
                _ => {
                    freed.insert(address);
                    None
                }
            };
        }
        freed.retain(|address| !held.contains_key(address) && !lost.contains_key(address));
        assert!(held.len() > 1000);
        Self { held, lost, freed }
    }

    fn in_use(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.held.iter().chain(&self.lost).map(|(address, size)| (*address, *size))
    }
}

struct Started {
    target: Workload,
    truth: Truth,
    label: String,
}

fn start(folder: &Folder, program: &Path, what: &str) -> Started {
    let name = program.file_name().expect("a name").to_string_lossy();
    let label = format!("{name} {what}");
    let path = folder.path("truth");
    let environment = [("MUSL_TRUTH", &*path)];
    let target = Workload::start(program, Path::new(what), &environment);
    Started { target, truth: Truth::read(Path::new(&path)), label }
}

fn walked(target: &Workload, label: &str) -> (Walked, Problems) {
    let process = Process::open(target.pid()).expect("it runs");
    let threads = process.threads(Duration::ZERO);
    let patience = Duration::from_secs(10);
    let taken =
        memwhy_target::capture(&process, Pause::Stop, patience, &threads, &FreeChunks::default())
            .unwrap_or_else(|error| panic!("{label}: {error}"));
    let images = Images::of(&taken.view);
    let (name, image) = other::detect(&taken.view, &images).expect("it is musl");
    assert_eq!(name, "musl", "{label}");
    let mut problems = Problems::default();
    (Walked::of(&taken.view, &images, name, &image, &mut problems), problems)
}

#[test]
fn every_block_in_use_is_found_with_its_size_and_none_that_was_freed() {
    for (flag, name) in LINKED {
        let _turn = Turn::take(scratch());
        let Some(program) = program(flag, name) else { return };
        let folder = Folder::new(env!("CARGO_TARGET_TMPDIR"), "musl-blocks");
        for what in ["mixed", "retained"] {
            let Started { target, truth, label } = start(&folder, &program, what);
            let (walked, problems) = walked(&target, &label);
            assert!(problems.is_empty(), "{label}: {problems:?}");
            assert!(walked.complete() && walked.facts.off.0 == 0, "{label}: {:?}", walked.facts);
            for (address, size) in truth.in_use() {
                let block = walked.block_at(Addr(address));
                // The last byte asked for, and the one behind it, rounded up.
                let expected = AddrRange::sized(Addr(address), (size / 16 + 1) * 16);
                assert_eq!(block, Some(expected), "{label}: {size} B at {address:#x}");
            }
            let known: HashSet<u64> = truth.in_use().map(|(address, _)| address).collect();
            let more: Vec<&AddrRange> =
                walked.used.iter().filter(|block| !known.contains(&block.start.0)).collect();
            let wrong: Vec<_> = more.iter().filter(|b| truth.freed.contains(&b.start.0)).collect();
            eprintln!(
                "{label}: {} blocks in use, all found with their sizes; {} freed, {} of them \
                 said to be in use; {} of the library's own; {:?}",
                known.len(),
                truth.freed.len(),
                wrong.len(),
                more.len(),
                walked.facts
            );
            assert!(wrong.is_empty() && more.len() <= ITS_OWN, "{label}: {wrong:?} {more:?}");
            let facts = &walked.facts;
            let sum = facts.used + facts.free_blocks + facts.free_pages + facts.overhead;
            assert_eq!(sum, facts.reserved, "{label}");
            // Nothing overlaps.
            assert!(walked.used.windows(2).all(|pair| pair[0].end <= pair[1].start), "{label}");
        }
    }
}

fn explained(case: &Case, label: &str) -> Verdict {
    let verdict = memwhy::explain(case);
    let screen = memwhy_report::text::explain(case, &verdict, Style::default());
    eprintln!("{label}\n{screen}");
    let owned: u64 = case.accounting.owners().map(|one| one.resident.0).sum();
    assert_eq!(owned + case.accounting.unexplained.0, case.rss().0, "{label}");
    assert_eq!(case.problems.count(ProblemKind::OwnersConflict), 0, "{label}");
    verdict
}

#[test]
fn what_a_program_on_musl_lost_is_found_and_nothing_else_in_the_process_and_in_a_core() {
    for (flag, name) in LINKED {
        let _turn = Turn::take(scratch());
        let Some(program) = program(flag, name) else { return };
        let folder = Folder::new(env!("CARGO_TARGET_TMPDIR"), "musl-lost");
        for what in ["mixed", "lossy"] {
            let Started { target, truth, label } = start(&folder, &program, what);
            let case = memwhy::capture(target.pid(), &Options::default()).expect("a capture");
            let core = folder.path("core");
            let written = run(&["core", &target.pid().to_string(), "-o", &core]);
            assert!(written.status.success(), "{label}: {written:?}");
            let files = CoreFiles::default();
            let of_core = memwhy::open_core(Path::new(&core), &files, &Options::default())
                .unwrap_or_else(|error| panic!("{label}: {error}"));
            std::fs::remove_file(&core).expect("it is there");
            assert_eq!(of_core.stand_in, case.stand_in, "{label}");
            for (case, of) in [(&case, "process"), (&of_core, "core")] {
                let label = format!("{label}, {of}");
                search_is_right(case, &truth, &label);
                let verdict = explained(case, &label);
                if what == "lossy" {
                    leak_is_explained(&verdict, &label);
                }
            }
        }
    }
}

fn search_is_right(case: &Case, truth: &Truth, label: &str) {
    let native = case.native_memory.as_ref().expect("a search");
    let said: HashSet<u64> = native.lost_at.iter().map(|addr| addr.0).collect();
    let right = said.iter().filter(|addr| truth.lost.contains_key(addr)).count();
    let wrong: Vec<_> = said.iter().filter(|addr| truth.held.contains_key(addr)).collect();
    eprintln!(
        "{label}: {} lost, {right} of them found; {} said, {} of them held",
        truth.lost.len(),
        said.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{label}: {wrong:x?}");
    assert!(right * 100 >= truth.lost.len() * 99, "{label}");
    assert!(said.len() <= right + ITS_OWN, "{label}");
}

fn leak_is_explained(verdict: &Verdict, label: &str) {
    assert_eq!(verdict.cause, Some("native-leak"), "{label}");
    let finding = verdict.finding().expect("the finding of the cause");
    let told = format!("{:?} {:?}", finding.evidence, finding.remedies);
    // What was asked for is known to 16 bytes.
    assert!(told.contains("asked for as 204,800 to 204,815 B"), "{label}: {told}");
    assert!(told.contains("arg0 >= 204800 && arg0 <= 204815"), "{label}: {told}");
}

#[test]
fn what_musl_keeps_is_named_and_no_cure_that_it_has_not() {
    for (flag, name) in LINKED {
        let _turn = Turn::take(scratch());
        let Some(program) = program(flag, name) else { return };
        let folder = Folder::new(env!("CARGO_TARGET_TMPDIR"), "musl-retained");
        let Started { target, label, .. } = start(&folder, &program, "retained");
        let case = memwhy::capture(target.pid(), &Options::default()).expect("a capture");
        let verdict = explained(&case, &label);
        assert_eq!(verdict.cause, Some("allocator-retention"), "{label}");
        let finding = verdict.finding().expect("the finding of the cause");
        let actions: Vec<&str> = finding.remedies.iter().map(|one| one.action.as_str()).collect();
        let [first, second] = actions[..] else { panic!("{label}: {actions:?}") };
        assert!(first.starts_with("free what lies between"), "{label}: {actions:?}");
        assert_eq!(second.contains("preload"), name == "dynamic", "{label}: {actions:?}");
        // Of what was freed all that was touched is there: seven of eight blocks of 700 B.
        let free = case.resident(Owner::MallocFree);
        assert!(free.0 > 200_000 / 8 * 7 * 700 * 9 / 10, "{label}: {free}");
        let shown = json(&["malloc", &target.pid().to_string(), "--json"]);
        assert_eq!(shown["stand_in"]["name"], "musl", "{shown}");
        assert_eq!(shown["stand_in"]["exact"], true, "{shown}");
        let screen = memwhy_report::text::malloc(&case, Style::default());
        eprintln!("{screen}");
        assert!(screen.contains("0 B off"), "{label}: {screen}");
    }
}

#[test]
fn a_python_on_musl_is_read_to_the_last_object() {
    for python in require(&["musl-3.13"]) {
        let _turn = Turn::take(scratch());
        let folder = Folder::new(env!("CARGO_TARGET_TMPDIR"), "musl-python");
        let label = &python.label;
        let mut target = Workload::start(&python.path, &script("zoo.py"), &[]);
        let path = folder.path("truth");
        // A copy tells, so that the process itself stays as it is.
        target.command(&format!("hold truth {path}"));
        let case = memwhy::capture(target.pid(), &Options::default()).expect("a capture");
        target.command("resume");
        let truth = Objects::read(Path::new(&path)).expect("the truth");
        explained(&case, label);
        assert!(case.problems.is_empty(), "{label}: {:?}", case.problems);
        let facts = case.stand_in.as_ref().expect("musl");
        assert!(facts.walked && facts.off.0 == 0, "{label}: {facts:?}");
        let heap = case.heap.as_ref().expect("objects");
        assert!(heap.complete(), "{label}");
        let (mut found, mut sized) = (0, 0);
        for (addr, stated) in truth.addresses.iter().zip(&truth.sizes) {
            let Some(id) = heap.find(*addr) else { continue };
            found += 1;
            sized += usize::from(stated.is_none_or(|stated| heap.size(id).0 == stated));
        }
        eprintln!("{label}: {found} of {} objects found, {sized} sizes equal", truth.len());
        assert!(found == truth.len() && sized == found, "{label}: {found} {sized} {}", truth.len());
        let tasks = std::fs::read_dir(format!("/proc/{}/task", target.pid())).expect("it runs");
        assert_eq!(case.threads.len(), tasks.count(), "{label}");
    }
}

/// Its stacks are small, and the kernel shows them and what lies behind them as one mapping.
#[test]
fn stacks_of_threads_on_musl_are_told_from_what_lies_beside_them() {
    for python in require(&["musl-3.13"]) {
        let _turn = Turn::take(scratch());
        let label = &python.label;
        let target = Workload::start(&python.path, &script("waiting_threads.py"), &[]);
        let case = memwhy::capture(target.pid(), &Options::default()).expect("a capture");
        explained(&case, label);
        let mut reserved: Vec<u64> = case.thread_stacks.iter().map(|one| one.reserved.0).collect();
        reserved.sort_unstable();
        eprintln!("{label}: stacks of {reserved:?} bytes");
        // Of 200 threads and of the one that answers; the main thread's is the kernel's.
        let most = reserved.iter().filter(|size| **size == reserved[100]).count();
        assert!(reserved.len() == 202 && most >= 201, "{label}: {most}");
    }
}
