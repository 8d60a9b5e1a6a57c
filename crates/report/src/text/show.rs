//! One object up close.

use super::header;
use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use memwhy_model::{Case, Flags};
use memwhy_reason::analyses::reachability::Held;
use memwhy_reason::wording::{count, digits, short_type};
use memwhy_reason::{Closeup, Path, Related};

/// Columns of a label; longer ones are cut.
const LABEL: usize = 34;
/// Columns of a type; longer ones are cut.
const TYPE: usize = 28;

/// What `memwhy show` prints.
#[must_use]
pub fn show(case: &Case, closeup: &Closeup, style: Style) -> String {
    let this = &closeup.this;
    let mut blocks = vec![header(case)];
    let counted = match closeup.reference_count {
        Some(n) => count(u64::from(n), "reference") + " to it by its count",
        None if closeup.flags.has(Flags::IMMORTAL) => "immortal".to_owned(),
        None => "no reference count".to_owned(),
    };
    let mut facts = vec![
        format!("{} object {}", short_type(&this.type_name), this.addr),
        format!("{} ({} with its buffers)", this.size, this.footprint),
        counted,
    ];
    if closeup.flags.has(Flags::TRACKED) {
        facts.push("tracked by the collector".into());
    }
    if closeup.flags.has(Flags::STATIC) {
        facts.push("in the data of an image".into());
    }
    if closeup.flags.has(Flags::PARTLY_READ) {
        facts.push("not read to its end".into());
    }
    blocks.push(Block::labelled("OBJECT", facts.join(", ")));
    if let Some(preview) = &this.preview {
        blocks.push(Block::labelled("", preview.clone()));
    }
    blocks.push(Block::labelled("HELD BY", held(closeup)));
    let others = closeup.retained_objects.saturating_sub(1);
    let with = match others {
        0 => "nothing else would be freed with it".to_owned(),
        n => format!("{} more would be freed with it", count(n, "object")),
    };
    let above = match &closeup.dominator {
        Some(above) => {
            format!("; only {} object {} leads to it", short_type(&above.type_name), above.addr)
        }
        None => String::new(),
    };
    blocks.push(Block::labelled("RETAINS", format!("{}: {with}{above}", this.retained)));
    neighbours("refers to", &closeup.references, closeup.reference_total, style, &mut blocks);
    neighbours("referred to by", &closeup.referrers, closeup.referrer_total, style, &mut blocks);
    render(&blocks, style)
}

fn held(closeup: &Closeup) -> String {
    match (&closeup.path, closeup.held) {
        (Some(path), _) => place(path),
        (None, Held::Nothing) if closeup.flags.has(Flags::ORPHAN) => {
            "nothing that was found, only by its reference count".into()
        }
        (None, Held::Nothing) => "nothing: garbage that the collector has not freed yet".into(),
        (None, Held::Forever | Held::C | Held::Python) => "a root without a name".into(),
    }
}

/// A way with its file and line.
pub(super) fn place(path: &Path) -> String {
    match (&path.file, path.line) {
        (Some(file), Some(line)) => format!("{}  ({file}:{line})", path.text),
        (Some(file), None) => format!("{}  ({file})", path.text),
        (None, _) => path.text.clone(),
    }
}

fn neighbours(title: &str, shown: &[Related], total: u64, style: Style, blocks: &mut Vec<Block>) {
    blocks.push(Block::Gap);
    if shown.is_empty() {
        blocks.push(Block::Line(format!("{title} no other object")));
        return;
    }
    let mut table = Table::new(&[
        ("retained", Side::Right),
        ("size", Side::Right),
        ("as", Side::Left),
        ("type", Side::Left),
        ("object", Side::Left),
    ]);
    let widest = |of: &dyn Fn(&Related) -> usize, most: usize| {
        shown.iter().map(of).max().unwrap_or(0).min(most)
    };
    let label = |one: &Related| {
        let label = one.label.as_ref().map(ToString::to_string).unwrap_or_default();
        cut(label.trim(), LABEL)
    };
    let taken = 26
        + widest(&|one| label(one).chars().count(), LABEL)
        + widest(&|one| short_type(&one.type_name).chars().count(), TYPE);
    for one in shown {
        let preview = one.preview.clone().unwrap_or_default();
        let object = format!("{} {preview}", one.addr);
        table.row([
            one.retained.to_string(),
            one.size.to_string(),
            label(one),
            cut(short_type(&one.type_name), TYPE),
            cut(&object, style.width.saturating_sub(taken).max(24)),
        ]);
    }
    blocks.push(Block::Line(format!("{title} ({} in all)", count(total, "reference"))));
    blocks.push(Block::Table(table));
    if total > shown.len() as u64 {
        let more = digits(total - shown.len() as u64);
        blocks
            .push(Block::Line(format!("… and {more} more references, keys among them (--top N)")));
    }
}

/// The first `columns` characters.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept + "…"
}
