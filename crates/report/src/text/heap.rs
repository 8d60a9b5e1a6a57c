//! Python objects by type, and from which names they are reachable.

use super::header;
use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use memwhy_model::Case;
use memwhy_reason::analyses::holders::where_searches_end;
use memwhy_reason::analyses::{By, Histogram, Holders, Program};
use memwhy_reason::{Ask, wording};

/// Names listed: further ones reach little or the same.
const NAMES: usize = 10;

/// The `top` types, most first, and the names that reach most.
#[must_use]
pub fn heap(case: &Case, by: By, top: usize, style: Style) -> String {
    let mut blocks = vec![header(case)];
    let ask = Ask::new(case);
    let Some(heap) = &case.heap else {
        let why = case.about.withheld.as_deref().unwrap_or("no Python heap was found");
        blocks.push(Block::labelled("HEAP", format!("not read: {why}")));
        return render(&blocks, style);
    };
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
    if let Some(gc) = &case.gc {
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
    blocks.push(Block::Gap);
    let rows = types.by(by);
    let mut table = Table::new(&[
        ("count", Side::Right),
        ("bytes", Side::Right),
        ("footprint", Side::Right),
        (share_title(by), Side::Right),
        ("sum", Side::Right),
        ("type", Side::Left),
    ]);
    for row in rows.iter().take(top) {
        let name = if row.types > 1 {
            format!("{} ({} types of this name)", row.name, wording::digits(row.types))
        } else {
            row.name.clone()
        };
        table.row([
            wording::digits(row.count),
            row.bytes.to_string(),
            row.footprint.to_string(),
            wording::percent(row.share),
            wording::percent(row.cumulative),
            name,
        ]);
    }
    blocks.push(Block::Table(table));
    if rows.len() > top {
        let more = wording::count((rows.len() - top) as u64, "type");
        blocks.push(Block::Line(format!("… and {more} more (--top {})", rows.len())));
    }
    holders(&ask, &mut blocks);
    render(&blocks, style)
}

const fn share_title(by: By) -> &'static str {
    match by {
        By::Count => "% of count",
        By::Bytes => "% of bytes",
        By::Footprint => "% of footprint",
    }
}

fn holders(ask: &Ask<'_>, blocks: &mut Vec<Block>) {
    let held = ask.get::<Holders>();
    if held.holders.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        ("bytes", Side::Right),
        ("objects", Side::Right),
        ("type", Side::Left),
        ("reachable from", Side::Left),
    ]);
    for holder in held.telling().take(NAMES) {
        let place = match (&holder.file, holder.line) {
            (Some(file), Some(line)) => format!("  {file}:{line}"),
            (Some(file), None) => format!("  {file}"),
            (None, _) => String::new(),
        };
        let also = match holder.also_reached_from {
            0 => String::new(),
            n => format!("  (also reached from {})", wording::count(n, "other name")),
        };
        let ty = holder.type_name.as_deref().map_or("?", wording::short_type);
        table.row([
            holder.bytes.to_string(),
            wording::digits(holder.objects),
            ty.to_owned(),
            format!("{}{place}{also}", holder.path.as_deref().unwrap_or("?")),
        ]);
    }
    blocks.extend([Block::Gap, Block::Table(table)]);
    blocks.push(Block::Line(format!(
        "Reachable, not retained: what several names reach is counted with each. A search ends at \
         {}.",
        where_searches_end()
    )));
    if held.unreached_objects > 0 {
        blocks.push(Block::Line(format!(
            "{} in {} of data are reachable from none of these names.",
            held.unreached,
            wording::count(held.unreached_objects, "object")
        )));
    }
    if held.not_followed > 0 {
        blocks.push(Block::Line(format!(
            "{} of {} were not followed: the search was cut short.",
            wording::count(held.not_followed, "name"),
            wording::digits(held.names)
        )));
    }
}
