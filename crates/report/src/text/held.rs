//! Who keeps what the program has from malloc: by type, by library, nobody.

use super::header;
use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use memwhy_model::{Bytes, Case, ContentGroup, NativeMemory};
use memwhy_reason::wording::{self, content_name, holder_name, sizes_name};

/// `memwhy malloc --held-by`: `top` rows of each table.
#[must_use]
pub fn held(case: &Case, top: usize, style: Style) -> String {
    let mut blocks = vec![header(case)];
    match &case.native_memory {
        None => {
            let why = case.about.withheld.as_deref();
            let why = why.unwrap_or("the chunks of this malloc are not known");
            blocks.push(Block::labelled("HELD", format!("not searched: {why}")));
        }
        Some(native) => of(case, native, top, &mut blocks),
    }
    render(&blocks, style)
}

fn of(case: &Case, native: &NativeMemory, top: usize, blocks: &mut Vec<Block>) {
    let all = native.all;
    blocks.push(Block::labelled(
        "HELD",
        format!(
            "{} in {} of malloc in use, each with one holder",
            all.bytes,
            wording::count(all.chunks, "chunk")
        ),
    ));
    let (threads, registers) = native.threads;
    let unread = if native.unread == Bytes(0) {
        "nothing was left out".to_owned()
    } else {
        format!("{} could not be read and may have more", native.unread)
    };
    blocks.push(Block::labelled(
        "SEARCHED",
        format!(
            "{} for addresses: objects, variables of {} images, stacks of {} (registers of {}), \
             other memory; {unread}",
            native.searched,
            wording::digits(native.libraries),
            wording::count(threads, "thread"),
            wording::digits(registers),
        ),
    ));
    let lost = native.lost();
    if lost.chunks > 0 {
        blocks.push(Block::labelled(
            "NOBODY",
            format!(
                "{} in {}: nothing leads to them, they cannot be freed any more",
                wording::amount(lost.bytes, all.bytes),
                wording::count(lost.chunks, "chunk")
            ),
        ));
    }
    blocks.extend([Block::Gap, Block::Table(holders(native, top))]);
    rest(native.holders.len(), top, "holder", blocks);
    blocks.extend([
        Block::Gap,
        Block::Line("What is no object's own, by size and beginning:".into()),
        Block::Table(contents(native, top, native.contents.iter())),
    ]);
    rest(native.contents.len(), top, "group", blocks);
    let lost: Vec<&ContentGroup> = native.lost_groups().collect();
    if !lost.is_empty() {
        blocks.extend([
            Block::Gap,
            Block::Line("Of these nobody has:".into()),
            Block::Table(contents(native, top, lost.iter().copied())),
        ]);
        rest(lost.len(), top, "group", blocks);
        let target = case.about.target();
        blocks.push(Block::labelled("NEXT", format!("memwhy {target} names the probe for a size")));
    }
}

fn rest(all: usize, top: usize, noun: &str, blocks: &mut Vec<Block>) {
    if all > top {
        let more = wording::count((all - top) as u64, noun);
        blocks.push(Block::Line(format!("… and {more} more (--top N, --json)")));
    }
}

fn holders(native: &NativeMemory, top: usize) -> Table {
    let mut table = Table::new(&[
        ("bytes", Side::Right),
        ("share", Side::Right),
        ("chunks", Side::Right),
        ("own", Side::Right),
        ("direct", Side::Right),
        ("through others", Side::Right),
        ("held by", Side::Left),
    ]);
    for holding in native.holders.iter().take(top) {
        let all = holding.all();
        let amount = |bytes: Bytes| {
            if bytes == Bytes(0) { String::new() } else { bytes.to_string() }
        };
        table.row([
            all.bytes.to_string(),
            wording::percent(all.bytes.share_of(native.all.bytes)),
            wording::digits(all.chunks),
            amount(holding.own.bytes),
            amount(holding.direct.bytes),
            amount(holding.through.bytes),
            holder_name(holding),
        ]);
    }
    table
}

fn contents<'a>(
    native: &NativeMemory,
    top: usize,
    groups: impl Iterator<Item = &'a ContentGroup>,
) -> Table {
    let mut table = Table::new(&[
        ("bytes", Side::Right),
        ("chunks", Side::Right),
        ("chunk size", Side::Right),
        ("held by", Side::Left),
        ("they", Side::Left),
    ]);
    for group in groups.take(top) {
        table.row([
            group.all.bytes.to_string(),
            wording::digits(group.all.chunks),
            sizes_name(group),
            native.holder_of(group).map(holder_name).unwrap_or_default(),
            content_name(&group.content),
        ]);
    }
    table
}
