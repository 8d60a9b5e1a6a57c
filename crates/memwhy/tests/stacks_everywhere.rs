//! Are stacks those that the interpreter tells of itself, wherever they are read from: a running
//! process, a copy, a core, a snapshot, other interpreters of the process, another mount namespace?

use memwhy::model::{Case, ThreadFacts};
use memwhy::{CoreFiles, NativeDetail, Options, Values};
use memwhy_report::Style;
use memwhy_report::text::StackOptions;
use memwhy_target::core_file::write::Existing;
use memwhy_testkit::tools::compiled;
use memwhy_testkit::{Turn, Workload, interpreters, require, script};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One of each way to keep frames: objects, entries on the C stack, entries on the list, tagged
/// values, without GIL, static and stripped.
const ONE_OF_EACH: [&str; 7] =
    ["2.7", "3.9", "3.11", "3.12", "3.13t", "debian-3.14", "debian-3.15d"];

fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

type Place = (String, Option<u64>);

fn places(thread: &ThreadFacts) -> Vec<Place> {
    let place = |frame: &memwhy::model::Frame| (frame.function.clone(), frame.line.map(u64::from));
    thread.frames.iter().map(place).collect()
}

fn thread<'c>(case: &'c Case, name: &str, label: &str) -> &'c ThreadFacts {
    let found = case.threads.iter().find(|thread| thread.name == name);
    found.unwrap_or_else(|| panic!("{label}: no thread {name}: {:?}", case.problems))
}

#[test]
fn a_copy_a_core_and_a_snapshot_have_the_frames_that_the_process_tells() {
    for python in require(&ONE_OF_EACH) {
        let _turn = Turn::take(&temporary(""));
        let label = &python.label;
        let mut workload = Workload::start(&python.path, &script("parked.py"), &[]);
        let told = workload.command("park");
        let options = Options { previews: true, ..Options::default() };
        let copy = memwhy::capture(workload.pid(), &options).expect("it runs");
        let (core, folder) =
            (temporary(&format!("{label}.core")), temporary(&format!("{label}.memwhy")));
        let _ = std::fs::remove_dir_all(&folder);
        let patience = Duration::from_secs(60);
        memwhy::write_core(workload.pid(), &core, Existing::Replace, patience).expect("a core");
        memwhy::write(&copy, &folder, Values::Kept).expect("a snapshot");
        workload.command("go");
        let of_core = memwhy::open_core(&core, &CoreFiles::default(), &options).expect("a core");
        let of_folder = memwhy::open_snapshot(&folder).expect("a snapshot");
        for (name, frames) in told.as_object().expect("threads") {
            let frames = frames.as_array().expect("frames");
            let place =
                |one: &Value| (one[0].as_str().expect("a name").to_owned(), one[2].as_u64());
            let expected: Vec<Place> = frames.iter().map(place).collect();
            for (what, case) in [("copy", &copy), ("core", &of_core), ("snapshot", &of_folder)] {
                let label = format!("{label}: {what} of {name}");
                let thread = thread(case, name, &label);
                assert_eq!(places(thread), expected, "{label}");
                let variable = |local: &memwhy::model::Local| {
                    let truth = frames[0][3][&local.name][1].as_str()?;
                    Some((truth.to_owned(), local.preview.clone()))
                };
                let seen: Vec<_> = thread.frames[0].locals.iter().filter_map(variable).collect();
                assert!(!seen.is_empty(), "{label}: {:#?}", thread.frames[0]);
                assert!(
                    seen.iter().all(|(truth, preview)| Some(truth) == preview.as_ref()),
                    "{label}: {seen:?}"
                );
            }
            // C functions come from the registers in the core, and files that it names.
            let (own, kept) = (thread(&copy, name, label), thread(&of_core, name, label));
            assert_eq!(kept.native.ended, None, "{label}: {:#?}", kept.native);
            let runs: u32 = kept.native.frames.iter().map(|frame| frame.runs).sum();
            assert_eq!(runs as usize, kept.frames.len(), "{label}");
            assert_eq!(own.native.frames.len(), kept.native.frames.len(), "{label}");
        }
        let _ = std::fs::remove_file(&core);
        let _ = std::fs::remove_dir_all(&folder);
    }
}

#[test]
fn threads_of_other_interpreters_are_shown_when_asked_for() {
    // Up to 3.10 nothing says which thread runs the code of another interpreter.
    for python in require(&["3.11", "3.12", "3.13", "debian-3.14", "debian-3.15"]) {
        let label = &python.label;
        let workload = Workload::start(&python.path, &script("subinterpreter_threads.py"), &[]);
        let pid = workload.pid().to_string();
        let screen = |arguments: &[&str]| {
            let arguments = [&["stacks", &pid], arguments].concat();
            let output = Command::new(env!("CARGO_BIN_EXE_memwhy"))
                .args(&arguments)
                .output()
                .unwrap_or_else(|error| panic!("{error}"));
            assert!(output.status.success(), "{label}: {output:?}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let own = screen(&[]);
        assert!(!own.contains("in inner"), "{label}:\n{own}");
        assert!(own.contains("2 threads of sub-interpreters not shown"), "{label}:\n{own}");
        let all = screen(&["--all-interpreters", "--locals"]);
        for number in [1, 2] {
            let said = format!("sub-interpreter {number}");
            assert!(all.contains(&said), "{label}: no {said}:\n{all}");
            let local = format!("label = 'interpreter {number}'");
            assert!(all.contains(&local), "{label}: no {local}:\n{all}");
        }
        assert!(all.contains("line 8, in inner"), "{label}:\n{all}");
        assert!(all.contains("line 5, in outer"), "{label}:\n{all}");
        // Each is told with the thread that runs it, and the main thread with its own code.
        let case = memwhy::look(workload.pid(), &Options::default()).expect("it runs");
        for number in [1, 2] {
            let thread = thread(&case, &format!("of-{number}"), label);
            let functions = thread.frames.iter().map(|frame| frame.function.as_str());
            let functions: Vec<&str> = functions.take(4).collect();
            assert_eq!(functions[..3], ["inner", "outer", "<module>"], "{label}: {functions:?}");
            assert!(functions[3].ends_with("run"), "{label}: {functions:?}");
            let runs: u32 = thread.native.frames.iter().map(|frame| frame.runs).sum();
            assert_eq!(runs as usize, thread.frames.len(), "{label}: {thread:#?}");
        }
        let main = thread(&case, "MainThread", label);
        assert_eq!(main.frames.len(), 1, "{label}: {:#?}", main.frames);
    }
}

#[test]
fn a_stack_that_nothing_ties_to_a_thread_is_counted() {
    // The interpreter's creator has its own frames, and nothing says which thread runs the others.
    for python in require(&["3.8", "3.10"]) {
        let label = &python.label;
        let workload = Workload::start(&python.path, &script("subinterpreter_threads.py"), &[]);
        let case = memwhy::look(workload.pid(), &Options::default()).expect("it runs");
        let left_out: u32 = case.threads.iter().map(|thread| thread.left_out).sum();
        assert_eq!(left_out, 2, "{label}: {:#?}", case.threads);
        let options = StackOptions { all_interpreters: true, ..StackOptions::default() };
        let screen = memwhy_report::text::stacks(&case, options, Style::default());
        let said = "2 stacks of sub-interpreters not shown: up to 3.10 nothing says which thread";
        assert!(screen.contains(said), "{label}:\n{screen}");
    }
}

#[test]
fn a_short_cut_to_init_is_no_call() {
    for python in interpreters() {
        let label = &python.label;
        let workload = Workload::start(&python.path, &script("hot_init.py"), &[]);
        let options = Options { native: NativeDetail::Names, ..Options::default() };
        let case = memwhy::look(workload.pid(), &options).expect("it runs");
        let maker = thread(&case, "maker", label);
        let base = |function: &str| function.rsplit('.').next().unwrap_or_default().to_owned();
        let own = places(maker).into_iter().map(|(function, line)| (base(&function), line));
        let told = workload.ready()["calls"].as_array().expect("calls").iter();
        let told =
            told.map(|one| (one[0].as_str().unwrap_or_default().to_owned(), one[1].as_u64()));
        assert!(own.eq(told), "{label}: {:#?}", maker.frames);
        // The functions of C run all of them.
        let run: u32 = maker.native.frames.iter().map(|frame| frame.runs).sum();
        assert_eq!(run as usize, maker.frames.len(), "{label}: {:#?}", maker.native);
    }
}

#[test]
fn functions_that_were_inlined_are_told_with_their_lines_where_debug_information_is() {
    let flags = ["-g", "-O2", "-nostdlib"];
    let library = compiled("cc", &flags, "mutexes.c", &temporary("libinlined.so"));
    let Some(library) = library else { return };
    let source = script("c/mutexes.c");
    let text = std::fs::read_to_string(&source).expect("it is there");
    let line_of = |what: &str| text.lines().position(|line| line.trim() == what).map(|at| at + 1);
    let expected =
        [("stay", true, line_of("pause();")), ("write_for_ever", false, line_of("stay();"))];
    for python in require(&["3.11", "debian-3.14"]) {
        let label = &python.label;
        let library = library.to_string_lossy();
        let env = [("SCENARIO", "rwlock"), ("LIBRARY", &*library)];
        let workload = Workload::start(&python.path, &script("locks.py"), &env);
        let options = Options { native: NativeDetail::Lines, sources: true, ..Options::default() };
        let case = memwhy::look(workload.pid(), &options).expect("it runs");
        let frames = &thread(&case, "writer", label).native.frames;
        let told: Vec<_> = frames
            .iter()
            .filter(|frame| frame.image.ends_with("libinlined.so"))
            .map(|frame| {
                let line = frame.source.as_ref().map(|(_, line)| *line as usize);
                (frame.function.as_deref().unwrap_or_default(), frame.inlined, line)
            })
            .collect();
        assert_eq!(told, expected, "{label}: {frames:#?}");
        // Lines of Python's source are those of the file.
        for source in [false, true] {
            let options = StackOptions { source, ..StackOptions::default() };
            let screen = memwhy_report::text::stacks(&case, options, Style::default());
            let shown =
                screen.contains("        sys.stdin.read()") && screen.contains("os._exit(0)");
            assert_eq!(shown, source, "{label}:\n{screen}");
        }
    }
}

/// What its maps name is not at that place for us, or is something else there.
#[test]
fn a_process_with_mounts_of_its_own_has_its_c_functions_named_from_its_own_files() {
    for python in require(&["3.12"]) {
        let label = &python.label;
        let prefix = python.path.parent().and_then(Path::parent).expect("a prefix");
        let prefix = prefix.canonicalize().expect("a prefix");
        let starter = temporary("mounted.sh");
        let text = format!(
            "#!/bin/sh\nexec unshare --mount --map-root-user sh -c 'mount -t tmpfs none /mnt && \
             mkdir /mnt/python && mount --bind {prefix} /mnt/python && \
             LD_LIBRARY_PATH=/mnt/python/lib exec /mnt/python/bin/python3.12 -B {script}'\n",
            prefix = prefix.display(),
            script = script("parked.py").canonicalize().expect("a script").display(),
        );
        std::fs::write(&starter, text).unwrap_or_else(|error| panic!("{error}"));
        let mut workload = Workload::start(Path::new("/bin/sh"), &starter, &[]);
        let told = workload.command("park");
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", workload.pid()));
        let maps = maps.unwrap_or_else(|error| panic!("{error}"));
        assert!(maps.contains("/mnt/python/lib/libpython3.12"), "{maps}");
        assert!(!Path::new("/mnt/python").exists(), "it is mounted for us, too");
        let options = Options {
            look: Duration::ZERO,
            native: NativeDetail::Lines,
            previews: true,
            ..Options::default()
        };
        let case = memwhy::look(workload.pid(), &options).expect("it runs");
        for (name, frames) in told.as_object().expect("threads") {
            let thread = thread(&case, name, label);
            let count = frames.as_array().expect("frames").len();
            assert_eq!(thread.frames.len(), count, "{label}");
            assert_eq!(thread.native.ended, None, "{label}: {:#?}", thread.native);
            let loops = thread.native.frames.iter().filter(|frame| frame.runs > 0);
            let named = loops.clone().filter(|frame| {
                let function = frame.function.as_deref().unwrap_or_default();
                function.starts_with("_PyEval_EvalFrameDefault") && frame.source.is_some()
            });
            let (loops, named) = (loops.count(), named.count());
            assert!(loops > 0 && loops == named, "{label}: {:#?}", thread.native);
        }
        workload.command("go");
    }
}
