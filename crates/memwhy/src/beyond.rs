//! What did the kernel do with the memory of a process, whatever its allocators did?
//!
//! Huge pages and how much of them was never written, the stacks of threads, and what a forked
//! process no longer shares with its family.

use memwhy_model::{
    Addr, AddrRange, Bytes, Case, Flags, ForkFacts, HeapGraph, HugeFacts, HugeMapping, Owner,
    Relation, StackFacts,
};
use memwhy_native::pthread;
use memwhy_target::live::inherited::{self, Inherited};
use memwhy_target::live::pages;
use memwhy_target::live::relatives::Relatives;
use memwhy_target::{Mapping, Memory, MemoryExt, Process, Thread, View};
use std::collections::HashMap;
use std::fs;

const PAGE: u64 = 4096;
/// A huge page of x86-64.
const HUGE: u64 = 2 << 20;
/// Huge pages looked into: 4 GiB. Of more every so many stands for the rest.
const LOOKED_INTO: usize = 2048;
/// Mappings listed.
const WORST: usize = 5;
/// Unshared pages compared byte by byte.
const COMPARED: usize = 512;
/// Types listed.
const TYPES: usize = 5;

/// Adds what the kernel tells to a case made of `view`.
pub(crate) fn look(view: &View, case: &mut Case) {
    case.huge = huge(view);
    if let Some(process) = view.process()
        && process.forked() == Some(true)
    {
        case.fork = fork(process, view, case);
    }
}

/// The stacks of `threads`, where the mapping of each is; what of it is resident is settled later.
pub(crate) fn stacks(view: &View, threads: &[Thread], case: &mut Case) {
    let resident = |range: AddrRange| -> Bytes {
        let mapping = case.mappings.iter().find(|mapping| mapping.range.covers(range));
        let owners = mapping.map_or(&[][..], |mapping| &mapping.owners);
        owners.iter().filter(|(owner, _)| *owner == Owner::StackNative).map(|(_, n)| *n).sum()
    };
    let mut found: Vec<StackFacts> = Vec::new();
    for thread in threads {
        let Some(range) = stack(view, thread) else { continue };
        found.push(StackFacts {
            tid: thread.tid,
            reserved: Bytes(range.len()),
            resident: resident(range),
        });
    }
    found.extend(ended(view).map(|range| StackFacts {
        tid: 0,
        reserved: Bytes(range.len()),
        resident: resident(range),
    }));
    found.sort_by_key(|stack| (std::cmp::Reverse(stack.resident), stack.tid));
    case.thread_stacks = found;
}

/// The mapping that a thread's stack pointer is in, or the part of it that is the thread's where the C
/// library writes that down.
pub(crate) fn stack(view: &View, thread: &Thread) -> Option<AddrRange> {
    let registers = thread.registers.as_ref()?;
    let mapping = view.maps().find(registers.stack_pointer()?)?;
    let whole = mapping.anonymous().then(|| mapping.range())?;
    Some(pthread::stack(view, registers).map_or(whole, |own| own.overlap(whole)))
}

/// Stacks that glibc keeps for threads to come: a guard page before, and at the end the descriptor
/// of a thread without a number. Source: `nptl/allocatestack.c`, `struct pthread`.
pub(crate) fn ended(view: &View) -> impl Iterator<Item = AddrRange> + '_ {
    /// The descriptor and the thread-local storage before it lie in the last pages.
    const DESCRIPTOR_WITHIN: u64 = 16 << 10;
    const TID: u64 = 0x2d0;
    let is_stack = |mapping: &Mapping| {
        let range = mapping.range();
        let end = range.end.before(DESCRIPTOR_WITHIN.min(range.len()));
        let start = Addr(end.0.max(range.start.0)).align_up(64);
        let present = view.pages().present(&[AddrRange::new(start, range.end)]);
        present.into_iter().any(|part| {
            let words = view.words(part.start, part.len() / 8, 2048).unwrap_or_default();
            (0u64..).zip(&words).step_by(8).any(|(index, word)| {
                let at = part.start.at(index * 8);
                *word == at.0
                    && at.is_aligned(64)
                    && view.u64(at.at(16)) == Ok(at.0)
                    && view.u32(at.at(TID)) == Ok(0)
            })
        })
    };
    let pairs = view.maps().0.windows(2);
    pairs.filter_map(move |pair| {
        let [guard, mapping] = pair else { return None };
        let guarded = !guard.readable()
            && guard.anonymous()
            && guard.range().end == mapping.range().start
            && mapping.anonymous()
            && mapping.writable()
            && mapping.facts.name.is_empty();
        (guarded && is_stack(mapping)).then(|| mapping.range())
    })
}

fn huge(view: &View) -> Option<HugeFacts> {
    let told = view.pages().huge();
    let mut places: Vec<(usize, Addr)> = Vec::new();
    let mappings = &view.maps().0;
    for (number, mapping) in mappings.iter().enumerate() {
        if mapping.facts.anon_huge == Bytes(0) || !mapping.private() {
            continue;
        }
        let range = mapping.range();
        let within: Vec<AddrRange> = match told {
            Some(told) => told.iter().map(|huge| huge.overlap(range)).collect(),
            // Before Linux 6.7 the kernel says how many, not which: those that are there as a whole.
            None => view.pages().within(range).map(|run| run.range).collect(),
        };
        for part in within {
            let first = part.start.align_up(HUGE);
            let count = part.end.0.saturating_sub(first.0) / HUGE;
            places.extend((0..count).map(|index| (number, first.at(index * HUGE))));
        }
    }
    if places.is_empty() {
        return None;
    }
    let step = places.len().div_ceil(LOOKED_INTO);
    let mut zero: HashMap<usize, (u64, u64)> = HashMap::new();
    let mut pages = 0;
    for (number, at) in places.iter().step_by(step) {
        let sum = zero.entry(*number).or_default();
        sum.0 += HUGE;
        sum.1 += zeroes(view, *at);
        pages += 1;
    }
    let mut worst: Vec<HugeMapping> = zero
        .into_iter()
        .filter_map(|(number, (seen, zero))| {
            let facts = &mappings.get(number)?.facts;
            // What was looked into stands for all of the mapping's huge pages.
            let share = Bytes(zero).share_of(Bytes(seen));
            Some(HugeMapping {
                range: facts.range,
                huge: facts.anon_huge,
                zero: Bytes(facts.anon_huge.part(share).0 / PAGE * PAGE),
                advised: facts.huge_advised,
            })
        })
        .collect();
    worst.sort_by_key(|one| (std::cmp::Reverse(one.zero), one.range.start));
    let zero = worst.iter().map(|one| one.zero).sum();
    worst.truncate(WORST);
    let setting = |name: &str| {
        fs::read_to_string(format!("/sys/kernel/mm/transparent_hugepage/{name}"))
            .unwrap_or_default()
    };
    let environment = view.process().and_then(|process| fs::read(process.path("environ")).ok());
    let by_glibc = environment.is_some_and(|text| {
        text.split(|byte| *byte == 0).any(|variable| {
            let text = String::from_utf8_lossy(variable);
            text.starts_with("GLIBC_TUNABLES=")
                && text.contains("glibc.malloc.hugetlb=")
                && !text.contains("glibc.malloc.hugetlb=0")
        })
    });
    Some(HugeFacts {
        pages,
        all: step == 1,
        zero,
        worst,
        enabled: chosen(&setting("enabled")).to_owned(),
        max_ptes_none: setting("khugepaged/max_ptes_none").trim().parse().ok(),
        by_glibc,
    })
}

/// `madvise` of `always [madvise] never`.
fn chosen(text: &str) -> &str {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or("", |(word, _)| word)
}

/// Bytes of the huge page at `at` that are in small pages of nothing but zeroes.
///
/// What was left out of the copy is free memory of malloc's, which has another owner and another
/// cure.
fn zeroes(view: &View, at: Addr) -> u64 {
    let is_zero = |page: &[u8]| page.iter().all(|byte| *byte == 0);
    if let Ok(bytes) = view.bytes(at, HUGE, 2 << 20) {
        return bytes.chunks(4096).filter(|page| is_zero(page)).count() as u64 * PAGE;
    }
    let mut page = [0; 4096];
    let pages = (0..HUGE / PAGE).map(|index| at.at(index * PAGE));
    pages.filter(|at| view.read(*at, &mut page).is_ok() && is_zero(&page)).count() as u64 * PAGE
}

/// Compares a forked process with its parent, or with a sibling where that has nothing in common
/// with it any more.
fn fork(process: &Process, view: &View, case: &Case) -> Option<ForkFacts> {
    let relatives = Relatives::look();
    let siblings = relatives.siblings(process);
    let parent = relatives
        .parent(process.pid)
        .filter(|parent| *parent > 1)
        .and_then(|p| Process::open(p).ok());
    let same_program = |other: &Process| other.exe() == process.exe();
    let others = parent.map(|parent| (parent, Relation::Parent)).into_iter();
    let others = others.chain(siblings.iter().cloned().map(|one| (one, Relation::Sibling)));
    let (other, relation, found) =
        others.filter(|(other, _)| same_program(other)).find_map(|(other, relation)| {
            let found = inherited::compare(process, view.maps(), &other).ok()?;
            (found.bytes() > 0).then_some((other, relation, found))
        })?;
    let mut facts = ForkFacts {
        with: other.pid,
        relation,
        siblings: siblings.len() as u64 + 1,
        inherited: Bytes(found.bytes()),
        unshared: Bytes(found.unshared.iter().map(|range| range.len()).sum()),
        own: Bytes(found.own),
        ..ForkFacts::default()
    };
    if let Some(heap) = &case.heap {
        by_objects(heap, &found, &mut facts);
    }
    by_content(view, other, &found, &mut facts);
    Some(facts)
}

/// Whether pages with objects that the collector writes to are unshared more often than others,
/// and what lies on unshared ones.
fn by_objects(heap: &HeapGraph, found: &Inherited, facts: &mut ForkFacts) {
    // Of each page: whether it is unshared, and whether the collector tracks something on it.
    let number = |addr: Addr| addr.0 / PAGE;
    let mut of: HashMap<u64, (bool, Option<bool>)> = HashMap::new();
    for (ranges, unshared) in [(&found.shared, false), (&found.unshared, true)] {
        let pages = ranges.iter().flat_map(|range| number(range.start)..number(range.end));
        of.extend(pages.map(|page| (page, (unshared, None))));
    }
    let mut types: HashMap<u32, u64> = HashMap::new();
    for object in heap.ids() {
        let Some((unshared, tracked)) = of.get_mut(&number(heap.addr(object))) else { continue };
        let is = heap.flags(object).has(Flags::TRACKED);
        *tracked = Some(tracked.unwrap_or(false) || is);
        if *unshared {
            *types.entry(heap.type_of(object).0).or_default() += 1;
        }
    }
    for (unshared, tracked) in of.into_values() {
        let sums = match tracked {
            Some(true) => &mut facts.tracked,
            Some(false) => &mut facts.untracked,
            None => continue,
        };
        sums.0 += Bytes(PAGE);
        sums.1 += Bytes(if unshared { PAGE } else { 0 });
    }
    let mut types: Vec<(u32, u64)> = types.into_iter().collect();
    types.sort_unstable_by_key(|(ty, count)| (std::cmp::Reverse(*count), *ty));
    let name = |ty: u32| heap.type_row(memwhy_model::TypeId(ty)).map(|row| row.name.clone());
    facts.types =
        types.into_iter().take(TYPES).filter_map(|(ty, count)| Some((name(ty)?, count))).collect();
}

/// Whether what is on unshared pages is still what it was.
fn by_content(view: &View, other: Process, found: &Inherited, facts: &mut ForkFacts) {
    let Ok(maps) = other.maps() else { return };
    let Ok(present) = pages::present(&other, &maps) else { return };
    let other = View::live(other, maps, present);
    let pages: Vec<Addr> = found
        .unshared
        .iter()
        .flat_map(|range| (0..range.len() / PAGE).map(move |index| range.start.at(index * PAGE)))
        .collect();
    let step = pages.len().div_ceil(COMPARED).max(1);
    let (mut ours, mut theirs) = ([0; 4096], [0; 4096]);
    for page in pages.iter().step_by(step) {
        if view.read(*page, &mut ours).is_err() || other.read(*page, &mut theirs).is_err() {
            continue;
        }
        let words = ours.as_chunks::<8>().0.iter().zip(theirs.as_chunks::<8>().0);
        let differ = words.filter(|(a, b)| a != b).count();
        facts.compared += 1;
        facts.equal += u64::from(differ == 0);
        facts.touched += u64::from(differ > 0 && differ <= 512 / 8);
    }
}
