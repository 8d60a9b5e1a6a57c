//! Does memwhy see from outside what the target says of itself?
//!
//! One test per interpreter. The target (`workloads/zoo.py`) has one object of nearly every kind;
//! a forked copy of it lists them while the target stands still, and so do glibc's `mallinfo2` and
//! CPython's `sys._debugmallocstats`. Objects, sizes and references are compared one by one, the
//! counters of both allocators exactly. Each test leaves a line of figures in
//! `target/tmp/oracle/LABEL.txt`.

mod references;

use memwhy::Options;
use memwhy::model::{Addr, Case, Flags, HeapGraph, ObjectId, PymallocClass, PymallocFacts};
use memwhy_testkit::{Interpreter, Truth, Turn, Workload, require, script};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Types with fewer objects are judged together, not each on its own.
const MANY: u64 = 1000;

/// So many types, the most numerous, have to have the size of every object right.
const NUMEROUS: usize = 20;

fn part(of: usize, all: usize) -> f64 {
    if all == 0 {
        return 1.0;
    }
    // Counts of objects: far below 2^52.
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
        / f64::from(u32::try_from(all).unwrap_or(u32::MAX))
}

fn file(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle");
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    dir.join(name)
}

fn capture(workload: &Workload) -> Case {
    memwhy::capture(workload.pid(), &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn agree(label: &str) {
    for python in require(&[label]) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let mut workload = Workload::start(&python.path, &script("zoo.py"), &[]);
        let mut figures = String::new();
        let mut faults = Vec::new();

        let path = file(&format!("{}.truth", python.label));
        workload.command(&format!("hold truth {} edges=1", path.display()));
        let case = capture(&workload);
        assert_eq!(workload.command("resume")["resumed"], true);
        let truth = Truth::read(&path).unwrap_or_else(|what| panic!("{what}"));
        std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
        let Some(heap) = &case.heap else { panic!("{label}: no heap: {:?}", case.problems) };
        assert!(heap.complete(), "{label}: not every object was read: {:?}", case.problems);
        if !case.problems.is_empty() {
            faults.push(format!("problems: {:?}", case.problems));
        }

        let _ = write!(figures, "{:<15}", python.label);
        recall(&truth, heap, &mut figures, &mut faults);
        precision(&truth, heap, &mut workload, &mut figures, &mut faults);
        let free_threaded = python.label.ends_with('t');
        interned(heap, free_threaded, &mut workload, &mut faults);
        sizes(&truth, heap, &mut figures, &mut faults);
        figures += &references::judge(heap, &truth, &python.label, &mut faults);
        counters(&mut workload, &mut figures, &mut faults);
        if case.mimalloc.is_some() {
            mimalloc(&mut workload, &mut figures, &mut faults);
        }
        // 2.7 does not say.
        if python.version >= (3, 3, 0) {
            let (busy, text) = in_its_stats(&mut workload, python);
            if case.mimalloc.is_none() {
                pymalloc(&busy, &text, &mut figures, &mut faults);
            }
            free_lists(&busy, &text, is_stripped(python), &mut faults);
            inside(&case, &busy, workload.pid(), is_stripped(python), &mut faults);
        }
        threads(&case, workload.pid(), &mut figures, &mut faults);
        assert!(workload.command("ping")["beats"].is_u64());

        eprintln!("{figures}");
        std::fs::write(file(&format!("{}.txt", python.label)), format!("{figures}\n"))
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(faults.is_empty(), "{}:\n{}", python.label, faults.join("\n"));
    }
}

/// Every object that the target lists is found, with its type.
fn recall(truth: &Truth, heap: &HeapGraph, figures: &mut String, faults: &mut Vec<String>) {
    let mut by_type: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut found = 0;
    for at in 0..truth.len() {
        let sum = by_type.entry(truth.type_name(at)).or_default();
        sum.1 += 1;
        if typed_alike(truth, at, heap).is_some() {
            sum.0 += 1;
            found += 1;
        }
    }
    let missed: Vec<String> = by_type
        .iter()
        .filter(|(_, (found, all))| found < all)
        .map(|(name, (found, all))| format!("{name} {} of {all}", all - found))
        .collect();
    let _ = write!(figures, " | found {found}/{}", truth.len());
    if !missed.is_empty() {
        eprintln!("not found: {}", missed.join(", "));
    }
    if found * 1000 < truth.len() * 999 {
        faults.push(format!("{found} of {} objects found", truth.len()));
    }
    for (name, (found, all)) in by_type.into_iter().filter(|(_, (_, all))| *all >= MANY) {
        if found * 1000 < all * 999 {
            faults.push(format!("{found} of {all} objects of {name} found"));
        }
    }
}

/// The object `at` of the truth, if it was found where it is and as what it is.
fn typed_alike(truth: &Truth, at: usize, heap: &HeapGraph) -> Option<ObjectId> {
    let id = heap.find(truth.addresses[at])?;
    let kind = truth.types[truth.type_of[at] as usize].addr;
    (type_addr(heap, id) == kind).then_some(id)
}

fn type_addr(heap: &HeapGraph, id: ObjectId) -> Addr {
    heap.type_row(heap.type_of(id)).map_or(Addr(0), |row| row.addr)
}

/// Every object that was found and is not listed is held by one that is, by the interpreter's own
/// data (the names in the cache of methods), or by the table of interned strings: a list that
/// Python makes of itself is a lower bound.
fn precision(
    truth: &Truth,
    heap: &HeapGraph,
    workload: &mut Workload,
    figures: &mut String,
    faults: &mut Vec<String>,
) {
    let is_listed = |id: &ObjectId| truth.find(heap.addr(*id)).is_some();
    let mut justified = Justified { heap, known: vec![false; heap.len()] };
    let listed = heap.ids().filter(is_listed).count();
    justified.close(heap.ids().filter(is_listed));
    justified.close(heap.ids().filter(|id| heap.flags(*id).has(Flags::STATIC)));
    justified.close(in_data_of_interpreter(workload.pid(), heap).into_iter());
    let texts: Vec<ObjectId> =
        justified.left().filter(|id| type_name(heap, *id) == "builtins.str").collect();
    let interned = among_interned(workload, heap, &texts);
    justified.close(interned.into_iter());

    let mut left: BTreeMap<&str, Vec<Addr>> = BTreeMap::new();
    for id in justified.left() {
        left.entry(type_name(heap, id)).or_default().push(heap.addr(id));
    }
    let unjustified = justified.left().count();
    let _ = write!(
        figures,
        " | beyond the list {} held, {unjustified} not, precision {:.3} %",
        heap.len() - listed - unjustified,
        100.0 - 100.0 * part(unjustified, heap.len())
    );
    if unjustified > 0 {
        let counts: Vec<String> = left
            .iter()
            .map(|(name, addrs)| format!("{name} {} ({})", addrs.len(), addrs[0]))
            .collect();
        eprintln!("held by nothing that is listed: {}", counts.join(", "));
    }
    if unjustified * 1000 > heap.len() {
        faults.push(format!("{unjustified} of {} objects are held by nothing", heap.len()));
    }
}

/// The objects that a word in the interpreter's own variables leads to.
fn in_data_of_interpreter(pid: u32, heap: &HeapGraph) -> BTreeSet<ObjectId> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"));
    let maps = maps.unwrap_or_else(|error| panic!("{error}"));
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap_or_else(|error| panic!("{error}"));
    let mut found = BTreeSet::new();
    for line in maps.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [range, _, "00000000", _, _, path] = words[..] else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        if !name.starts_with("python") && !name.starts_with("libpython") {
            continue;
        }
        let start = range.split_once('-').and_then(|(at, _)| u64::from_str_radix(at, 16).ok());
        for (start, len) in writable_data(path, start.unwrap_or_default()) {
            let mut bytes = vec![0; usize::try_from(len & !7).unwrap_or(0)];
            memory.read_exact_at(&mut bytes, start).unwrap_or_else(|error| panic!("{error}"));
            let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
            found.extend(words.filter_map(|word| heap.find(Addr(word))));
        }
    }
    assert!(!found.is_empty(), "no interpreter in {maps}");
    found
}

/// Where the writable segments of the ELF file at `path` are, whose first byte is at `first`, and
/// how long they are: with what is zero at first, and nothing of what was mapped behind it.
fn writable_data(path: &str, first: u64) -> Vec<(u64, u64)> {
    const LOAD: u64 = 1;
    const WRITABLE: u64 = 2;
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let number = |at: u64, len: usize| {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let field = bytes.get(at..at.saturating_add(len)).unwrap_or_default();
        field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let headers = number(32, 8);
    let loaded: Vec<[u64; 3]> = (0..number(56, 2))
        .map(|index| headers + index * number(54, 2))
        .filter(|header| number(*header, 4) == LOAD)
        .map(|header| [number(header + 4, 4), number(header + 16, 8), number(header + 40, 8)])
        .collect();
    let lowest = loaded.iter().map(|[_, addr, _]| addr & !0xfff).min().unwrap_or_default();
    let writable = loaded.iter().filter(|[flags, ..]| flags & WRITABLE != 0);
    writable.map(|[_, addr, len]| (first - lowest + addr.next_multiple_of(8), *len)).collect()
}

fn type_name(heap: &HeapGraph, id: ObjectId) -> &str {
    heap.type_row(heap.type_of(id)).map_or("?", |row| row.name.as_str())
}

/// The objects that are known to be alive, and all that they refer to.
struct Justified<'a> {
    heap: &'a HeapGraph,
    known: Vec<bool>,
}

impl Justified<'_> {
    fn close(&mut self, from: impl Iterator<Item = ObjectId>) {
        let mut waiting: Vec<ObjectId> = from.collect();
        while let Some(id) = waiting.pop() {
            let known = &mut self.known[id.0 as usize];
            if !*known {
                *known = true;
                waiting.extend(self.heap.references(id));
            }
        }
    }

    fn left(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.heap.ids().filter(|id| !self.known[id.0 as usize])
    }
}

/// The strings that are interned are those that the target itself has in its table.
fn interned(
    heap: &HeapGraph,
    free_threaded: bool,
    workload: &mut Workload,
    faults: &mut Vec<String>,
) {
    const INTERNED_BY_ASKING: usize = 30;
    /// Between the two looks a command is read: a text may die, and another take its place.
    const A_FEW: usize = 3;
    let texts: Vec<ObjectId> =
        heap.ids().filter(|id| type_name(heap, *id) == "builtins.str").collect();
    let asked = ask_interned(workload, heap, &texts);
    let [theirs, single, gone] =
        ["interned", "single", "gone"].map(|name| of_answer(&asked, name, heap));
    let theirs: BTreeSet<ObjectId> = &theirs - &single;
    let ours: BTreeSet<ObjectId> = texts
        .into_iter()
        .filter(|id| {
            heap.flags(*id).has(Flags::INTERNED) && !single.contains(id) && !gone.contains(id)
        })
        .collect();
    eprintln!("interned: {} of {} stated", ours.len(), theirs.len());
    let differ: Vec<Addr> = ours.symmetric_difference(&theirs).map(|id| heap.addr(*id)).collect();
    // Without GIL names are interned when they are first asked for, as asking does.
    let off = if free_threaded && ours.is_subset(&theirs) { INTERNED_BY_ASKING } else { A_FEW };
    if theirs.len() < 1000 || differ.len() > off {
        faults.push(format!("{} interned, {} stated, {differ:?}", ours.len(), theirs.len()));
    }
}

/// Those of `texts` that the target itself has in its table of interned strings.
fn among_interned(
    workload: &mut Workload,
    heap: &HeapGraph,
    texts: &[ObjectId],
) -> BTreeSet<ObjectId> {
    of_answer(&ask_interned(workload, heap, texts), "interned", heap)
}

fn of_answer(answer: &Value, name: &str, heap: &HeapGraph) -> BTreeSet<ObjectId> {
    let found = answer[name].as_array().into_iter().flatten();
    found.filter_map(|addr| heap.find(Addr(addr.as_u64()?))).collect()
}

/// What the target itself says of `texts`: which are interned, which are the only ones of their
/// content.
fn ask_interned(workload: &mut Workload, heap: &HeapGraph, texts: &[ObjectId]) -> Value {
    let path = file(&format!("{}.addresses", workload.pid()));
    let lines: String = texts.iter().fold(String::new(), |mut lines, id| {
        let _ = writeln!(lines, "{:#x}", heap.addr(*id).0);
        lines
    });
    std::fs::write(&path, lines).unwrap_or_else(|error| panic!("{error}"));
    let answer = workload.command(&format!("interned {}", path.display()));
    std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
    answer
}

/// Sizes are those of `sys.getsizeof`.
fn sizes(truth: &Truth, heap: &HeapGraph, figures: &mut String, faults: &mut Vec<String>) {
    let mut by_type: BTreeMap<&str, Vec<(Addr, u64, u64)>> = BTreeMap::new();
    for at in 0..truth.len() {
        if let (Some(stated), Some(id)) = (truth.sizes[at], typed_alike(truth, at, heap)) {
            let row = (truth.addresses[at], stated, heap.size(id).0);
            by_type.entry(truth.type_name(at)).or_default().push(row);
        }
    }
    let all = || by_type.values().flatten();
    let (stated, ours): (u64, u64) = (all().map(|r| r.1).sum(), all().map(|r| r.2).sum());
    let exact = all().filter(|row| row.1 == row.2).count();
    let wrong: Vec<String> = by_type
        .iter()
        .filter_map(|(name, rows)| {
            let wrong: Vec<_> = rows.iter().filter(|row| row.1 != row.2).collect();
            let (addr, stated, ours) = wrong.first()?;
            let n = wrong.len();
            Some(format!("{name} {n}/{} (at {addr}: {stated}, not {ours})", rows.len()))
        })
        .collect();
    if !wrong.is_empty() {
        eprintln!("sizes differ: {}", wrong.join(", "));
    }
    let _ = write!(
        figures,
        " | bytes {ours}/{stated}, sizes exact {:.3} %",
        100.0 * part(exact, all().count())
    );
    if ours.abs_diff(stated) * 200 > stated {
        faults.push(format!("sizes add up to {ours} B instead of {stated} B"));
    }
    let mut numerous: Vec<_> = by_type.iter().collect();
    numerous.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
    for (name, rows) in numerous.into_iter().take(NUMEROUS) {
        let exact = rows.iter().filter(|row| row.1 == row.2).count();
        if exact * 100 < rows.len() * 99 {
            faults.push(format!("{exact} of {} sizes of {name} are right", rows.len()));
        }
    }
}

/// All nine counters of `mallinfo2` are exactly what the walk of malloc's heaps gives, and the
/// collector is in the state that `gc` says.
fn counters(workload: &mut Workload, figures: &mut String, faults: &mut Vec<String>) {
    let stated = workload.command("hold counters");
    let case = capture(workload);
    workload.command("resume");
    collector(&case, &stated["collector"], faults);
    cleared(&case, &stated["cleared"], faults);
    let glibc = case.malloc.as_ref().and_then(|malloc| malloc.glibc.as_ref());
    let Some(ours) = glibc.map(|glibc| glibc.mallinfo) else { panic!("no glibc") };
    let fields = [
        ("arena", ours.arena),
        ("ordblks", ours.ordblks),
        ("smblks", ours.smblks),
        ("hblks", ours.hblks),
        ("hblkhd", ours.hblkhd),
        ("fsmblks", ours.fsmblks),
        ("uordblks", ours.uordblks),
        ("fordblks", ours.fordblks),
        ("keepcost", ours.keepcost),
    ];
    let right = fields.iter().filter(|(name, ours)| stated[*name].as_u64() == Some(*ours)).count();
    let _ = write!(figures, " | mallinfo2 {right}/{}", fields.len());
    if right < fields.len() {
        faults.push(format!("mallinfo2: {fields:?} instead of {stated}"));
    }
}

/// What 2.7 and its like say they gave up, when they were told to give up their free lists. Asking
/// makes a few calls, with their frames and arguments.
fn cleared(case: &Case, stated: &Value, faults: &mut Vec<String>) {
    const OFF: u64 = 30;
    for (of, number) in stated.as_object().into_iter().flatten() {
        let Some(ours) = case.free_lists.iter().find(|list| list.of == *of) else { continue };
        if ours.free.abs_diff(number.as_u64().unwrap_or(u64::MAX)) > OFF {
            faults.push(format!("{ours:?} instead of {number} given up"));
        }
    }
}

/// What `gc` says of itself. Who says it makes a few objects for that.
fn collector(case: &Case, stated: &Value, faults: &mut Vec<String>) {
    /// Objects made by asking, and young ones that an asking collector moves on.
    const OFF: u64 = 200;
    let Some(gc) = &case.gc else { panic!("no collector: {:?}", case.problems) };
    let heap = case.heap.as_ref().unwrap_or_else(|| panic!("no heap"));
    let list = |name: &str| -> Vec<i64> {
        stated[name].as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
    };
    let mut wrong = Vec::new();
    // Stripped builds of 2.7 and 3.6 would not tell; Debian's 2.7 is one.
    if gc.enabled.is_some() && gc.enabled != stated["enabled"].as_bool() {
        wrong.push("enabled");
    }
    if gc.thresholds != list("thresholds") {
        wrong.push("thresholds");
    }
    let counts = list("counts");
    let near = |(ours, theirs): (&i64, &i64)| ours.abs_diff(*theirs) <= OFF;
    if gc.counts.len() != counts.len() || !gc.counts.iter().zip(&counts).all(near) {
        wrong.push("counts");
    }
    if i64::from(gc.debug.0) != stated["debug"].as_i64().unwrap_or_default() {
        wrong.push("debug");
    }
    if gc.frozen.is_some() && gc.frozen != stated["frozen"].as_u64() {
        wrong.push("frozen");
    }
    // Once it is there; up to 3.6 it is made when it is first needed.
    let garbage = gc.garbage.map(|id| heap.addr(id).0);
    if garbage.is_some() && garbage != stated["garbage"].as_u64() {
        wrong.push("garbage");
    }
    let generations = list("generations");
    let sizes = gc.generations.iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX));
    let sizes: Vec<i64> = sizes.collect();
    // Without GIL there are no lists, and 3.14's two halves of an old one are no generations.
    if !sizes.is_empty() && !generations.is_empty() && !sizes.iter().zip(&generations).all(near) {
        wrong.push("generations");
    }
    if !wrong.is_empty() {
        faults.push(format!("{} of {gc:?} instead of {stated}", wrong.join(", ")));
    }
}

/// A case of the target while `sys._debugmallocstats` stands in its first write, and all that it
/// writes.
fn in_its_stats(workload: &mut Workload, python: &Interpreter) -> (Case, String) {
    let path = file(&format!("{}.fifo", python.label));
    let _ = std::fs::remove_file(&path);
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.as_ref().is_ok_and(std::process::ExitStatus::success), "mkfifo: {made:?}");
    // Both ends are ours at first: so neither side's opening waits for the other.
    let both = OpenOptions::new().read(true).write(true).open(&path);
    let both = both.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut pipe = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let filled = workload.command(&format!("stats-into {}", path.display()));
    assert!(filled["filled"].as_u64().is_some_and(|n| n > 0), "{filled}");
    drop(both);
    wait_for_a_write(workload.pid());
    let case = capture(workload);
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
    let written: Value = workload.next_answer().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(written["written"], true, "{written}");
    (case, text)
}

/// The totals and the classes of pymalloc are exactly those of `sys._debugmallocstats`.
fn pymalloc(case: &Case, text: &str, figures: &mut String, faults: &mut Vec<String>) {
    let Some(ours) = &case.pymalloc else { panic!("no pymalloc: {:?}", case.problems) };
    let stated = Stated::parse(text);
    let seen = Stated::of(ours);
    let same = stated == seen;
    let _ = write!(
        figures,
        " | pymalloc {} arenas {} B {}",
        seen.arenas,
        seen.allocated,
        if same { "exact" } else { "NOT EXACT" }
    );
    if !same {
        faults.push(format!("pymalloc: {seen:#?}\ninstead of {stated:#?}"));
    }
}

/// As much is kept for objects to come as `sys._debugmallocstats` says. It does not tell of all
/// kinds; without GIL it tells of the thread that asks.
fn free_lists(case: &Case, text: &str, stripped: bool, faults: &mut Vec<String>) {
    let mut stated: BTreeMap<&str, u64> = BTreeMap::new();
    for line in text.lines() {
        // `7 free 1-sized PyTupleObjects * 32 bytes each = 224`
        let Some((front, _)) = line.split_once(" * ") else { continue };
        let words: Vec<&str> = front.split_ascii_whitespace().collect();
        let [number, "free", .., kind] = words[..] else { continue };
        let of = match kind {
            "PyCFunctionObjects" => "builtin method",
            "PyDictKeysObjects" => "keys of a dict",
            "PyDictObjects" => "dict",
            "PyFloatObjects" => "float",
            "PyFrameObjects" => "frame",
            "PyListObjects" => "list",
            "PyMethodObjects" => "method",
            "PyTupleObjects" => "tuple",
            other => panic!("{other} is kept, too"),
        };
        let number: u64 = number.parse().unwrap_or_else(|_| panic!("{line}"));
        *stated.entry(of).or_default() += number;
    }
    assert!(stated.len() >= 4, "{text}");
    if stripped {
        assert!(case.free_lists.is_empty(), "{:?}", case.free_lists);
        return;
    }
    for (of, number) in stated {
        let ours = case.free_lists.iter().find(|list| list.of == of);
        let free = ours.and_then(|list| list.held.first()).copied();
        if free != Some(number) {
            faults.push(format!("{ours:?} free of {of} instead of {number}"));
        }
        if ours.is_some_and(|list| list.free > 0 && list.bytes.0 < 16 * list.free) {
            faults.push(format!("{ours:?} take too little"));
        }
    }
}

/// Builds whose static variables have no names: what is in them is not found.
fn is_stripped(python: &Interpreter) -> bool {
    ["debian-2.7.18", "debian-3.9.2"].contains(&python.label.as_str())
}

/// Who is in the process, who holds the GIL (in a write of C code that keeps it), and what types
/// have been asked lately: nearly nothing right after the cache was emptied.
fn inside(case: &Case, busy: &Case, pid: u32, stripped: bool, faults: &mut Vec<String>) {
    let [main] = &busy.interpreters[..] else { panic!("{:?}", busy.interpreters) };
    let threads: Vec<u32> = busy.threads.iter().map(|thread| thread.tid).collect();
    if main.id != Some(0) || main.threads != threads {
        faults.push(format!("{main:?} instead of {threads:?}"));
    }
    let gil = busy.about.python.as_ref().is_some_and(|python| python.gil);
    if main.holds_gil != gil.then_some(pid) {
        faults.push(format!("{main:?}: {pid} holds the GIL: {gil}"));
    }
    let used = |case: &Case| case.interpreters.first()?.type_cache.map(|cache| cache.used);
    match (used(case), used(busy)) {
        (None, None) if stripped => {}
        (Some(before), Some(after)) if after < 100 && after < before => {}
        other => faults.push(format!("entries in the cache of types: {other:?}")),
    }
}

/// As many blocks of mimalloc are in use as the interpreter counts itself, and in every page those in
/// use and the free ones add up.
fn mimalloc(workload: &mut Workload, figures: &mut String, faults: &mut Vec<String>) {
    /// What the copy that counts allocates for that, or frees.
    const OFF: u64 = 64;
    let stated = workload.command("hold allocatedblocks");
    let case = capture(workload);
    workload.command("resume");
    let Some(ours) = &case.mimalloc else { panic!("no mimalloc: {:?}", case.problems) };
    let stated = stated["blocks"].as_u64().unwrap_or_default();
    let same = ours.blocks.abs_diff(stated) <= OFF && ours.torn_pages == 0;
    let _ = write!(
        figures,
        " | mimalloc {} segments {} blocks of {stated}, {} B {}",
        ours.segments,
        ours.blocks,
        ours.allocated.0,
        if same { "exact" } else { "NOT EXACT" }
    );
    if !same {
        faults.push(format!("mimalloc: {ours:#?}\ninstead of {stated} blocks"));
    }
}

/// Until the main thread stands in a write to its stderr.
fn wait_for_a_write(pid: u32) {
    let begun = Instant::now();
    loop {
        let at = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        // Number 1 is write on x86-64, and 0x2 the descriptor.
        if at.starts_with("1 0x2 ") {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it is in {at:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What pymalloc says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Stated {
    arenas: u64,
    allocated: u64,
    available: u64,
    unused_pools: u64,
    pool_size: u64,
    arena_size: u64,
    /// Pool headers, ends of pools, ends of arenas.
    lost: u64,
    classes: Vec<PymallocClass>,
}

impl Stated {
    fn of(facts: &PymallocFacts) -> Self {
        Self {
            arenas: facts.arenas,
            allocated: facts.allocated.0,
            available: facts.free_in_used_pools.0,
            unused_pools: facts.free_pools,
            pool_size: facts.pool_size.0,
            arena_size: facts.arena_size.0,
            lost: facts.overhead.0,
            classes: facts.classes.clone(),
        }
    }

    /// The text of `_PyObject_DebugMallocStats` in `Objects/obmalloc.c`.
    fn parse(text: &str) -> Self {
        let number = |word: &str| word.replace(',', "").parse::<u64>().ok();
        let value = |label: &str| {
            let line = text.lines().find(|line| line.contains(label));
            let value = line.and_then(|line| number(line.rsplit_once('=')?.1.trim()));
            value.unwrap_or_else(|| panic!("no {label:?} in {text}"))
        };
        // `20 arenas * 1048576 bytes/arena = …`, `13 unused pools * 16384 bytes = …`
        let product = |label: &str| {
            let line = text.lines().find(|line| line.contains(label)).unwrap_or_default();
            let words: Vec<u64> = line.split_ascii_whitespace().filter_map(number).collect();
            let [count, size, _] = words[..] else { panic!("no {label:?} in {text}") };
            (count, size)
        };
        let classes = text.lines().filter_map(|line| {
            let words: Vec<u64> =
                line.split_ascii_whitespace().map(number).collect::<Option<_>>()?;
            let [_, block, pools, used, free] = words[..] else { return None };
            (pools > 0).then_some(PymallocClass { block, pools, used, free })
        });
        let (unused_pools, pool_size) = product(" unused pools * ");
        let lost = ["pool headers", "quantization", "arena alignment"]
            .map(|what| value(&format!("# bytes lost to {what}")));
        Self {
            arenas: value("# arenas allocated current"),
            allocated: value("# bytes in allocated blocks"),
            available: value("# bytes in available blocks"),
            unused_pools,
            pool_size,
            arena_size: product(" bytes/arena").1,
            lost: lost.iter().sum(),
            classes: classes.collect(),
        }
    }
}

/// Every thread is listed, under the name that Python gave it.
fn threads(case: &Case, pid: u32, figures: &mut String, faults: &mut Vec<String>) {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let named = |name: &str| {
        let mut found = case.threads.iter().filter(|thread| thread.is_python);
        found.any(|thread| thread.name == name && !thread.frames.is_empty())
    };
    let _ = write!(figures, " | threads {}/{tasks}", case.threads.len());
    if case.threads.len() != tasks || !named("MainThread") || !named("heart") {
        faults.push(format!("{tasks} threads, seen: {:?}", case.threads));
    }
}

/// One test for each row of the README's support table.
macro_rules! each_is_what_it_says {
    ($($name:ident: $label:literal),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                agree($label);
            }
        )+

        #[test]
        fn no_build_is_left_out() {
            assert_eq!(memwhy_testkit::BUILDS, [$($label),+]);
        }
    };
}

each_is_what_it_says! {
    cpython_2_7: "2.7.18",
    cpython_3_6: "3.6.15",
    cpython_3_7: "3.7.16",
    cpython_3_8: "3.8.18",
    cpython_3_9: "3.9.18",
    cpython_3_10: "3.10.13",
    cpython_3_11: "3.11.7",
    cpython_3_12: "3.12.1",
    cpython_3_13: "3.13.0",
    free_threaded_3_13: "3.13t",
    free_threaded_3_14: "3.14t",
    debian_2_7: "debian-2.7",
    debian_3_9: "debian-3.9",
    debian_3_11: "debian-3.11",
    debian_3_13: "debian-3.13",
    later_release_of_3_13: "debian-3.13.18",
    debian_3_14: "debian-3.14",
    incremental_collector_of_3_14: "debian-3.14.4",
    debian_3_15: "debian-3.15",
    debug_build_of_2_7: "debian-2.7d",
    debug_build_of_3_9: "debian-3.9d",
    debug_build_of_3_11: "debian-3.11d",
    debug_build_of_3_13: "debian-3.13d",
    debug_build_of_3_14: "debian-3.14d",
    debug_build_of_3_15: "debian-3.15d",
}
