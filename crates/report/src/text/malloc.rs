//! What malloc, pymalloc and CPython's mimalloc keep, what pins it, and the proof that the walk is right.

use super::header;
use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use memwhy_model::{
    Bytes, Case, GlibcFacts, MallocFacts, MimallocFacts, Owner, PymallocClass, PymallocFacts,
    StandIn, Untold,
};
use memwhy_reason::analyses::Retention;
use memwhy_reason::hypotheses::library_allocator;
use memwhy_reason::{Ask, wording};

/// Rows of size classes and pins: those after them hold little.
const SIZES: usize = 8;

/// malloc's arenas, parameters, counters and sizes, then pymalloc's.
#[must_use]
pub fn malloc(case: &Case, style: Style) -> String {
    let mut blocks = vec![header(case)];
    match &case.malloc {
        None => {
            let why = case.about.withheld.as_deref().unwrap_or("no malloc was recognised");
            blocks.push(Block::labelled("MALLOC", format!("not read: {why}")));
        }
        Some(facts) => {
            blocks.push(Block::labelled("MALLOC", &*facts.name));
            match &facts.glibc {
                _ if case.stand_in.is_some() => {}
                Some(glibc) => of_glibc(case, facts, glibc, &mut blocks),
                None => blocks.push(Block::labelled(
                    "",
                    format!(
                        "its heap of {} cannot be walked yet",
                        case.resident(Owner::OtherAllocator)
                    ),
                )),
            }
        }
    }
    if let Some(facts) = &case.stand_in {
        of_stand_in(case, facts, &mut blocks);
    }
    of_libraries(case, &mut blocks);
    if let Some(facts) = &case.pymalloc {
        blocks.push(Block::Gap);
        of_pymalloc(case, facts, &mut blocks);
    }
    if let Some(facts) = &case.mimalloc {
        blocks.push(Block::Gap);
        of_mimalloc(case, facts, &mut blocks);
    }
    free_lists(case, &mut blocks);
    render(&blocks, style)
}

/// The heap of an allocator that stands in for glibc's.
fn of_stand_in(case: &Case, facts: &StandIn, blocks: &mut Vec<Block>) {
    blocks.push(Block::labelled("", format!("by {}", facts.image)));
    if !facts.walked && facts.reserved == Bytes(0) {
        let heap = case.resident(Owner::OtherAllocator);
        blocks.push(Block::labelled("", format!("its heap is not walked: {heap} at most")));
        return;
    }
    let proof = if !facts.walked {
        "sums of its extents: what caches of threads have counts as in use".to_owned()
    } else if facts.off == Bytes(0) {
        "walk == the allocator's own counts: 0 B off".to_owned()
    } else {
        format!("walk and the allocator's own counts: {} off", facts.off)
    };
    blocks.push(Block::labelled("", format!("laid out as {}; {proof}", facts.release)));
    let rows = [
        ("in use", facts.used),
        ("free, between blocks in use", facts.free_blocks),
        ("free, in caches of threads", facts.cached),
        ("free pages", facts.free_pages),
        ("given back to the kernel", facts.returned),
        ("its own", facts.overhead),
        ("reserved in all", facts.reserved),
    ];
    let mut table = Table::new(&[("amount", Side::Right), ("what", Side::Left)]);
    for (what, bytes) in rows {
        table.row([bytes.to_string(), what.to_owned()]);
    }
    blocks.extend([Block::Gap, Block::Table(table), Block::Gap]);
    let mut classes = facts.classes.clone();
    classes
        .sort_unstable_by_key(|class| std::cmp::Reverse((class.free * class.block, class.block)));
    let mut table = Table::new(&[
        ("block", Side::Right),
        ("used", Side::Right),
        ("free", Side::Right),
        ("free bytes", Side::Right),
    ]);
    for class in classes.iter().take(SIZES) {
        table.row([
            class.block.to_string(),
            wording::digits(class.used),
            wording::digits(class.free),
            Bytes(class.free * class.block).to_string(),
        ]);
    }
    blocks.push(Block::Table(table));
}

/// Allocators that libraries carry for themselves.
fn of_libraries(case: &Case, blocks: &mut Vec<Block>) {
    for (number, one) in case.carried.iter().enumerate() {
        blocks.push(Block::labelled(
            if number == 0 { "CARRIED" } else { "" },
            format!(
                "{}: {} of {} reserved is {}, {} in use, {} free",
                library_allocator::name(one),
                one.resident,
                one.reserved,
                there(case),
                one.in_use(),
                one.kept_resident
            ),
        ));
    }
}

/// What CPython keeps for objects to come.
fn free_lists(case: &Case, blocks: &mut Vec<Block>) {
    let kept = || case.free_lists.iter().filter(|list| list.free > 0);
    let mut label = "KEPT";
    let mut say = |said: String| {
        if label == "KEPT" {
            blocks.push(Block::Gap);
        }
        blocks.push(Block::labelled(label, said));
        label = "";
    };
    for list in kept().filter(|list| list.most.is_none()) {
        say(format!(
            "{} places for {} to come, without limit: {}, of which gc.collect() gives {} back to \
             malloc",
            wording::digits(list.free),
            list.of,
            list.bytes,
            list.collectable,
        ));
    }
    let mut bounded: Vec<_> = kept().filter_map(|list| Some((list, list.most?))).collect();
    bounded.sort_by_key(|(list, _)| std::cmp::Reverse((list.bytes, list.free)));
    if bounded.is_empty() {
        return;
    }
    let bytes: Bytes = bounded.iter().map(|(list, _)| list.bytes).sum();
    let each: Vec<String> = bounded
        .iter()
        .map(|(list, most)| {
            let (free, most) = (wording::digits(list.free), wording::digits(*most));
            format!("{} {free} (at most {most})", list.of)
        })
        .collect();
    say(format!("{bytes} in free lists of CPython's, for objects to come: {}", each.join(" · ")));
}

/// `walk == malloc's own counters: 0 B off`: the walk compared with what malloc counts itself.
fn proof(glibc: &GlibcFacts) -> String {
    let arenas = wording::count(glibc.arenas.len() as u64, "arena");
    let stated: Bytes = glibc.arenas.iter().map(|arena| arena.system).sum();
    let off: u64 = glibc.arenas.iter().map(|arena| arena.system.0.abs_diff(arena.walked.0)).sum();
    let incomplete = glibc.arenas.iter().filter(|arena| !arena.complete).count() as u64;
    let (number, bytes) = glibc.mmapped;
    let (number_stated, bytes_stated) = glibc.mmapped_stated;
    let mapped = wording::count(number, "mapped chunk");
    let mapped_off = bytes.0.abs_diff(bytes_stated.0);
    let exact = off == 0 && incomplete == 0 && mapped_off == 0 && number == number_stated;
    let sign = if exact { "==" } else { "!=" };
    let mut said = format!(
        "walk {sign} malloc's own counters: {} off in {arenas} of {stated}, {} off in {mapped} of \
         {bytes_stated}",
        Bytes(off),
        Bytes(mapped_off)
    );
    if number != number_stated {
        said = format!("{said}; malloc counts {number_stated} mapped");
    }
    if incomplete > 0 {
        let incomplete = wording::count(incomplete, "arena");
        said = format!("{said}; {incomplete} not walked to the end");
    }
    said
}

fn of_glibc(case: &Case, facts: &MallocFacts, glibc: &GlibcFacts, blocks: &mut Vec<Block>) {
    if facts.walked {
        blocks.push(Block::labelled("PROOF", proof(glibc)));
    } else {
        blocks.push(Block::labelled("PROOF", "none: its heaps could not be walked"));
    }
    if !glibc.found_by.is_empty() {
        blocks.push(Block::labelled("", format!("main arena found by {}", glibc.found_by)));
    }
    let free = case.resident(Owner::MallocFree);
    let of = if case.about.tells(Untold::Residency) { "of RSS" } else { "in the core" };
    let other = free.minus(glibc.trim_returns).minus(glibc.pins.free);
    blocks.push(Block::labelled(
        "FREE",
        format!(
            "{} {of}: malloc_trim(0) would return {}, {} pinned on pages mostly free, {other} \
             elsewhere (ends of thread arenas, thread caches {}, small gaps)",
            wording::amount(free, case.rss()),
            glibc.trim_returns,
            glibc.pins.free,
            glibc.tcache,
        ),
    ));
    if let Some(kept) = &*Ask::new(case).get::<Retention>()
        && memwhy_reason::noteworthy(free, case.rss())
    {
        blocks.push(Block::labelled("", format!("kind of retention: {}", kept.class.name())));
    }
    let limit = if glibc.arena_max == 0 { "none".into() } else { glibc.arena_max.to_string() };
    let dynamic = if glibc.threshold_is_dynamic { "grows with freed buffers" } else { "fixed" };
    blocks.push(Block::labelled(
        "LIMITS",
        format!(
            "mmap threshold {} ({dynamic}) · trim threshold {} · limit of arenas {limit}",
            glibc.mmap_threshold, glibc.trim_threshold
        ),
    ));
    let info = glibc.mallinfo;
    blocks.push(Block::labelled(
        "MALLINFO",
        format!(
            "arena {} · ordblks {} · smblks {} · hblks {} · hblkhd {} · fsmblks {} · uordblks {} · \
             fordblks {} · keepcost {}",
            info.arena,
            info.ordblks,
            info.smblks,
            info.hblks,
            info.hblkhd,
            info.fsmblks,
            info.uordblks,
            info.fordblks,
            info.keepcost
        ),
    ));
    pins(glibc, blocks);
    arenas(case, glibc, blocks);
    sizes(glibc, blocks);
}

fn pins(glibc: &GlibcFacts, blocks: &mut Vec<Block>) {
    let pins = &glibc.pins;
    if pins.pages == 0 {
        return;
    }
    let sizes: Vec<String> = pins
        .lone_by_size
        .iter()
        .take(SIZES)
        .map(|(size, pages)| format!("{size} B on {}", wording::digits(*pages)))
        .collect();
    let types: Vec<String> = pins
        .lone_by_type
        .iter()
        .take(SIZES)
        .map(|(name, pages)| {
            format!("{} on {}", wording::short_type(name), wording::digits(*pages))
        })
        .collect();
    let pages = wording::count(pins.pages, "page");
    blocks.push(Block::labelled(
        "PINS",
        format!("{} free on {pages} less than half used", pins.free),
    ));
    for (what, list) in [("chunk alone on its page", sizes), ("Python type of it", types)] {
        if !list.is_empty() {
            blocks.push(Block::labelled("", format!("{what}: {} pages", list.join(", "))));
        }
    }
}

/// What a figure of bytes is that were found: resident, or of a core those that it holds.
fn there(case: &Case) -> &'static str {
    if case.about.tells(Untold::Residency) { "resident" } else { "in the core" }
}

fn arenas(case: &Case, glibc: &GlibcFacts, blocks: &mut Vec<Block>) {
    let mut table = Table::new(&[
        ("arena", Side::Left),
        ("threads", Side::Right),
        ("system", Side::Right),
        ("in use", Side::Right),
        ("free", Side::Right),
        ("top", Side::Right),
        (there(case), Side::Right),
        ("trim returns", Side::Right),
        ("last chunk in use", Side::Left),
    ]);
    for arena in &glibc.arenas {
        let name = if arena.main { "main".into() } else { arena.addr.to_string() };
        let last =
            arena.last_in_use.map_or_else(String::new, |(addr, size)| format!("{addr} ({size})"));
        let broken = if arena.complete { "" } else { " not walked to the end" };
        table.row([
            name,
            arena.attached_threads.map_or_else(|| "?".into(), |threads| threads.to_string()),
            arena.system.to_string(),
            arena.in_use.to_string(),
            arena.free.to_string(),
            arena.top.to_string(),
            arena.resident.to_string(),
            arena.trim_returns.to_string(),
            format!("{last}{broken}"),
        ]);
    }
    if !table.is_empty() {
        blocks.extend([Block::Gap, Block::Table(table)]);
    }
}

fn sizes(glibc: &GlibcFacts, blocks: &mut Vec<Block>) {
    let mut table =
        Table::new(&[("chunk size", Side::Right), ("in use", Side::Right), ("sum", Side::Right)]);
    for (size, count) in glibc.in_use_by_size.iter().take(SIZES) {
        table.row([
            format!("{size} B"),
            wording::digits(*count),
            Bytes(size.saturating_mul(*count)).to_string(),
        ]);
    }
    if !table.is_empty() {
        blocks.extend([Block::Gap, Block::Table(table)]);
    }
}

fn of_pymalloc(case: &Case, facts: &PymallocFacts, blocks: &mut Vec<Block>) {
    blocks.push(Block::labelled(
        "PYMALLOC",
        format!(
            "{} of {} each, {} in use, {} free",
            wording::count(facts.arenas, "arena"),
            facts.arena_size,
            wording::count(facts.used_pools, "pool"),
            wording::digits(facts.free_pools),
        ),
    ));
    blocks.push(Block::labelled(
        "BLOCKS",
        format!(
            "in use {} · free in used pools {} · in free pools {} · overhead {}; free and {} {}",
            facts.allocated,
            facts.free_in_used_pools,
            facts.free_in_free_pools,
            facts.overhead,
            there(case),
            wording::amount(case.resident(Owner::PymallocFree), case.rss()),
        ),
    ));
    let (sparse, live) = facts.sparse_arenas;
    if sparse > 0 {
        let sparse = wording::count(sparse, "arena");
        blocks.push(Block::labelled(
            "SPARSE",
            format!("{sparse} less than a tenth in use: {live} of blocks keep them"),
        ));
    }
    pinned("pools", &facts.pinned_by_type, blocks);
    if facts.torn_pools > 0 {
        let torn = wording::count(facts.torn_pools, "pool");
        blocks.push(Block::labelled("NOTES", format!("{torn} did not add up")));
    }
    classes("pools", &facts.classes, blocks);
}

fn of_mimalloc(case: &Case, facts: &MimallocFacts, blocks: &mut Vec<Block>) {
    let of = |all: u64, what: &str, gone: u64| {
        let gone =
            if gone > 0 { format!(" ({gone} of threads that are gone)") } else { String::new() };
        format!("{}{gone}", wording::count(all, what))
    };
    blocks.push(Block::labelled(
        "MIMALLOC",
        format!(
            "{}, {}, {}; laid out as {}",
            of(facts.segments, "segment", facts.abandoned_segments),
            wording::count(facts.heaps, "heap"),
            of(facts.pages, "page", facts.abandoned_pages),
            facts.release,
        ),
    ));
    blocks.push(Block::labelled(
        "BLOCKS",
        format!(
            "{} in use of {} · free in pages {} · in no page {} · overhead {}; free and {} {}",
            wording::digits(facts.blocks),
            facts.allocated,
            facts.free_in_pages,
            facts.free_in_segments,
            facts.overhead,
            there(case),
            wording::amount(case.resident(Owner::MimallocFree), case.rss()),
        ),
    ));
    if facts.delayed > 0 {
        let delayed = wording::count(facts.delayed, "block");
        blocks.push(Block::labelled(
            "DELAYED",
            format!("{delayed} freed by other threads, not taken back yet by their own"),
        ));
    }
    let (sparse, live) = facts.sparse_pages;
    if sparse > 0 {
        let sparse = wording::count(sparse, "page");
        blocks.push(Block::labelled(
            "SPARSE",
            format!("{sparse} less than an eighth in use: {live} of blocks keep them"),
        ));
    }
    pinned("pages", &facts.pinned_by_type, blocks);
    if facts.torn_pages > 0 {
        let torn = wording::count(facts.torn_pages, "page");
        blocks.push(Block::labelled("NOTES", format!("{torn} did not add up")));
    }
    classes("pages", &facts.classes, blocks);
}

fn pinned(what: &str, by_type: &[(String, u64)], blocks: &mut Vec<Block>) {
    let named = |(name, number): &(String, u64)| {
        format!("{} {}", wording::short_type(name), wording::digits(*number))
    };
    let types: Vec<String> = by_type.iter().take(SIZES).map(named).collect();
    if !types.is_empty() {
        blocks.push(Block::labelled("PINS", format!("{what} kept by type: {}", types.join(", "))));
    }
}

fn classes(what: &str, classes: &[PymallocClass], blocks: &mut Vec<Block>) {
    let mut table = Table::new(&[
        ("block", Side::Right),
        (what, Side::Right),
        ("blocks in use", Side::Right),
        ("free", Side::Right),
        ("in use", Side::Right),
    ]);
    for class in classes {
        let all = Bytes(class.used.saturating_add(class.free));
        table.row([
            format!("{} B", class.block),
            wording::digits(class.pools),
            wording::digits(class.used),
            wording::digits(class.free),
            wording::percent(Bytes(class.used).share_of(all)),
        ]);
    }
    if !table.is_empty() {
        blocks.extend([Block::Gap, Block::Table(table)]);
    }
}
