//! What has grown between two moments, and what became of a promised cure.

use super::{name, uptime};
use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use crate::style::Tone;
use memwhy_model::{Bytes, Case, Untold};
use memwhy_reason::analyses::growth::{HolderGrowth, Promise, Sameness, SizeGrowth, ThreadChange};
use memwhy_reason::analyses::{
    Change, Grown, Growth, KeptGrowth, NativeGrowth, NativeRow, native_growth,
};
use memwhy_reason::hypotheses::none::owner_name;
use memwhy_reason::probe::call_site;
use memwhy_reason::{Ask, Hold, wording};
use std::fmt::Write as _;

/// Names, sizes and threads listed: the JSON has all of them.
const FEW: usize = 10;

/// From this share of what a cure promised on it has worked.
const WORKED: f64 = 0.8;

/// What has grown from `before` to `after`: the `top` types, and names by what they reach or retain.
#[must_use]
pub fn diff(before: &Case, after: &Case, top: usize, held: Hold, style: Style) -> String {
    let ask = Ask::since(before, after);
    let answer = ask.get::<Growth>();
    let Some(grown) = &*answer else { return String::new() };
    let mut blocks = vec![head(before, after, grown)];
    if grown.sameness != Sameness::Same {
        blocks.push(Block::labelled("NOTE", sameness(before, after, grown.sameness)));
    }
    let measure = match [before, after].map(|case| case.about.tells(Untold::Residency)) {
        [true, true] => "RSS",
        [false, false] => "what the core holds",
        [told, _] => {
            let (of, not) = if told { (before, after) } else { (after, before) };
            let said = format!(
                "of {} it is RSS, of {} what the core holds: pages of zeroes and unchanged files \
                 are not compared",
                of.about.target(),
                not.about.target()
            );
            blocks.push(Block::labelled("NOTE", said));
            "memory"
        }
    };
    blocks.push(Block::toned("GROWTH", in_a_sentence(measure, grown), Tone::Verdict));
    let kept_growth = match held {
        Hold::Reaches => None,
        Hold::Retains => Some(ask.get::<KeptGrowth>()),
    };
    let names = kept_growth.as_ref().map_or(grown.holders.as_slice(), |kept| kept.as_slice());
    if let Some(why) = why(grown, names) {
        blocks.push(Block::labelled("WHY", why));
    }
    let native = ask.get::<NativeGrowth>();
    let worth_saying = |row: &&NativeRow| row.bytes.growth() >= native_growth::WORTH_SAYING;
    if let Some(row) = native.first().filter(worth_saying) {
        blocks.push(Block::labelled("", native_growth::said(row)));
    }
    if let Some(row) = native_growth::dominant(&ask) {
        let probe = call_site(after, row.sizes).command;
        blocks.push(Block::labelled("NEXT", format!("find the call that takes it: {probe}")));
    }
    for (number, promise) in grown.promises.iter().take(2).enumerate() {
        let label = if number == 0 { "CURE" } else { "" };
        blocks.push(Block::labelled(label, kept(promise, grown.rss)));
    }
    blocks.extend([Block::Gap, Block::Table(owners(measure, grown))]);
    types(grown, top, &mut blocks);
    holders(names, held, &mut blocks);
    native_rows(&native, &mut blocks);
    sizes("chunks of malloc", "and more", &grown.chunks, &mut blocks);
    sizes("blocks of pymalloc", "each", &grown.blocks, &mut blocks);
    threads("STARTED", &grown.started, &mut blocks);
    threads("ENDED", &grown.ended, &mut blocks);
    render(&blocks, style)
}

fn head(before: &Case, after: &Case, grown: &Grown) -> Block {
    let apart = if grown.seconds < 0.0 {
        format!("{} earlier: the first is the later one", uptime(-grown.seconds))
    } else {
        format!("{} later", uptime(grown.seconds))
    };
    Block::Header(vec![
        format!("memwhy diff {} {}", before.about.target(), after.about.target()),
        name(&after.about),
        apart,
    ])
}

fn sameness(before: &Case, after: &Case, sameness: Sameness) -> String {
    match sameness {
        Sameness::Same => String::new(),
        Sameness::Restarted => format!(
            "not the same process: {} was {}, {} is {}; the command line is the same",
            before.about.target(),
            before.about.pid,
            after.about.target(),
            after.about.pid
        ),
        Sameness::Other => {
            format!("another program: {} was of {}", before.about.target(), name(&before.about))
        }
    }
}

/// `RSS grew by 80.1 MiB, from 230 MiB to 310 MiB (65 MiB a minute): Python objects +79.1 MiB, …`.
fn in_a_sentence(measure: &str, grown: &Grown) -> String {
    let Change { before, after } = grown.rss;
    let mut text = match grown.rss.growth() {
        0 => format!("{measure} is the same, {}", Bytes(after)),
        growth => {
            let what = if growth > 0 { "grew" } else { "shrank" };
            let by = Bytes(growth.unsigned_abs());
            format!("{measure} {what} by {by}, from {} to {}", Bytes(before), Bytes(after))
        }
    };
    if grown.seconds >= 1.0 && grown.rss.growth() > 0 && grown.sameness == Sameness::Same {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "three digits are printed"
        )]
        let per_minute = (grown.rss.growth() as f64 * 60.0 / grown.seconds) as u64;
        let _ = write!(text, " ({} a minute)", Bytes(per_minute));
    }
    let mut owners: Vec<(&str, Change)> =
        grown.owners.iter().map(|(owner, change)| (owner_name(*owner), *change)).collect();
    owners.push(("unexplained", grown.unexplained));
    owners.retain(|(_, change)| change.growth() != 0);
    owners.sort_by_key(|(_, change)| std::cmp::Reverse(change.growth().unsigned_abs()));
    let most: Vec<String> =
        owners.iter().take(3).map(|(name, change)| format!("{name} {}", signed(*change))).collect();
    if !most.is_empty() {
        text += ": ";
        text += &most.join(", ");
    }
    text
}

/// The name from which most more is reachable, or which keeps most more, and the type that grew most.
fn why(grown: &Grown, names: &[HolderGrowth]) -> Option<String> {
    let ty = grown.types.first().filter(|ty| ty.footprint.growth() > 0)?;
    let types = format!(
        "most in {} {}, {}",
        signed_count(ty.count),
        wording::short_type(&ty.name),
        signed(ty.footprint)
    );
    let held = names.first().filter(|holder| holder.bytes.growth() > 0);
    let Some(HolderGrowth { holder, bytes, .. }) = held else { return Some(types) };
    let path = holder.path.as_deref()?;
    Some(format!(
        "{} more are {} {path}; {types}",
        Bytes(bytes.growth().unsigned_abs()),
        holder.hold.said()
    ))
}

/// What a cure promised at the earlier moment, beside what is there now.
fn kept(promise: &Promise, rss: Change) -> String {
    let Promise { remedy, predicted } = promise;
    let promised = Bytes(rss.before).minus(*predicted);
    let now = Bytes(rss.after);
    let Some(kept) = promise.kept(rss) else {
        return format!("{}: predicted no smaller RSS", remedy.action);
    };
    let told = if rss.growth() >= 0 {
        "nothing of it came back: not applied yet, or no help".into()
    } else {
        let back = Bytes(rss.growth().unsigned_abs());
        let share = wording::percent(kept);
        let judged = if kept >= WORKED { "as predicted" } else { "less than predicted" };
        format!("{back} came back ({share} of it), {judged}")
    };
    format!("{}: predicted {promised} back, RSS {predicted}; RSS is {now}: {told}", remedy.action)
}

fn owners(measure: &str, grown: &Grown) -> Table {
    let mut table = Table::new(&[
        ("growth", Side::Right),
        ("before", Side::Right),
        ("after", Side::Right),
        ("owner", Side::Left),
    ]);
    let mut row = |name: &str, change: Change| {
        let (before, after) = (Bytes(change.before).to_string(), Bytes(change.after).to_string());
        table.row([signed(change), before, after, name.to_owned()]);
    };
    for (owner, change) in &grown.owners {
        row(owner_name(*owner), *change);
    }
    row("unexplained", grown.unexplained);
    row(&format!("{measure}, the sum"), grown.rss);
    table
}

fn types(grown: &Grown, top: usize, blocks: &mut Vec<Block>) {
    if grown.objects == Change::default() {
        return;
    }
    blocks.extend([Block::Gap, Block::labelled("OBJECTS", objects(grown))]);
    let mut table = Table::new(&[
        ("growth", Side::Right),
        ("after", Side::Right),
        ("count", Side::Right),
        ("after", Side::Right),
        ("type", Side::Left),
    ]);
    // Most growth first; what shrank most at the end, in as many rows at most.
    let growing = grown.types.iter().take_while(|ty| ty.footprint.growth() >= 0).take(top);
    let shrinking = grown.types.iter().rev().take_while(|ty| ty.footprint.growth() < 0);
    let mut shrinking: Vec<_> = shrinking.take(top.div_ceil(2)).collect();
    shrinking.reverse();
    let mut shown = 0;
    for ty in growing.chain(shrinking) {
        let note = match ty.count {
            Change { before: 0, .. } => "  new",
            Change { after: 0, .. } => "  gone",
            Change { .. } => "",
        };
        table.row([
            signed(ty.footprint),
            Bytes(ty.footprint.after).to_string(),
            signed_count(ty.count),
            wording::digits(ty.count.after),
            format!("{}{note}", ty.name),
        ]);
        shown += 1;
    }
    if shown > 0 {
        blocks.push(Block::Table(table));
    }
    if shown < grown.types.len() {
        let more = wording::count((grown.types.len() - shown) as u64, "type");
        blocks.push(Block::Line(format!("… and {more} that changed (--top N, --json)")));
    }
}

/// `+49,822 to 85,220, +27.3 MiB of memory taken; 3 are of types that are new`.
fn objects(grown: &Grown) -> String {
    let mut text = format!(
        "{} to {}, {} of memory taken",
        signed_count(grown.objects),
        wording::digits(grown.objects.after),
        signed(grown.footprint),
    );
    let new: u64 = grown.new_types().map(|ty| ty.count.after).sum();
    let gone: u64 = grown.gone_types().map(|ty| ty.count.before).sum();
    if new > 0 {
        let _ = write!(text, "; {} of types that are new", wording::count(new, "object"));
    }
    if gone > 0 {
        let _ = write!(text, "; {} were of types that are gone", wording::digits(gone));
    }
    text
}

fn holders(holders: &[HolderGrowth], held: Hold, blocks: &mut Vec<Block>) {
    let growing: Vec<&HolderGrowth> =
        holders.iter().take_while(|holder| holder.bytes.growth() > 0).take(FEW).collect();
    if growing.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        ("growth", Side::Right),
        ("after", Side::Right),
        ("objects", Side::Right),
        ("type", Side::Left),
        (held.said(), Side::Left),
    ]);
    for HolderGrowth { holder, objects, bytes } in growing {
        let place = match (&holder.file, holder.line) {
            (Some(file), Some(line)) => format!("  {file}:{line}"),
            (Some(file), None) => format!("  {file}"),
            (None, _) => String::new(),
        };
        let new = if bytes.before == 0 { "  new" } else { "" };
        table.row([
            signed(*bytes),
            Bytes(bytes.after).to_string(),
            signed_count(*objects),
            holder.type_name.as_deref().map_or("?", wording::short_type).to_owned(),
            format!("{}{place}{new}", holder.path.as_deref().unwrap_or("?")),
        ]);
    }
    blocks.extend([Block::Gap, Block::Table(table)]);
}

fn sizes(what: &str, size: &str, rows: &[SizeGrowth], blocks: &mut Vec<Block>) {
    let mut growing: Vec<&SizeGrowth> = rows.iter().filter(|row| row.bytes.growth() > 0).collect();
    growing.sort_by_key(|row| std::cmp::Reverse(row.bytes.growth()));
    if growing.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        ("growth", Side::Right),
        ("count", Side::Right),
        ("after", Side::Right),
        (what, Side::Left),
    ]);
    for row in growing.into_iter().take(FEW / 2) {
        table.row([
            signed(row.bytes),
            signed_count(row.count),
            wording::digits(row.count.after),
            format!("{} {size}", Bytes(row.size)),
        ]);
    }
    blocks.extend([Block::Gap, Block::Table(table)]);
}

/// Memory of C by size, beginning and holder.
fn native_rows(rows: &[NativeRow], blocks: &mut Vec<Block>) {
    let growing: Vec<&NativeRow> =
        rows.iter().take_while(|row| row.bytes.growth() > 0).take(FEW).collect();
    if growing.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        ("growth", Side::Right),
        ("after", Side::Right),
        ("chunks", Side::Right),
        ("chunk size", Side::Right),
        ("memory of C held by", Side::Left),
        ("they", Side::Left),
    ]);
    for row in growing {
        table.row([
            signed(row.bytes),
            Bytes(row.bytes.after).to_string(),
            signed_count(row.chunks),
            wording::size_range(row.sizes),
            wording::holder_name(&row.holder),
            wording::content_name(&row.content),
        ]);
    }
    blocks.extend([Block::Gap, Block::Table(table)]);
}

fn threads(label: &str, threads: &[ThreadChange], blocks: &mut Vec<Block>) {
    if threads.is_empty() {
        return;
    }
    let some = threads.iter().take(FEW).map(|thread| format!("{} {}", thread.tid, thread.name));
    let mut text = format!(
        "{}: {}",
        wording::count(threads.len() as u64, "thread"),
        some.collect::<Vec<_>>().join(", ")
    );
    if threads.len() > FEW {
        text += ", …";
    }
    blocks.push(Block::labelled(label, text));
}

/// `+79.1 MiB`, `-3.0 KiB`, `0 B`.
fn signed(change: Change) -> String {
    let growth = change.growth();
    let amount = Bytes(growth.unsigned_abs());
    format!("{}{amount}", sign(growth))
}

/// `+1,204`, `-3`, `0`.
fn signed_count(change: Change) -> String {
    let growth = change.growth();
    format!("{}{}", sign(growth), wording::digits(growth.unsigned_abs()))
}

const fn sign(growth: i64) -> &'static str {
    match growth {
        1.. => "+",
        0 => "",
        _ => "-",
    }
}
