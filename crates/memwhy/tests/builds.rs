//! What of an interpreter's build could lead astray: another root, threads that free what others
//! made, a table that is wrong?

use memwhy::Options;
use memwhy::model::{About, Case, Owner, Pause, ProblemKind, Problems, Trust};
use memwhy_native::Images;
use memwhy_native::alloc::glibc::{self, FreeChunks, Glibc};
use memwhy_python::find::{self, Interpreter};
use memwhy_python::layout::Layouts;
use memwhy_python::layout::tables::gc_state::GcHeads;
use memwhy_python::layout::tables::interpreter_state::Obmalloc;
use memwhy_python::version::v3p;
use memwhy_python::{Malloc, Python};
use memwhy_target::{Process, View};
use memwhy_testkit::{Truth, Turn, Workload, require, script};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn capture(workload: &Workload) -> Case {
    memwhy::capture(workload.pid(), &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Paths in its maps are not ours: files have to be reached through the process.
#[test]
fn an_interpreter_in_another_root_is_read() {
    for python in require(&["debian-3.13"]) {
        let _turn = Turn::take(&temporary(""));
        let root = python.path.parent().and_then(Path::parent).map(|folder| folder.join("root"));
        let root = root.and_then(|root| root.canonicalize().ok()).expect("the interpreter's root");
        let folder = script("").canonicalize().expect("workloads");
        // In a mount namespace of its own, which is gone with it; also without root's rights.
        let starter = temporary("chroot.sh");
        let text = format!(
            "#!/bin/sh\nexec unshare --mount --map-root-user sh -c 'mount -t tmpfs none /mnt && \
             mkdir /mnt/root && mount --bind {root} /mnt/root && \
             mount -t tmpfs none /mnt/root/etc && mkdir /mnt/root/etc/work /mnt/root/etc/proc && \
             mount --bind {folder} /mnt/root/etc/work && mount --rbind /proc /mnt/root/etc/proc && \
             exec chroot /mnt/root /usr/bin/python3.13 -B /etc/work/chroot.py'\n",
            root = root.display(),
            folder = folder.display(),
        );
        std::fs::write(&starter, text).unwrap_or_else(|error| panic!("{error}"));
        let workload = Workload::start(Path::new("/bin/sh"), &starter, &[]);
        let case = capture(&workload);
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", workload.pid()));
        let maps = maps.unwrap_or_else(|error| panic!("{error}"));
        let ours = root.join("usr/bin/python3.13").display().to_string();
        assert!(!maps.contains(&ours), "its paths are as we see them: nothing is tested");
        let heap = case.heap.as_ref().unwrap_or_else(|| panic!("no heap: {:?}", case.problems));
        assert!(heap.complete() && case.problems.is_empty(), "{:?}", case.problems);
        assert_eq!(case.about.python.as_ref().map(|python| &*python.version), Some("3.13.5"));
        let data = heap.roots().iter().find(|root| root.name == "sys.modules['__main__'].DATA");
        let data = data.map(|root| heap.references(root.object).len());
        assert_eq!(data, Some(100_000));
        assert!(case.threads.iter().any(|thread| !thread.frames.is_empty()), "{:?}", case.threads);
    }
}

/// Blocks that another thread freed, pages of threads that are gone, blocks larger than a segment.
#[test]
fn heaps_of_many_threads_without_gil_add_up() {
    for python in require(&["3.13t", "3.14t"]) {
        let _turn = Turn::take(&temporary(""));
        let mut workload = Workload::start(&python.path, &script("mimalloc_threads.py"), &[]);
        workload.command("end");
        let path = temporary(&format!("{}-threads.truth", python.label));
        workload.command(&format!("hold truth {}", path.display()));
        let case = capture(&workload);
        workload.command("resume");
        let truth = Truth::read(&path).unwrap_or_else(|what| panic!("{what}"));
        std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
        let heap = case.heap.as_ref().expect("a heap");
        let found = truth.addresses.iter().filter(|addr| heap.find(**addr).is_some()).count();
        assert!(found * 10_000 >= truth.len() * 9_999, "{found} of {}", truth.len());
        assert!(heap.complete() && case.problems.is_empty(), "{:?}", case.problems);
        let facts = case.mimalloc.as_ref().expect("mimalloc");
        eprintln!("{}: {facts:#?}", python.label);
        assert!(facts.abandoned_pages > 0 && facts.torn_pages == 0, "{facts:#?}");
        assert!(facts.classes.iter().any(|class| class.block > 32 << 20), "{facts:#?}");
        let stated = workload.command("hold allocatedblocks")["blocks"].as_u64();
        workload.command("resume");
        assert!(stated.is_some_and(|n| n.abs_diff(facts.blocks) < 200), "{stated:?} {facts:#?}");
        let free = case.resident(Owner::MimallocFree);
        assert!(free.0 > 8 << 20, "{free} free");
        let about = case.about.python.as_ref().expect("Python");
        assert!(about.free_threaded && !about.gil);
    }
}

struct Seen {
    view: View,
    images: Images,
    found: Interpreter,
    problems: Problems,
}

fn look(workload: &Workload) -> Seen {
    let process = Process::open(workload.pid()).expect("a process");
    let (patience, skip) = (Duration::from_secs(60), FreeChunks::default());
    let taken = memwhy_target::capture(&process, Pause::Stop, patience, &[], &skip);
    let view = taken.unwrap_or_else(|error| panic!("{error}")).view;
    let mut problems = Problems::default();
    let images = Images::of(&view);
    let found = find::find(&view, &images, &mut problems).unwrap_or_else(|e| panic!("{e}"));
    Seen { view, images, found, problems }
}

/// Objects found, and problems, with layouts that somebody got wrong.
fn with(seen: &Seen, change: impl FnOnce(&mut Layouts)) -> (usize, bool, Problems) {
    let mut interpreter = seen.found.clone();
    change(&mut interpreter.layouts);
    let mut problems = Problems::default();
    let libc = glibc::libc(&seen.images);
    let malloc = libc.and_then(|libc| Glibc::walk(&seen.view, libc, &mut problems));
    let (view, images) = (&seen.view, &seen.images);
    let serving = malloc.as_ref().map_or(Malloc::Unknown, Malloc::Glibc);
    let python = Python::of(interpreter, view, images, serving, &[], &mut problems);
    let graph = python.graph();
    (graph.len(), graph.complete(), problems)
}

#[test]
fn a_table_that_is_wrong_is_refused() {
    let refused = |seen: &Seen, change: fn(&mut Layouts)| {
        let mut interpreter = seen.found.clone();
        change(&mut interpreter.layouts);
        interpreter.objection(&seen.view)
    };
    for python in require(&["2.7.18", "3.8.18", "3.13.0", "3.13t"]) {
        let _turn = Turn::take(&temporary(""));
        let workload = Workload::start(&python.path, &script("zoo.py"), &[]);
        let seen = look(&workload);
        let label = &python.label;
        assert!(seen.problems.is_empty() && seen.found.objection(&seen.view).is_none(), "{label}");
        let changes: [fn(&mut Layouts); 7] = [
            |layouts| layouts.object.ob_type.offset += 8,
            |layouts| layouts.type_object.tp_name.offset += 8,
            // Not 8 further: from 3.13 on the main thread is named there too.
            |layouts| layouts.interpreter_state.threads_head.offset -= 8,
            |layouts| layouts.thread_state.interp.offset += 8,
            |layouts| layouts.interpreter_state.modules.offset += 8,
            |layouts| layouts.dict_object.size += 8,
            |layouts| layouts.module.md_dict.offset += 8,
        ];
        let said: Vec<_> = changes.iter().map(|change| refused(&seen, *change)).collect();
        eprintln!("{label}: {said:?}");
        let held = said.iter().filter(|said| said.is_none()).count();
        // Nobody depends on how large a dict is.
        assert!(held == 1 && said[5].is_none(), "{label}: {said:?}");

        let (objects, complete, problems) = with(&seen, |_| {});
        assert!(complete && problems.is_empty(), "{label}: {problems:?}");
        if !seen.found.build.free_threaded {
            let (fewer, complete, problems) =
                with(&seen, |layouts| layouts.pool_header.nextoffset.offset += 4);
            assert!(problems.count(ProblemKind::TornPool) > 0, "{label}: {problems:?}");
            assert!(!complete && fewer < objects, "{label}: {fewer} of {objects}");
        }
        if let Some(GcHeads::Generations(_)) = seen.found.layouts.gc_state.map(|gc| gc.heads)
            && seen.found.layouts.gc_head.is_some()
        {
            let (all, _, problems) = with(&seen, |layouts| {
                if let Some(gc) = &mut layouts.gc_state
                    && let GcHeads::Generations(first) = &mut gc.heads
                {
                    first.offset += 8;
                }
            });
            assert!(problems.count(ProblemKind::CalibrationFailed) > 0, "{label}: {problems:?}");
            assert_eq!(all, objects, "{label}: objects are found without the lists");
        }
        if let Obmalloc::Pointer(_) = seen.found.layouts.interpreter_state.pymalloc
            && !seen.found.build.free_threaded
        {
            let (all, complete, problems) = with(&seen, |layouts| {
                if let Obmalloc::Pointer(field) = &mut layouts.interpreter_state.pymalloc {
                    field.offset += 16;
                }
            });
            assert!(problems.count(ProblemKind::LayoutDisagrees) > 0, "{label}: {problems:?}");
            assert!(complete && all == objects, "{label}: its neighbours were tried");
        }
    }
}

/// How releases are read that nobody has seen: each of these as if it were newer than all tables.
#[test]
fn a_release_that_nobody_has_seen_is_read_with_doubts_or_refused() {
    // 3.12 tells nothing of itself, and moved what leads to its threads. 3.14 changed what says that
    // an object is immortal: such objects are missing then, and code is without names. What 3.15
    // moved it tells itself, or it is found by trying.
    let unseen = [
        ("3.12.1", v3p(11, 7), Unseen::Refused),
        ("debian-3.14", v3p(13, 5), Unseen::InPart),
        ("debian-3.15", v3p(14, 10), Unseen::Read),
    ];
    for (wanted, newest, expected) in unseen {
        for python in require(&[wanted]) {
            let _turn = Turn::take(&temporary(""));
            let mut workload = Workload::start(&python.path, &script("zoo.py"), &[]);
            let path = temporary(&format!("{}-unseen.truth", python.label));
            workload.command(&format!("hold truth {}", path.display()));
            let process = Process::open(workload.pid()).expect("a process");
            let (patience, skip) = (Duration::from_secs(60), FreeChunks::default());
            let taken = memwhy_target::capture(&process, Pause::Stop, patience, &[], &skip);
            let view = taken.unwrap_or_else(|error| panic!("{error}")).view;
            workload.command("resume");
            let truth = Truth::read(&path).unwrap_or_else(|what| panic!("{what}"));
            std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
            let mut problems = Problems::default();
            let images = Images::of(&view);
            let label = format!("{} as if {newest} were the newest", python.label);
            let found = match find::find_knowing(&view, &images, Some(newest), &mut problems) {
                Ok(found) => found,
                Err(refusal) => {
                    let said = refusal.to_string();
                    eprintln!("{label}: refused: {said}");
                    assert_eq!(expected, Unseen::Refused, "{label}: {said}");
                    assert!(said.contains("is not laid out as memwhy knows it: "), "{said}");
                    continue;
                }
            };
            assert_eq!(found.trust, Trust::Extrapolated, "{label}");
            let libc = glibc::libc(&images);
            let malloc = libc.and_then(|libc| Glibc::walk(&view, libc, &mut problems));
            let serving = malloc.as_ref().map_or(Malloc::Unknown, Malloc::Glibc);
            let mut seen = Python::of(found, &view, &images, serving, &[], &mut problems);
            let about = seen.about();
            let threads = seen.take_threads();
            let heap = seen.graph();
            let (mut there, mut typed) = (0, 0);
            for at in 0..truth.len() {
                let Some(id) = heap.find(truth.addresses[at]) else { continue };
                there += 1;
                let ty = heap.type_row(heap.type_of(id)).map(|ty| ty.addr);
                let stated = truth.types[truth.type_of[at] as usize].addr;
                typed += usize::from(ty == Some(stated));
            }
            eprintln!(
                "{label}: {there} of {} found, {typed} with their type, {} in all, complete: {}",
                truth.len(),
                heap.len(),
                heap.complete()
            );
            for (kind, n, examples) in problems.iter() {
                eprintln!("   {kind:?} {n}: {examples:?}");
            }
            assert_eq!(typed, there, "{label}: objects have types that are not theirs");
            let failed = problems.count(ProblemKind::CalibrationFailed);
            let numbers: Vec<Option<u32>> = threads.tids().collect();
            match expected {
                Unseen::Refused => panic!("{label}: read, with {problems:?}"),
                Unseen::InPart => {
                    assert!(failed > 0 && !heap.complete(), "{label}: {problems:?}");
                    assert!(numbers.is_empty(), "{label}: {threads:?}");
                }
                Unseen::Read => {
                    assert!(heap.complete(), "{label}: {problems:?}");
                    assert!(there * 1000 >= truth.len() * 999, "{label}: {there}");
                    let tids = process.tids().into_iter().map(Some);
                    let mut tids: Vec<_> = tids.collect();
                    tids.sort_unstable();
                    let mut numbers = numbers;
                    numbers.sort_unstable();
                    assert_eq!(numbers, tids, "{label}");
                }
            }
            // The first screen says so, whatever else there is to say.
            let about = About { python: Some(about), ..About::default() };
            let verdict = memwhy::explain(&Case { about, problems, ..Case::default() });
            let said = verdict.doubts.join("; ");
            assert!(said.contains("has not been checked: its layouts are taken from an"), "{said}");
        }
    }
}

/// What becomes of a release that nobody has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unseen {
    /// Nothing of it can be read.
    Refused,
    /// Some of it, and it is said what is not.
    InPart,
    /// All of its objects and threads.
    Read,
}

/// Builds the program in C that has an interpreter inside; also says where its library is.
fn embedding(python: &memwhy_testkit::Interpreter, shared: bool) -> (PathBuf, String) {
    let prefix = python.path.parent().and_then(Path::parent).expect("a prefix");
    let (major, minor, _) = python.version;
    let name = format!("python{major}.{minor}");
    let program = temporary(&format!("embedding-{name}"));
    let lib = prefix.join("lib");
    let mut cc = Command::new("cc");
    cc.arg(script("c/embedding.c"));
    cc.arg(format!("-I{}", prefix.join("include").join(&name).display()));
    if shared {
        let lib = lib.display();
        cc.args([format!("-L{lib}"), format!("-l{name}"), format!("-Wl,-rpath,{lib}")]);
    } else {
        let config = lib.join(&name).join(format!("config-{major}.{minor}-x86_64-linux-gnu"));
        cc.arg(config.join(format!("lib{name}.a")));
        cc.args(["-Wl,--export-dynamic", "-s", "-lpthread", "-ldl", "-lutil", "-lm"]);
    }
    let built = cc.arg("-o").arg(&program).status();
    assert!(built.is_ok_and(|status| status.success()), "cc for {name}");
    (program, prefix.display().to_string())
}

/// In a program that is not Python's own: one in C with `libpython` as a library, shared or in the
/// program itself, which is then stripped, and gdb, which brings the stripped one of Debian.
#[test]
fn an_interpreter_inside_of_another_program_is_read() {
    let folder = script("").canonicalize().expect("workloads").display().to_string();
    let mut programs = Vec::new();
    for (python, shared) in [("3.8.18", true), ("3.13.0", true), ("3.11.7", false)] {
        for python in require(&[python]) {
            let (program, prefix) = embedding(python, shared);
            programs.push((program, vec![("PYTHONHOME", prefix)]));
        }
    }
    if Command::new("gdb").arg("--version").output().is_ok_and(|out| out.status.success()) {
        let starter = temporary("in-gdb.sh");
        std::fs::write(&starter, "#!/bin/sh\nexec gdb -nx -batch -x \"$1\"\n").expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&starter, mode).expect("executable");
        programs.push((starter, Vec::new()));
    } else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "gdb is missing");
        eprintln!("SKIPPED: no gdb here");
    }
    for (program, mut environment) in programs {
        let _turn = Turn::take(&temporary(""));
        environment.push(("PYTHONPATH", folder.clone()));
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut workload = Workload::start(&program, &script("zoo.py"), &environment);
        let path = temporary("embedded.truth");
        workload.command(&format!("hold truth {}", path.display()));
        let case = capture(&workload);
        workload.command("resume");
        let truth = Truth::read(&path).unwrap_or_else(|what| panic!("{what}"));
        std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
        let label = format!("{}: {}", program.display(), case.about.exe);
        let heap = case.heap.as_ref().unwrap_or_else(|| panic!("{label}: {:?}", case.problems));
        let found = truth.addresses.iter().filter(|addr| heap.find(**addr).is_some()).count();
        eprintln!("{label}: {found} of {}", truth.len());
        assert!(found * 1000 >= truth.len() * 999, "{label}: {found} of {}", truth.len());
        assert!(heap.complete() && case.problems.is_empty(), "{label}: {:?}", case.problems);
        let main = case.threads.first().expect("a thread");
        assert!(main.is_python && !main.frames.is_empty(), "{label}: {main:?}");
    }
}
