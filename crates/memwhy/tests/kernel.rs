//! What do cores tell that the kernel wrote: filtered, without their files, of another root and pid
//! namespace, cut while they are read, larger than memory?

mod binary;

use binary::{json, memwhy, run};
use memwhy::model::{Case, Owner, ProblemKind, Untold};
use memwhy::{CoreFiles, Options};
use memwhy_testkit::dumped::{ORDINARY_FILTER, dump, kernel_writes_cores, start_doomed};
use memwhy_testkit::{Folder, Interpreter, Turn, Workload, require, script};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of this file's tests.
fn folder(name: &str) -> Folder {
    Folder::new(env!("CARGO_TARGET_TMPDIR"), &format!("kernel-{name}"))
}

fn turn() -> Turn {
    Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// The interpreters that answer to `labels`, where the kernel writes cores that a test can have.
fn where_cores_are_written(labels: &[&str]) -> Vec<&'static Interpreter> {
    match kernel_writes_cores() {
        Ok(()) => require(labels),
        // A setting of the machine: tests of `memwhy core` and of gdb's cores have to do.
        Err(setting) => {
            eprintln!("SKIPPED: no cores of the kernel: {setting}");
            Vec::new()
        }
    }
}

fn open(path: &Path, files: &CoreFiles) -> Case {
    let case = memwhy::open_core(path, files, &Options::default());
    case.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn live(pid: u32) -> Case {
    memwhy::capture(pid, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn objects(case: &Case) -> Option<usize> {
    case.heap.as_ref().map(|heap| heap.ids().count())
}

/// The functions of each thread, innermost first.
fn frames(case: &Case) -> Vec<Vec<String>> {
    let of = |frames: &[memwhy::model::Frame]| {
        frames.iter().map(|frame| format!("{}:{:?}", frame.function, frame.line)).collect()
    };
    // The kernel writes the one first that was ended.
    let mut threads: Vec<_> = case.threads.iter().collect();
    threads.sort_by_key(|thread| thread.tid);
    threads.iter().map(|thread| of(&thread.frames)).collect()
}

#[track_caller]
fn adds_up(case: &Case) {
    let owners: u64 = Owner::ALL.iter().map(|owner| case.resident(*owner).0).sum();
    assert_eq!(owners + case.accounting.unexplained.0, case.rss().0);
}

fn text(arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "memwhy {arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_filtered_core_tells_what_it_holds_and_what_is_missing() {
    for python in where_cores_are_written(&["3.12"]) {
        let _turn = turn();
        let folder = folder("filters");
        // Own memory alone; with first pages of ELF files; with shared memory; with pages of files.
        for filter in [0x01, 0x13, ORDINARY_FILTER, 0x37, 0x7f] {
            let workload = start_doomed(&python.path, &script("ring.py"), filter, &folder.0);
            let (pid, living) = (workload.pid(), live(workload.pid()));
            let path = dump(workload, pid, &folder.0);
            let core = open(&path, &CoreFiles::default());
            assert_eq!(objects(&core), objects(&living), "{filter:#x}");
            assert!(objects(&core) > Some(20_000), "{filter:#x}");
            assert_eq!(frames(&core), frames(&living), "{filter:#x}");
            assert_eq!(core.problems.count(ProblemKind::CoreIncomplete), 0, "{filter:#x}");
            assert_eq!(core.about.signal, Some(6), "{filter:#x}");
            assert_eq!(core.about.pid, pid, "{filter:#x}");
            adds_up(&core);
            fs::remove_file(path).expect("ours");
        }
        // No memory at all.
        let workload = start_doomed(&python.path, &script("ring.py"), 0, &folder.0);
        let pid = workload.pid();
        let path = dump(workload, pid, &folder.0);
        let core = open(&path, &CoreFiles::default());
        assert_eq!(objects(&core), None);
        assert!(core.problems.count(ProblemKind::CoreIncomplete) >= 3, "{:?}", core.problems);
        let path = path.to_string_lossy();
        let refused = run(&["heap", &path]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains("memory is missing") && said.contains("stack of thread"), "{said}");
        assert!(text(&["maps", &path]).contains("libpython3.12"));
    }
}

/// The program runs from a copy that is removed: nothing on the disk has its code and symbols.
#[test]
fn without_its_files_a_core_is_told_from_what_memory_has_of_them() {
    for python in where_cores_are_written(&["debian-3.11"]) {
        let _turn = turn();
        let folder = folder("fileless");
        for (filter, all) in [(0x37, true), (ORDINARY_FILTER, false)] {
            let copy = folder.0.join("python-that-goes");
            let made = Command::new("cp").arg(&python.path).arg(&copy).status();
            assert!(made.is_ok_and(|status| status.success()));
            let workload = start_doomed(&copy, &script("ring.py"), filter, &folder.0);
            let (pid, living) = (workload.pid(), live(workload.pid()));
            let path = dump(workload, pid, &folder.0);
            fs::remove_file(&copy).expect("ours");
            let core = open(&path, &CoreFiles::default());
            adds_up(&core);
            assert!(core.problems.count(ProblemKind::FileNotFound) > 0, "{filter:#x}");
            // The allocator is glibc's, whose file is there.
            let walked = core.malloc.as_ref().map(|malloc| (malloc.walked, malloc.name.clone()));
            let there = living.malloc.as_ref().map(|malloc| (malloc.walked, malloc.name.clone()));
            assert_eq!(walked, there, "{filter:#x}");
            let path = path.to_string_lossy().into_owned();
            if all {
                assert_eq!(objects(&core), objects(&living), "{filter:#x}");
                assert_eq!(frames(&core), frames(&living), "{filter:#x}");
                let native = |case: &Case| {
                    let frames = case.threads.first().map(|thread| thread.native.frames.clone());
                    let frames = frames.unwrap_or_default().into_iter();
                    frames.filter_map(|frame| frame.function).collect::<Vec<String>>()
                };
                assert_eq!(native(&core), native(&living), "{filter:#x}");
                lies_of_images_are_survived(Path::new(&path));
            } else {
                assert_eq!(objects(&core), None);
                let refused = run(&["heap", &path]);
                let said = String::from_utf8_lossy(&refused.stderr).into_owned();
                assert_eq!(refused.status.code(), Some(3), "{said}");
                assert!(said.contains("without its files") && said.contains("--exe"), "{said}");
                assert!(said.contains("python-that-goes"), "{said}");
                let exe = Some(python.path.clone());
                let found = open(Path::new(&path), &CoreFiles { exe, lib_root: None });
                assert_eq!(objects(&found), objects(&living));
            }
            fs::remove_file(path).expect("ours");
        }
    }
}

/// What memory has of a file's headers and tables is as little believed as the file would be.
fn lies_of_images_are_survived(path: &Path) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("ours");
    let whole = fs::read(path).expect("ours");
    let heads = whole
        .windows(4)
        .enumerate()
        .skip(4)
        .filter(|(at, four)| *four == b"\x7fELF" && at % 4096 == 0);
    let heads: Vec<usize> = heads.map(|(at, _)| at).collect();
    assert!(heads.len() > 5, "{} images", heads.len());
    let rounds = std::env::var("MEMWHY_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok());
    let mut dice = 7u64;
    for _ in 0..8 * rounds.unwrap_or(1u64) {
        for head in &heads {
            for _ in 0..4 {
                dice = dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                let far = usize::try_from(dice >> 33).expect("31 bits");
                // The program headers, or anything of the first pages: tables of hashes, symbols.
                let at = head + if dice & 1 == 0 { far % 1024 } else { far % (64 << 10) };
                let value = [0, 1, 0x7f, 0xff][usize::from(dice.to_le_bytes()[7] % 4)];
                let _ = file.write_all_at(&[value], at.min(whole.len() - 1) as u64);
            }
        }
        let case = open(path, &CoreFiles::default());
        adds_up(&case);
        file.write_all_at(&whole, 0).expect("room");
    }
}

/// Names of functions that only a debug file has, below the folder that stands for another machine.
#[test]
fn separate_debug_files_are_found_below_lib_root() {
    for python in require(&["3.12.1"]) {
        let _turn = turn();
        let folder = folder("debug");
        let workload = Workload::start(&python.path, &script("ring.py"), &[]);
        let path = folder.path("core");
        assert!(run(&["core", &workload.pid().to_string(), "-o", &path]).status.success());
        let maps = fs::read_to_string(format!("/proc/{}/maps", workload.pid())).expect("it lives");
        let library = maps.lines().find_map(|line| {
            line.split_whitespace().nth(5).filter(|path| path.contains("libpython3.12.so"))
        });
        let library = PathBuf::from(library.expect("pyenv's is a library"));
        let root = folder.0.join("root");
        let stripped = root.join(library.strip_prefix("/").expect("absolute"));
        fs::create_dir_all(stripped.parent().expect("it has one")).expect("ours");
        let mut strip = Command::new("strip");
        strip.arg("--strip-all").arg("-o").arg(&stripped).arg(&library);
        assert!(strip.status().is_ok_and(|status| status.success()), "strip");
        let files = CoreFiles { exe: None, lib_root: Some(root.clone()) };
        let local = |case: &Case| {
            let frames = case.threads.iter().flat_map(|thread| &thread.native.frames);
            frames.filter(|frame| frame.function.as_deref() == Some("run_mod")).count()
        };
        assert_eq!(local(&open(Path::new(&path), &CoreFiles::default())), 1);
        assert_eq!(local(&open(Path::new(&path), &files)), 0);
        let id = build_id(&library);
        let debug = root.join("usr/lib/debug/.build-id").join(&id[..2]);
        fs::create_dir_all(&debug).expect("ours");
        fs::copy(&library, debug.join(format!("{}.debug", &id[2..]))).expect("room");
        assert_eq!(local(&open(Path::new(&path), &files)), 1);
    }
}

fn build_id(library: &Path) -> String {
    let notes = Command::new("readelf").arg("-n").arg(library).output().expect("binutils");
    let notes = String::from_utf8_lossy(&notes.stdout).into_owned();
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    id.expect("it has one").to_owned()
}

/// Children of a process, as the kernel lists them.
fn child_of(parent: u32) -> u32 {
    let children = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let of: u32 = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        (of == parent).then_some(pid)
    });
    let children: Vec<u32> = children.collect();
    assert_eq!(children.len(), 1, "children of {parent}");
    children[0]
}

/// In another root, mount namespace and pid namespace: no path, and no number, is one of ours. Its
/// libc is another build than the one that our disk has at that path.
#[test]
fn a_core_of_another_root_is_told_with_lib_root_however_it_was_written() {
    for python in where_cores_are_written(&["debian-3.13"]) {
        let _turn = turn();
        let folder = folder("root");
        let root = python.path.parent().and_then(Path::parent).map(|folder| folder.join("root"));
        let root = root.and_then(|root| root.canonicalize().ok()).expect("the interpreter's root");
        let work = script("").canonicalize().expect("workloads");
        let starter = folder.0.join("starter.sh");
        let text = format!(
            "ulimit -c unlimited; echo 0x37 >/proc/self/coredump_filter\n\
             exec unshare --mount --pid --fork --kill-child --map-root-user sh -c '\
             mount -t tmpfs none /mnt && mkdir /mnt/root && mount --bind {root} /mnt/root && \
             mount -t tmpfs none /mnt/root/etc && \
             mkdir /mnt/root/etc/work /mnt/root/etc/out && \
             mount --bind {work} /mnt/root/etc/work && mount --bind {out} /mnt/root/etc/out && \
             chroot /mnt/root /usr/bin/python3.13 -B -c \
             \"import os; os.chdir(\\\"/etc/out\\\"); \
             exec(open(\\\"/etc/work/chroot.py\\\").read())\"; exit $?'\n",
            root = root.display(),
            work = work.display(),
            out = folder.0.display(),
        );
        fs::write(&starter, text).expect("room");
        let workload = Workload::start(Path::new("/bin/sh"), &starter, &[]);
        // The first process of a namespace is not ended by signals: that is a shell.
        let pid = child_of(child_of(workload.pid()));
        let living = live(pid);
        assert!(objects(&living) > Some(100_000));
        let lib_root = CoreFiles { exe: None, lib_root: Some(root) };
        let same = |label: &str, path: &Path| {
            let core = open(path, &lib_root);
            assert_eq!(objects(&core), objects(&living), "{label}");
            assert_eq!(frames(&core), frames(&living), "{label}");
            assert_eq!(core.problems.count(ProblemKind::FileNotFound), 0, "{label}");
            adds_up(&core);
        };
        let ours = folder.path("ours");
        assert!(run(&["core", &pid.to_string(), "-o", &ours]).status.success());
        same("memwhy core", Path::new(&ours));
        let tids = |case: &Case| case.threads.iter().map(|thread| thread.tid).collect::<Vec<u32>>();
        assert_eq!(tids(&open(Path::new(&ours), &lib_root)), tids(&living));
        let mut gcore = Command::new("gcore");
        gcore.arg("-o").arg(folder.path("gdb")).arg(pid.to_string()).stdin(Stdio::null());
        if gcore.output().is_ok_and(|done| done.status.success()) {
            same("gcore", Path::new(&folder.path(&format!("gdb.{pid}"))));
        }
        let kernels = dump(workload, pid, &folder.0);
        same("kernel", &kernels);
        // Without the other root libc is another build, and the program is not there: memory has it.
        let alone = open(&kernels, &CoreFiles::default());
        assert_eq!(objects(&alone), objects(&living));
        let said = format!("{:?}", alone.problems);
        assert!(said.contains("another build") && said.contains("is not there"), "{said}");
    }
}

#[test]
fn a_core_that_is_cut_while_it_is_read_ends_nobody_and_is_told() {
    for python in where_cores_are_written(&["3.12"]) {
        let _turn = turn();
        let folder = folder("shrinks");
        let workload = start_doomed(&python.path, &script("ring.py"), ORDINARY_FILTER, &folder.0);
        let pid = workload.pid();
        let path = dump(workload, pid, &folder.0);
        let len = fs::metadata(&path).expect("there").len();
        for keep in [len / 2, 4096, 0] {
            let (taken, about) = memwhy_target::core_file::open(&path, &CoreFiles::default())
                .unwrap_or_else(|error| panic!("{error}"));
            let file = OpenOptions::new().write(true).open(&path).expect("ours");
            let whole = fs::read(&path).expect("ours");
            file.set_len(keep).expect("ours");
            let case = memwhy::observe(taken, about, &Options::default());
            assert!(case.problems.count(ProblemKind::CoreIncomplete) > 0, "{keep}");
            adds_up(&case);
            let _ = memwhy::explain(&case);
            fs::write(&path, whole).expect("room");
        }
        // Added to while it was read: by somebody who is not done with it.
        let (taken, about) = memwhy_target::core_file::open(&path, &CoreFiles::default())
            .unwrap_or_else(|error| panic!("{error}"));
        OpenOptions::new().write(true).open(&path).expect("ours").set_len(len + 1).expect("room");
        let case = memwhy::observe(taken, about, &Options::default());
        assert_eq!(case.problems.count(ProblemKind::CoreIncomplete), 1, "{:?}", case.problems);
        assert!(objects(&case) > Some(20_000));
    }
}

/// The peak of memory that a run says it had, in MiB, with what it printed.
fn peak(arguments: &[&str]) -> (f64, Value) {
    let output = memwhy(&[arguments, &["--json", "-v"]].concat()).output().expect("the binary");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let line = said.lines().find(|line| line.trim_start().starts_with("peak memory"));
    let mib = line.and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
    let value = serde_json::from_slice(&output.stdout).expect("JSON");
    (mib.unwrap_or_else(|| panic!("{said}")), value)
}

/// A mapping of 256 GiB is added, all but a page of it a hole: no machine of tests has as much.
#[test]
fn a_core_larger_than_memory_takes_no_more_memory_to_read() {
    for python in where_cores_are_written(&["3.12"]) {
        let _turn = turn();
        let folder = folder("large");
        let workload = start_doomed(&python.path, &script("ring.py"), ORDINARY_FILTER, &folder.0);
        let pid = workload.pid();
        let path = dump(workload, pid, &folder.0);
        let name = path.to_string_lossy().into_owned();
        let (small_peak, small) = peak(&["explain", &name]);
        let file = OpenOptions::new().read(true).write(true).open(&path).expect("ours");
        let len = file.metadata().expect("there").len().next_multiple_of(4096);
        let huge = 256u64 << 30;
        // `PT_LOAD` of which nothing is held, as there are for pages that nobody may touch, are not
        // needed by anybody; one of them becomes the new mapping.
        let mut head = vec![0; 1 << 16];
        file.read_exact_at(&mut head, 0).expect("it is longer");
        let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight"));
        let count = usize::from(u16::from_le_bytes([head[56], head[57]]));
        let unheld =
            (0..count).map(|n| 64 + n * 56).find(|at| head[*at] == 1 && word(at + 32) == 0);
        let at = unheld.expect("there is one");
        let words = [len, 0x10_0000_0000, 0, huge, huge, 4096];
        let mut entry: Vec<u8> = [1u32, 6].iter().flat_map(|word| word.to_le_bytes()).collect();
        entry.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        file.write_all_at(&entry, at as u64).expect("room");
        file.set_len(len + huge).expect("a file system with holes");
        file.write_all_at(&[7; 4096], len + huge / 2).expect("room");
        let (large_peak, large) = peak(&["explain", &name]);
        assert_eq!(large["heap"]["objects"], small["heap"]["objects"]);
        let total = |report: &Value| report["rss"]["total_bytes"].as_u64().expect("a number");
        assert_eq!(total(&large), total(&small) + 4096);
        assert!(large_peak < small_peak + 64.0, "{small_peak} MiB, then {large_peak} MiB");
        eprintln!("peak {small_peak} MiB; of a core of {} GiB {large_peak} MiB", huge >> 30);
    }
}

/// Commands that read a target, with what else they need.
const READING: [&[&str]; 16] = [
    &["explain"],
    &["heap"],
    &["heap", "--by", "module"],
    &["malloc"],
    &["maps"],
    &["stacks"],
    &["stacks", "--native"],
    &["stacks", "--locals"],
    &["garbage"],
    &["locks"],
    &["locks", "--all"],
    &["tasks"],
    &["paths", "__main__.Node"],
    &["show", "OBJECT"],
    &["refs", "OBJECT"],
    &["snap"],
];

/// Of a core nothing is said that it does not know, in no command, as text or JSON; nor of what was
/// kept of it.
#[test]
fn every_command_reads_a_core_and_says_nothing_that_it_does_not_know() {
    for python in where_cores_are_written(&["3.12"]) {
        let _turn = turn();
        let folder = folder("commands");
        let workload = start_doomed(&python.path, &script("ring.py"), ORDINARY_FILTER, &folder.0);
        let pid = workload.pid();
        let core = folder.path("kept");
        let dumped = dump(workload, pid, &folder.0);
        fs::rename(dumped, &core).expect("ours");
        let kept = folder.path("kept.memwhy");
        json(&["snap", &core, "-o", &kept, "--values", "--json"]);
        let heap = open(Path::new(&core), &CoreFiles::default()).heap.expect("it is Python");
        let node = |id: &memwhy::model::ObjectId| {
            heap.type_row(heap.type_of(*id)).is_some_and(|row| row.name == "__main__.Node")
        };
        let object = heap.addr(heap.ids().find(node).expect("there are 500")).to_string();
        for (n, command) in READING.iter().enumerate() {
            for target in [&core, &kept] {
                let (name, rest) = command.split_first().expect("a command");
                let ending = if *name == "refs" { ".svg" } else { ".memwhy" };
                let written = folder.path(&format!("written-{n}{ending}"));
                let rest = rest.iter().map(|word| if *word == "OBJECT" { &object } else { *word });
                let mut arguments: Vec<&str> = [*name, target].into_iter().chain(rest).collect();
                if matches!(*name, "refs" | "snap") {
                    arguments.extend(["-o", &written]);
                }
                let said = text(&arguments);
                let _ = fs::remove_dir_all(&written);
                let _ = fs::remove_file(&written);
                for word in ["resident", "RSS", "PSS", "gdb -p", "/proc/", "paused"] {
                    assert!(!said.contains(word), "{arguments:?} says {word}: {said}");
                }
                // The number of a process that is gone is in no command to run.
                let runs = said.lines().any(|line| {
                    line.contains("memwhy ")
                        && line.split_whitespace().any(|w| w == pid.to_string())
                });
                assert!(!runs, "{arguments:?}: {said}");
                // A picture is the file, its text the description.
                if *name == "refs" {
                    arguments.truncate(arguments.len() - 2);
                }
                arguments.push("--json");
                let report = json(&arguments);
                let _ = fs::remove_dir_all(&written);
                let untold = report["target"]["untold"].as_array().expect("a list");
                assert_eq!(untold.len(), Untold::ALL.len(), "{arguments:?}");
                assert!(report["target"]["uptime_s"].is_null(), "{arguments:?}");
                assert!(report["target"]["capture"]["pause_ms"].is_null(), "{arguments:?}");
                let unknown = ["cpu_share", "pss_bytes", "swap_bytes", "private_dirty_bytes"];
                let printed = report.to_string();
                for key in unknown {
                    assert!(!printed.contains(&format!("\"{key}\"")), "{arguments:?}: {key}");
                }
            }
        }
        let unknown = text(&["explain", &core]);
        assert!(unknown.contains("a core does not tell residency, use of CPUs"), "{unknown}");
        // What has grown between two files, and against one.
        let grown = text(&["diff", &kept, &core]);
        assert!(grown.contains("what the core holds is the same"), "{grown}");
        text(&["heap", &core, "--rel", &kept]);
        json(&["diff", &kept, &core, "--json"]);
    }
}
