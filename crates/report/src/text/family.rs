//! A process and its children in one table, each page counted once in the sums.

use super::named;
use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use crate::style::Tone;
use memwhy_model::Bytes;
use memwhy_reason::family::{Family, Member};
use memwhy_reason::hypotheses::none::owner_name;
use memwhy_reason::{finding, wording};
use std::collections::HashMap;

/// Owners named in the sum.
const OWNERS: usize = 6;
/// Characters of a command.
const COMMAND: usize = 36;

/// The table and what follows from it.
#[must_use]
pub fn family(family: &Family, style: Style) -> String {
    let mut table = Table::new(&[
        ("pid", Side::Left),
        ("rss", Side::Right),
        ("pss", Side::Right),
        ("private", Side::Right),
        ("swap", Side::Right),
        ("cause", Side::Left),
        ("of rss", Side::Right),
        ("command", Side::Left),
    ]);
    let mut depths: HashMap<u32, usize> = HashMap::new();
    for member in &family.members {
        let depth = depths.get(&member.parent).map_or(0, |depth| depth + 1);
        depths.insert(member.pid, depth);
        table.row(row(member, depth));
    }
    let pss = family.sum(|one| one.pss);
    table.row([
        "sum".into(),
        family.sum(|one| one.rss).to_string(),
        pss.to_string(),
        family.sum(|one| one.private).to_string(),
        cell(family.sum(|one| one.swap)),
    ]);
    let root = family.members.first();
    let mut blocks = vec![
        Block::Header(vec![
            format!("memwhy {} --children", root.map_or(0, |root| root.pid)),
            root.map_or_else(String::new, |root| named(&root.command, "")),
            wording::count(family.members.len() as u64, "process").replace("processs", "processes"),
        ]),
        Block::Gap,
        Block::Table(table),
        Block::Gap,
        Block::toned("VERDICT", verdict(family), Tone::Verdict),
        Block::labelled("  PSS", owners(family, pss)),
        Block::labelled(
            "",
            format!(
                "each page counted once; RSS adds up to {}, because {} of it is counted more than \
                 once",
                family.sum(|one| one.rss),
                family.sum(|one| one.rss).minus(pss)
            ),
        ),
    ];
    if let Some(worst) = worst(family) {
        blocks.push(Block::labelled("WORST", format!("{}: {}", worst.pid, worst.summary)));
        blocks.push(Block::labelled("NEXT", format!("memwhy {}", worst.pid)));
    }
    for (pid, why) in &family.unread {
        blocks.push(Block::labelled("NOTES", format!("{pid} was not read: {why}")));
    }
    render(&blocks, style)
}

fn row(member: &Member, depth: usize) -> [String; 8] {
    let cause = match (member.cause, &member.python) {
        (Some("none"), _) => "-".to_owned(),
        (Some(cause), _) => finding::title(cause),
        (None, Some(_)) => "undecided".into(),
        (None, None) => "no Python".into(),
    };
    let explains = if member.explains > Bytes(0) {
        wording::percent(member.explains.share_of(member.rss))
    } else {
        "-".into()
    };
    let command: String = named(&member.command, "").chars().take(COMMAND).collect();
    [
        format!("{:indent$}{}", "", member.pid, indent = depth.min(16) * 2),
        member.rss.to_string(),
        member.pss.to_string(),
        member.private.to_string(),
        cell(member.swap),
        cause,
        explains,
        command,
    ]
}

fn cell(bytes: Bytes) -> String {
    if bytes == Bytes(0) { "-".into() } else { bytes.to_string() }
}

fn verdict(family: &Family) -> String {
    let causes = family.causes();
    if causes.is_empty() {
        return "no cause found in any of them".into();
    }
    let said: Vec<String> = causes
        .iter()
        .map(|one| {
            format!(
                "{} in {} of {}, {} of their RSS together",
                finding::title(one.cause),
                one.members,
                family.members.len(),
                one.explains
            )
        })
        .collect();
    said.join(" · ")
}

fn owners(family: &Family, pss: Bytes) -> String {
    let owners = family.owners();
    let mut parts: Vec<String> = owners
        .iter()
        .take(OWNERS)
        .map(|(owner, bytes)| format!("{} {}", owner_name(*owner), wording::amount(*bytes, pss)))
        .collect();
    let rest: Bytes = owners.iter().skip(OWNERS).map(|(_, bytes)| *bytes).sum();
    if rest > Bytes(0) {
        parts.push(format!("other {rest}"));
    }
    parts.push(format!("unexplained {}", family.unexplained()));
    format!("{pss} = {}", parts.join(" · "))
}

/// The member of which its cause explains most.
fn worst(family: &Family) -> Option<&Member> {
    let explained = family.members.iter().filter(|one| one.explains > Bytes(0));
    explained.max_by_key(|one| (one.explains, std::cmp::Reverse(one.pid)))
}
