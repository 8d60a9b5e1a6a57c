//! The ways on which roots lead to objects.

use super::header;
use super::show::place;
use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use memwhy_model::Case;
use memwhy_reason::Ways;
use memwhy_reason::wording::{count, digits, short_type};

/// What `memwhy paths` prints.
#[must_use]
pub fn paths(case: &Case, ways: &Ways, style: Style) -> String {
    let mut blocks = vec![header(case)];
    let many = ways.objects != 1;
    let what = if many {
        format!(
            "{} of {}, {} with their buffers",
            count(ways.objects, "object"),
            ways.of,
            ways.footprint
        )
    } else {
        ways.of.clone()
    };
    blocks.push(Block::labelled("PATHS", format!("to {what}")));
    if ways.rows.is_empty() {
        let why = "no root leads there: garbage, or alive only by a reference count";
        blocks.push(Block::labelled("", why));
        return render(&blocks, style);
    }
    blocks.push(Block::Gap);
    if many {
        let mut table = Table::new(&[
            ("objects", Side::Right),
            ("footprint", Side::Right),
            ("retained", Side::Right),
            ("path", Side::Left),
        ]);
        for way in &ways.rows {
            table.row([
                digits(way.objects),
                way.footprint.to_string(),
                way.retained.to_string(),
                place(&way.path),
            ]);
        }
        blocks.push(Block::Table(table));
    }
    for way in ways.rows.iter().take(if many { 1 } else { ways.rows.len() }) {
        if many {
            blocks.push(Block::Gap);
            blocks.push(Block::Line("the first, type by type:".into()));
        } else {
            blocks.push(Block::Line(place(&way.path)));
        }
        let types: Vec<&str> = way.types.iter().map(|name| short_type(name)).collect();
        blocks.push(Block::Indented(2, types.join(" → ")));
    }
    if ways.more > 0 {
        blocks.push(Block::Line(format!("… and {} (--top N)", count(ways.more, "more path"))));
    }
    if ways.unreached > 0 && many {
        blocks.push(Block::Line(format!(
            "No root leads to {} of them: garbage, or alive only by a reference count.",
            digits(ways.unreached)
        )));
    }
    render(&blocks, style)
}
