//! Is what C, C++ and ctypes lost found, all of it and nothing else?
//!
//! The workload writes down which chunks it lost and which it holds, by globals, lists, thread-local
//! storage, stacks, interior and tagged pointers, mappings, and Python objects.

use memwhy::Options;
use memwhy_testkit::tools;
use memwhy_testkit::{Interpreter, Turn, Workload, require, script};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Of what was lost so much is found, and of what is said to be lost so much is.
const AT_LEAST: f64 = 0.999;
/// Found where the heap lies below 4 GiB, as in programs that are not position-independent: there
/// every number of 32 bits may be an address.
const AT_LEAST_IN_LOW_MEMORY: f64 = 0.998;

/// Compiles a library of the workload; `None` without a compiler.
fn library(compiler: &str, source: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("leaks-by-{compiler}"));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let to = folder.join(format!("lib{source}.so"));
    tools::compiled(compiler, &["-O1", "-pthread"], source, &to)
}

/// What the workload wrote down.
struct Truth {
    lost: HashSet<u64>,
    held: HashSet<u64>,
}

impl Truth {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the truth");
        let mut truth = Self { lost: HashSet::new(), held: HashSet::new() };
        for line in text.lines() {
            let (kind, address) = line.split_once(' ').expect("a kind and an address");
            let address = u64::from_str_radix(address, 16).expect("an address");
            let set = if kind == "L" { &mut truth.lost } else { &mut truth.held };
            set.insert(address);
        }
        // Some memory was freed again (the buffers of stdio) and taken once more.
        assert!(truth.lost.is_disjoint(&truth.held));
        truth
    }
}

fn check(python: &Interpreter, libraries: &[(&str, &Path)], preload: Option<&str>) {
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let own = if python.label.starts_with("musl-") { "musl" } else { "glibc" };
    let allocator = preload.and_then(|path| path.rsplit('/').next()).unwrap_or(own);
    let label = &format!("{}, {allocator}", python.label);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("leaks-{}-{allocator}.truth", python.label));
    let _ = std::fs::remove_file(&path);
    let scale = std::env::var("MEMWHY_LEAKS_SCALE").unwrap_or_else(|_| "4".into());
    let mut env = vec![("LEAKS_TRUTH", path.to_str().expect("a path")), ("LEAKS_SCALE", &scale)];
    env.extend(libraries.iter().map(|(name, path)| (*name, path.to_str().expect("a path"))));
    env.extend(preload.map(|path| ("LD_PRELOAD", path)));
    let workload = Workload::start(&python.path, &script("native_leak.py"), &env);
    let case = memwhy::capture(workload.pid(), &Options::default()).expect("a capture");
    let verdict = memwhy::explain(&case);
    let truth = Truth::read(&path);
    std::fs::remove_file(&path).expect("the truth is there");

    let native = case.native_memory.as_ref().unwrap_or_else(|| panic!("{label}: no search"));
    let said: HashSet<u64> = native.lost_at.iter().map(|addr| addr.0).collect();
    let found = said.intersection(&truth.lost).count();
    #[expect(clippy::cast_precision_loss, reason = "four digits matter")]
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    let (recall, precision) = (share(found, truth.lost.len()), share(found, said.len()));
    let wrong: Vec<u64> = said.intersection(&truth.held).copied().collect();
    eprintln!(
        "{label}: {} lost, recall {recall:.5}; {} said, precision {precision:.5}; {} held, of which \
         {} are said to be lost",
        truth.lost.len(),
        said.len(),
        truth.held.len(),
        wrong.len()
    );
    let heap = case.mappings.iter().find(|mapping| mapping.name == "[heap]");
    let low = heap.is_some_and(|heap| heap.range.end.0 < 1 << 32);
    let least = if low { AT_LEAST_IN_LOW_MEMORY } else { AT_LEAST };
    assert!(recall > least, "{label}: {recall}");
    assert!(precision > AT_LEAST, "{label}: {precision}");
    assert!(wrong.is_empty(), "{label}: held, and said to be lost: {wrong:x?}");
    // Each chunk has one holder.
    let all: u64 = native.holders.iter().map(|holding| holding.all().chunks).sum();
    assert_eq!(all, native.all.chunks, "{label}");
    let own: u64 = native.contents.iter().map(|group| group.all.chunks).sum();
    assert!(own >= native.lost().chunks, "{label}");
    assert_eq!(native.lost().chunks, said.len() as u64, "{label}");

    if libraries.is_empty() {
        return;
    }
    assert_eq!(verdict.cause, Some("native-leak"), "{label}: {}", verdict.summary);
    let finding = verdict.finding().expect("the finding of the cause");
    let told = format!("{:?}", finding.evidence);
    assert!(told.contains("GET /ite"), "{label}: {told}");
    assert!(told.contains("widget_operations of libleaks.c.so"), "{label}: {told}");
    let probe = &finding.remedies[1].action;
    match preload {
        // Of 1800 bytes either allocator tells what it rounds up.
        None if allocator == "musl" => {
            assert!(probe.contains("arg0 >= 1792 && arg0 <= 1807"), "{label}: {probe}");
        }
        None => assert!(probe.contains("arg0 >= 1785 && arg0 <= 1800"), "{label}: {probe}"),
        Some(path) => {
            let (from, to) = probed(probe);
            assert!(probe.contains(&format!("uprobe:{}:malloc", real(path))), "{label}: {probe}");
            assert!(from <= 1800 && (1800..2100).contains(&to), "{label}: {probe}");
        }
    }
    let tables: Vec<&str> =
        native.lost_groups().filter_map(|group| group.content.symbol.as_deref()).collect();
    if libraries.len() > 1 {
        for symbol in ["vtable for app::Widget+16", "vtable for app::Button+16"] {
            assert!(tables.contains(&symbol), "{label}: {symbol} is not in {tables:?}");
        }
    }
}

/// The sizes that a probe looks for.
fn probed(probe: &str) -> (u64, u64) {
    let number = |after: &str| -> u64 {
        let (_, rest) = probe.split_once(after).expect("a condition");
        rest.split(|c: char| !c.is_ascii_digit()).next().expect("digits").parse().expect("a number")
    };
    (number("arg0 >= "), number("arg0 <= "))
}

/// The kernel names a mapping by what the link leads to.
fn real(path: &str) -> String {
    let path = std::fs::canonicalize(path).expect("the library is there");
    path.to_str().expect("a path").to_owned()
}

/// The libraries of C and of C++ that lose memory, each with the variable that names it.
fn leaking() -> Vec<(&'static str, PathBuf)> {
    let (c, objects) = (library("cc", "leaks.c"), library("c++", "leaks.cc"));
    let c = c.map(|path| ("LEAKS_LIBRARY", path));
    c.into_iter().chain(objects.map(|path| ("LEAKS_OBJECTS", path))).collect()
}

fn paths<'a>(libraries: &'a [(&'a str, PathBuf)]) -> Vec<(&'a str, &'a Path)> {
    libraries.iter().map(|(name, path)| (*name, path.as_path())).collect()
}

#[test]
fn what_c_code_lost_is_found_whoever_serves_malloc() {
    let libraries = leaking();
    for name in ["libtcmalloc_minimal.so.4", "libmimalloc.so.2"] {
        let Some(preload) = tools::library(name) else { continue };
        for python in require(&["3.9.18", "3.11.7"]) {
            check(python, &paths(&libraries), Some(&preload));
        }
    }
}

#[test]
fn what_c_code_lost_is_found_and_nothing_else() {
    let libraries = leaking();
    let wanted = ["2.7.18", "3.8.18", "debian-3.11", "3.12.1", "3.13.0", "debian-3.14", "3.13t"];
    for python in require(&wanted) {
        check(python, &paths(&libraries), None);
    }
}

#[test]
fn what_c_code_lost_is_found_on_musl() {
    for python in require(&["musl-3.13"]) {
        let library = library("musl-gcc", "leaks.c").map(|path| ("LEAKS_LIBRARY", path));
        check(python, &paths(library.as_slice()), None);
    }
}

#[test]
fn what_ctypes_lost_is_found_and_nothing_else() {
    for python in require(&["3.11.7"]) {
        check(python, &[], None);
    }
}
