//! Python objects by type, and from which names they are reachable.

use super::header;
use super::show::cut;
use crate::blocks::{Block, Side, Table, render};
use crate::{HeapView, Style};
use memwhy_model::{Bytes, Case, HeapGraph};
use memwhy_reason::analyses::{By, Histogram, Interned, Keepers, Program, Reachability};
use memwhy_reason::{Ask, GroupBy, wording};
use std::collections::HashMap;

/// Names listed: further ones reach little or the same.
const NAMES: usize = 10;
/// Sub-interpreters listed: they are much alike.
const SUB_INTERPRETERS: usize = 5;

/// The `top` groups, most first; without a selection the names that reach most, too.
#[must_use]
pub fn heap(case: &Case, view: &HeapView<'_>, style: Style) -> String {
    let mut blocks = vec![header(case)];
    let ask = view.ask;
    let Some(heap) = &case.heap else {
        let why = case.about.withheld.as_deref().unwrap_or("no Python heap was found");
        blocks.push(Block::labelled("HEAP", format!("not read: {why}")));
        return render(&blocks, style);
    };
    let groups = &view.groups;
    if view.selection.is_everything() {
        overview(ask, heap, &mut blocks);
    } else {
        blocks.push(Block::labelled(
            "HEAP",
            format!(
                "{}, {} as sys.getsizeof counts, {} with their buffers: {}",
                wording::count(groups.objects, "object"),
                groups.bytes,
                groups.footprint,
                view.selection.said()
            ),
        ));
    }
    blocks.push(Block::Gap);
    rows(view, &mut blocks, style);
    if view.selection.is_everything() {
        owners(ask, style, &mut blocks);
    }
    render(&blocks, style)
}

/// The whole heap in a few lines.
fn overview(ask: &Ask<'_>, heap: &HeapGraph, blocks: &mut Vec<Block>) {
    let types = ask.get::<Histogram>();
    let text = ask.get::<Program>();
    blocks.push(Block::labelled(
        "HEAP",
        format!(
            "{}, {} as sys.getsizeof counts, {} with their buffers, {} references{}",
            wording::count(types.objects, "object"),
            types.bytes,
            types.footprint,
            wording::digits(heap.edge_count() as u64),
            if heap.complete() { "" } else { "; not every object could be read" }
        ),
    ));
    blocks.push(Block::labelled(
        "",
        format!(
            "of that {} is the program (modules, classes, functions, code), {} is data",
            text.footprint, text.data
        ),
    ));
    if let Some(gc) = &ask.gc {
        let numbers =
            |list: &[i64]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        blocks.push(Block::labelled(
            "GC",
            format!(
                "{}, thresholds {}, counts {}, {} tracked",
                match gc.enabled {
                    Some(true) => "on",
                    Some(false) => "switched off",
                    None => "in a state that cannot be told",
                },
                numbers(&gc.thresholds),
                numbers(&gc.counts),
                wording::count(gc.tracked, "object")
            ),
        ));
    }
    if let Some(line) = kept_by_python(ask) {
        blocks.push(Block::labelled("KEPT", line));
    }
    interpreters(ask, blocks);
}

/// What the interpreter keeps for itself: interned strings, its caches, places for objects to come.
fn kept_by_python(ask: &Ask<'_>) -> Option<String> {
    let mut parts = Vec::new();
    let interned = ask.get::<Interned>();
    if interned.strings > 0 {
        let (immortal, bytes) = interned.immortal;
        let of_them = if immortal == 0 {
            String::new()
        } else {
            format!(", {} immortal of {bytes}", wording::digits(immortal))
        };
        let strings = wording::digits(interned.strings);
        parts.push(format!("{strings} interned strings of {}{of_them}", interned.bytes));
    }
    let bounded: Bytes =
        ask.free_lists.iter().filter(|list| list.most.is_some()).map(|l| l.bytes).sum();
    if bounded > Bytes(0) {
        parts.push(format!("{bounded} in free lists, all of them bounded"));
    }
    let caches: Vec<_> = ask.interpreters.iter().filter_map(|one| one.type_cache).collect();
    if let Some(first) = caches.first() {
        let used = caches.iter().map(|cache| cache.used).sum();
        parts.push(format!(
            "type cache of {}, {} of {} entries used",
            caches.iter().map(|cache| cache.bytes).sum::<Bytes>(),
            wording::digits(used),
            wording::digits(first.entries * caches.len() as u64),
        ));
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// Who else lives in the process.
fn interpreters(ask: &Ask<'_>, blocks: &mut Vec<Block>) {
    let others = ask.interpreters.get(1..).unwrap_or_default();
    for (index, one) in others.iter().take(SUB_INTERPRETERS).enumerate() {
        let id = one.id.map_or_else(String::new, |id| id.to_string());
        let mut said = format!("{id} with {}", wording::count(one.threads.len() as u64, "thread"));
        if let Some(tid) = one.holds_gil {
            said = format!("{said}, {tid} holds its GIL");
        }
        if let Some(gc) = &one.gc {
            let on = if gc.enabled == Some(false) { "switched off" } else { "on" };
            said = format!(
                "{said}, its own GC {on}, {} tracked",
                wording::count(gc.tracked, "object")
            );
        }
        let more = others.len() - SUB_INTERPRETERS.min(others.len());
        if index + 1 == SUB_INTERPRETERS && more > 0 {
            said = format!("{said}; and {} more", wording::digits(more as u64));
        }
        let label = if index == 0 { "SUB" } else { "" };
        blocks.push(Block::labelled(label, format!("interpreter {said}")));
    }
}

/// The table of groups.
fn rows(view: &HeapView<'_>, blocks: &mut Vec<Block>, style: Style) {
    let (groups, by) = (&view.groups, view.by);
    let retained = view.selection.retained;
    let mut columns =
        vec![("count", Side::Right), ("bytes", Side::Right), ("footprint", Side::Right)];
    if retained {
        columns.push(("retained", Side::Right));
    }
    let key = match view.selection.by {
        GroupBy::Type => "type",
        GroupBy::Module => "module of the type",
        GroupBy::Size => "size of one",
        GroupBy::Generation => "generation",
        GroupBy::Referrer => "referred to by",
        GroupBy::Owner => "owner (alone leads to it)",
        GroupBy::Dominator => "kept by an object of type",
    };
    columns.extend([(share_title(by), Side::Right), ("sum", Side::Right), (key, Side::Left)]);
    let mut table = Table::new(&columns);
    let types = view.ask.get::<Histogram>();
    let same_name: HashMap<String, u64> =
        types.by(By::Count).into_iter().map(|row| (row.name, row.types)).collect();
    // What stands before the key: numbers of at most ten columns each.
    let room = style.width.saturating_sub(if retained { 66 } else { 54 }).max(30);
    for row in groups.rows.iter().take(view.top) {
        let same = same_name.get(&row.key).filter(|_| view.selection.by == GroupBy::Type);
        let name = match same {
            Some(n) if *n > 1 => {
                format!("{} ({} types of this name)", row.key, wording::digits(*n))
            }
            Some(_) | None => row.key.clone(),
        };
        let mut cells =
            vec![wording::digits(row.objects), row.bytes.to_string(), row.footprint.to_string()];
        cells.extend(row.retained.map(|retained| retained.to_string()));
        cells.extend([
            wording::percent(row.share),
            wording::percent(row.cumulative),
            cut(&name, room),
        ]);
        table.row(cells);
    }
    blocks.push(Block::Table(table));
    if groups.rows.len() > view.top {
        let more = wording::count((groups.rows.len() - view.top) as u64, "row");
        blocks.push(Block::Line(format!("… and {more} more (--top {})", groups.rows.len())));
    }
    if retained {
        blocks.push(Block::Line(
            "Retained: what would be freed with all of a row, at least; parts of one row may be \
             counted with another."
                .into(),
        ));
    }
}

const fn share_title(by: By) -> &'static str {
    match by {
        By::Count => "% of count",
        By::Bytes => "% of bytes",
        By::Footprint => "% of footprint",
    }
}

/// The names that alone keep most.
fn owners(ask: &Ask<'_>, style: Style, blocks: &mut Vec<Block>) {
    let mut table = Table::new(&[
        ("retained", Side::Right),
        ("objects", Side::Right),
        ("type", Side::Left),
        ("held by", Side::Left),
    ]);
    let keepers = ask.get::<Keepers>();
    for holder in keepers.iter().take(NAMES) {
        let ty = holder.type_name.as_deref().map_or("?", wording::short_type);
        let path = holder.path.as_deref().unwrap_or("?");
        table.row([
            holder.bytes.to_string(),
            wording::digits(holder.objects),
            cut(ty, 24),
            cut(path, style.width.saturating_sub(48).max(30)),
        ]);
    }
    if table.is_empty() {
        return;
    }
    blocks.extend([Block::Gap, Block::Table(table)]);
    blocks.push(Block::Line(
        "Retained: what would be freed if that object were; what others lead to as well is not in it."
            .into(),
    ));
    let reached = ask.get::<Reachability>();
    if reached.unreached_objects > 0 {
        blocks.push(Block::Line(format!(
            "Nothing leads to {} of {}: garbage, or alive only by a reference count.",
            wording::count(reached.unreached_objects, "object"),
            reached.unreached,
        )));
    }
}
