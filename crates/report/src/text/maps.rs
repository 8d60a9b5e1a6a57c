//! Every mapping with its owners, and what each owner has in all.

use super::header;
use super::sums::rounded;
use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use memwhy_model::{Bytes, Case, MappingFacts, Untold};
use memwhy_reason::analyses::Shares;
use memwhy_reason::{Ask, wording};

/// Owners named in a mapping's row; the JSON has all of them.
const OWNERS: usize = 2;

/// Mappings in address order, or the `top` ones with most RSS.
#[must_use]
pub fn maps(case: &Case, top: Option<usize>, style: Style) -> String {
    let mut rows: Vec<&MappingFacts> = case.mappings.iter().collect();
    let all = rows.len();
    if let Some(top) = top {
        rows.sort_by_key(|map| std::cmp::Reverse(map.rss));
        rows.truncate(top);
    }
    // A core says of none of its pages whether they were in memory.
    let residency = case.about.tells(Untold::Residency);
    let mut columns = vec![
        ("range", Side::Left),
        ("perms", Side::Left),
        (if residency { "rss" } else { "in the core" }, Side::Right),
    ];
    if residency {
        columns.extend(["pss", "dirty", "swap", "huge"].map(|name| (name, Side::Right)));
    }
    columns.extend([("owners", Side::Left), ("name", Side::Left)]);
    let mut table = Table::new(&columns);
    for map in &rows {
        let mut row = vec![map.range.to_string(), map.permissions.clone(), cell(map.rss)];
        if residency {
            row.extend([map.pss, map.private_dirty, map.swap, map.anon_huge].map(cell));
        }
        let name = if map.name.is_empty() { "-".into() } else { map.name.clone() };
        row.extend([owners(map), name]);
        table.row(row);
    }
    let mut blocks = vec![header(case), Block::Gap, Block::Table(table)];
    if rows.len() < all {
        let left: Bytes = case.mappings.iter().map(|map| map.rss).sum();
        let shown: Bytes = rows.iter().map(|map| map.rss).sum();
        blocks.push(Block::Line(format!(
            "… and {} more with {} in all",
            wording::count((all - rows.len()) as u64, "mapping"),
            left.minus(shown)
        )));
    }
    blocks.push(Block::Gap);
    totals(case, &mut blocks);
    if let Some(withheld) = &case.about.withheld {
        blocks.push(Block::labelled("NOTES", format!("owners are unknown: {withheld}")));
    }
    render(&blocks, style)
}

/// An amount in a column: nothing is easier to overlook as a dash.
fn cell(bytes: Bytes) -> String {
    if bytes == Bytes(0) { "-".into() } else { bytes.to_string() }
}

fn owners(map: &MappingFacts) -> String {
    let mut owners: Vec<(&str, Bytes)> = map.owners.iter().map(|(o, b)| (o.id(), *b)).collect();
    if map.unexplained > Bytes(0) {
        owners.push(("unexplained", map.unexplained));
    }
    owners.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    if let [(only, _)] = owners.as_slice() {
        return (*only).to_owned();
    }
    let more = owners.len().saturating_sub(OWNERS);
    let mut named: Vec<String> =
        owners.iter().take(OWNERS).map(|(id, bytes)| format!("{id} {bytes}")).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}

fn totals(case: &Case, blocks: &mut Vec<Block>) {
    let rss = case.rss();
    let ask = Ask::new(case);
    let shares = ask.get::<Shares>();
    let mut parts: Vec<(&str, Bytes)> = shares
        .iter()
        .filter(|one| one.resident > Bytes(0))
        .map(|one| (one.owner.id(), one.resident))
        .collect();
    parts.push(("unexplained", case.accounting.unexplained));
    let amounts: Vec<Bytes> = parts.iter().map(|(_, bytes)| *bytes).collect();
    let sum = rounded(rss, &amounts);
    let mut table =
        Table::new(&[("MiB", Side::Right), ("share", Side::Right), ("owner", Side::Left)]);
    for ((id, bytes), printed) in parts.iter().zip(sum.parts) {
        table.row([printed, wording::percent(bytes.share_of(rss)), (*id).to_owned()]);
    }
    table.row([
        sum.total,
        String::new(),
        format!("= {}, the sum of all owners", case.about.measure()),
    ]);
    blocks.push(Block::Table(table));
}
