//! What the collector has not freed, and why: its state, cycles, `gc.garbage`, wrong counts.

use super::header;
use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use memwhy_model::{Case, GcFacts};
use memwhy_reason::analyses::origin::at;
use memwhy_reason::analyses::{Garbage, Kept, Origin, Unfreed, cycle_text};
use memwhy_reason::wording::{count, digits, short_type};
use memwhy_reason::{Ask, Finding, Hypothesis, hypotheses};

/// The state of the collector, then `top` rows of each kind of garbage.
#[must_use]
pub fn garbage(case: &Case, top: usize, style: Style) -> String {
    let mut blocks = vec![header(case)];
    let ask = Ask::new(case);
    if case.heap.is_none() {
        let why = case.about.withheld.as_deref().unwrap_or("no Python heap was found");
        blocks.push(Block::labelled("GARBAGE", format!("not read: {why}")));
        return render(&blocks, style);
    }
    blocks.extend(
        case.gc
            .as_ref()
            .map_or_else(|| vec![Block::labelled("GC", "its state was not found")], state),
    );
    let unfreed = ask.get::<Garbage>();
    cycles(&ask, &unfreed, top, &mut blocks);
    kept(&ask, top, &mut blocks);
    orphans(&ask, &unfreed, top, &mut blocks);
    why(&ask, &mut blocks);
    render(&blocks, style)
}

/// The lines about the collector itself.
fn state(gc: &GcFacts) -> Vec<Block> {
    let numbers =
        |list: &[i64]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut parts = vec![
        match gc.enabled {
            Some(true) => "on".to_owned(),
            Some(false) => "switched off".to_owned(),
            None => "whether it is on cannot be told".to_owned(),
        },
        format!("thresholds {}", numbers(&gc.thresholds)),
        format!("counts {}", numbers(&gc.counts)),
        format!("debug flags {:#x}", gc.debug.0),
    ];
    if gc.collecting {
        parts.push("a collection was going on".into());
    }
    let mut blocks = vec![Block::labelled("GC", parts.join(", "))];
    let mut lists = vec![format!("{} tracked", count(gc.tracked, "object"))];
    if !gc.generations.is_empty() {
        let sizes: Vec<String> = gc.generations.iter().map(|n| digits(*n)).collect();
        lists.push(format!("in generations, the youngest first: {}", sizes.join(", ")));
    }
    if let Some(frozen) = gc.frozen.filter(|frozen| *frozen > 0) {
        lists.push(format!("put aside by gc.freeze(): {}", digits(frozen)));
    }
    blocks.push(Block::labelled("", lists.join("; ")));
    blocks
}

/// Cycles that nothing leads to.
fn cycles(ask: &Ask<'_>, unfreed: &Unfreed, top: usize, blocks: &mut Vec<Block>) {
    blocks.push(Block::labelled(
        "CYCLES",
        format!(
            "{} in unreachable cycles and held by them, {}",
            count(unfreed.objects, "object"),
            unfreed.bytes
        ),
    ));
    let mut table = Table::new(&[
        ("bytes", Side::Right),
        ("objects", Side::Right),
        ("cycles", Side::Right),
        ("one of them, and what closes it", Side::Left),
    ]);
    for group in unfreed.cycles.iter().take(top) {
        let place = cycle_text::closing_place(ask, &group.example)
            .map_or_else(String::new, |place| format!("  {}", at(&place)));
        let blind = group.blind.and_then(|ty| ask.heap.as_ref()?.type_row(ty));
        let blind = blind.map_or_else(String::new, |ty| {
            format!("  (not looked through: {})", short_type(&ty.name))
        });
        table.row([
            group.bytes.to_string(),
            digits(group.objects),
            digits(group.count),
            format!("{}{place}{blind}", cycle_text::around(ask, &group.example)),
        ]);
    }
    if !table.is_empty() {
        blocks.extend([Block::Table(table), Block::Gap]);
    }
}

/// What is in `gc.garbage`.
fn kept(ask: &Ask<'_>, top: usize, blocks: &mut Vec<Block>) {
    let kept = ask.get::<Kept>();
    blocks.push(Block::labelled(
        "KEPT",
        format!(
            "gc.garbage has {}, {} with what only they hold",
            count(kept.objects, "object"),
            kept.bytes
        ),
    ));
    let mut table = Table::new(&[
        ("bytes", Side::Right),
        ("objects", Side::Right),
        ("class", Side::Left),
        ("blocked by", Side::Left),
    ]);
    for class in kept.classes.iter().take(top) {
        let place = class.file.as_ref().map_or_else(String::new, |file| match class.line {
            Some(line) => format!("{file}:{line}"),
            None => file.clone(),
        });
        let by = if class.blocks { format!("__del__ at {place}") } else { format!("– {place}") };
        table.row([class.bytes.to_string(), digits(class.count), class.name.clone(), by]);
    }
    if !table.is_empty() {
        blocks.extend([Block::Table(table), Block::Gap]);
    }
}

/// Objects that only a wrong count keeps.
fn orphans(ask: &Ask<'_>, unfreed: &Unfreed, top: usize, blocks: &mut Vec<Block>) {
    let Some(heap) = &ask.heap else { return };
    let seen = if heap.complete() { "" } else { "; not every place was read, so none is claimed" };
    blocks.push(Block::labelled(
        "ORPHANS",
        format!(
            "{} that only a reference count keeps alive, and what they hold, {}{seen}",
            count(unfreed.orphans, "object"),
            unfreed.orphan_bytes
        ),
    ));
    let origin = ask.get::<Origin>();
    let mut table = Table::new(&[
        ("bytes", Side::Right),
        ("objects", Side::Right),
        ("too many", Side::Right),
        ("type", Side::Left),
        ("library", Side::Left),
    ]);
    for leak in unfreed.leaks.iter().take(top) {
        let Some(ty) = leak.ty.and_then(|ty| heap.type_row(ty)) else { continue };
        let place = leak.example.and_then(|id| origin.of(ask, id));
        let place = place.map_or_else(String::new, |place| format!("  {}", at(&place)));
        table.row([
            leak.bytes.to_string(),
            digits(leak.count),
            digits(leak.excess),
            format!("{}{place}", ty.name),
            ty.library.clone().unwrap_or_else(|| "–".into()),
        ]);
    }
    if !table.is_empty() {
        blocks.extend([Block::Table(table), Block::Gap]);
    }
}

/// What follows, where something does: the findings of the causes that are judged from this.
fn why(ask: &Ask<'_>, blocks: &mut Vec<Block>) {
    let judged: [&dyn Hypothesis; 3] = [
        &hypotheses::uncollected_cycles::UncollectedCycles,
        &hypotheses::uncollectable::Uncollectable,
        &hypotheses::refcount_leak::RefcountLeak,
    ];
    for finding in judged.iter().map(|one| one.judge(ask)).filter(Finding::holds) {
        blocks.push(Block::labelled("WHY", finding.summary));
        for remedy in finding.remedies {
            blocks.push(Block::labelled("CURE", remedy.action));
        }
    }
}
