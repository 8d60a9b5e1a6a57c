//! The verdict screen: one answer, its reasons, what was ruled out, what to do.

use super::header;
use super::sums::rounded;
use crate::Style;
use crate::blocks::{Block, render};
use crate::style::Tone;
use memwhy_model::{Bytes, Case, Untold};
use memwhy_reason::analyses::holders::pointed_at;
use memwhy_reason::analyses::{GroupCharges, SmapsTotals, SmapsView};
use memwhy_reason::hypotheses::none::owner_name;
use memwhy_reason::verdict::said;
use memwhy_reason::{Analysis, Ask, Finding, Holder, Verdict, wording};

/// Lines of evidence: with the rest of the screen no more fit on one.
const REASONS: usize = 4;

/// Lines of evidence where the rest of the screen is long.
const FEW_REASONS: usize = 3;

/// Holders that are not yet named by the evidence.
const HOLDERS: usize = 2;

/// Remedies shown; the JSON has all of them.
const CURES: usize = 2;

/// From this share of RSS on an owner has a place of its own on the RSS line.
const OWN_PLACE_SHARE: f64 = 0.01;

/// The same as an amount.
const OWN_PLACE: Bytes = Bytes::mib(1);

/// From this share of RSS on it is told that something many processes have none of is no cause.
const TOLD_SHARE: f64 = 0.05;

/// From this on an owner's share is printed with it.
const SHARE_SHOWN: f64 = 0.10;

/// Lines of the screen, at the width that it is made for.
const LINES: usize = 25;

/// What is left out where everything does not fit, least important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Brevity {
    Full,
    NoNoteOnSecondCure,
    FewReasons,
    OneCure,
    TwoReasons,
}

/// The verdict screen, at most 25 lines at 100 columns.
#[must_use]
pub fn explain(case: &Case, verdict: &Verdict, style: Style) -> String {
    let brevities = [
        Brevity::Full,
        Brevity::NoNoteOnSecondCure,
        Brevity::FewReasons,
        Brevity::OneCure,
        Brevity::TwoReasons,
    ];
    let mut screen = String::new();
    for brevity in brevities {
        screen = render(&blocks(case, verdict, brevity), style);
        if screen.lines().count() <= LINES {
            break;
        }
    }
    screen
}

fn blocks(case: &Case, verdict: &Verdict, brevity: Brevity) -> Vec<Block> {
    let mut blocks = vec![header(case)];
    if let Some(told) = GroupCharges::compute(&Ask::new(case)) {
        blocks.push(Block::labelled("GROUP", told));
    }
    blocks.push(Block::toned("VERDICT", answer(verdict), Tone::Verdict));
    let label = if case.about.tells(Untold::Residency) { "  RSS" } else { "  CORE" };
    blocks.push(Block::labelled(label, rss_line(case)));
    if let Some(finding) = verdict.finding() {
        let most = match brevity {
            Brevity::Full | Brevity::NoNoteOnSecondCure => usize::MAX,
            Brevity::FewReasons | Brevity::OneCure => FEW_REASONS,
            Brevity::TwoReasons => 2,
        };
        for (n, reason) in reasons(finding).into_iter().take(most).enumerate() {
            blocks.push(Block::labelled(if n == 0 { "WHY" } else { "" }, reason));
        }
    }
    let others: Vec<&str> = verdict.others().map(|finding| finding.summary.as_str()).collect();
    if !others.is_empty() {
        blocks.push(Block::labelled("ALSO", others.join(" · ")));
    }
    let told = |finding: &&Finding| tells(finding, case.rss());
    let ruled_out: Vec<&str> =
        verdict.ruled_out().filter(told).map(|f| f.summary.as_str()).collect();
    if !ruled_out.is_empty() {
        blocks.push(Block::labelled("NOT", ruled_out.join(" · ")));
    }
    let open: Vec<String> =
        verdict.open().map(|(finding, why)| format!("{} ({why})", finding.title())).collect();
    // Where nothing was read nothing is decided, and the verdict has said so.
    if !open.is_empty() && case.about.withheld.is_none() {
        blocks.push(Block::labelled("OPEN", format!("not decided: {}", open.join(" · "))));
    }
    if let Some(finding) = verdict.finding() {
        cures(case, finding, brevity, &mut blocks);
    }
    blocks.push(Block::labelled("NEXT", next(case, verdict)));
    let notes = notes(case, verdict);
    if !notes.is_empty() {
        blocks.push(Block::labelled("NOTES", notes.join(" · ")));
    }
    blocks
}

/// Whether it is news that a cause does not hold: of what a process may have none of, only if it
/// has some.
fn tells(finding: &Finding, rss: Bytes) -> bool {
    match finding.cause {
        "huge-pages" | "fork-cow" | "shared-memory" | "file-mappings" | "thread-stacks"
        | "library-allocator" => finding.could_explain.share_of(rss) >= TOLD_SHARE,
        _ => true,
    }
}

fn answer(verdict: &Verdict) -> String {
    let Some(cause) = verdict.cause else { return verdict.summary.clone() };
    let title = if cause == "none" { "no cause found".into() } else { verdict.title() };
    format!("{title}, {} confidence: {}", verdict.confidence, verdict.summary)
}

/// `RSS 515 MiB = Python objects 61 (12%) · … · unexplained 2`: the numbers add up.
fn rss_line(case: &Case) -> String {
    let (total, parts) = if case.about.withheld.is_some() {
        by_mapping(SmapsView::compute(&Ask::new(case)), case)
    } else {
        by_owner(case)
    };
    let amounts: Vec<Bytes> = parts.iter().map(|(_, bytes)| *bytes).collect();
    let sum = rounded(total, &amounts);
    let parts: Vec<String> = parts
        .iter()
        .zip(&sum.parts)
        .map(|((name, bytes), printed)| {
            let share = bytes.share_of(total);
            if share >= SHARE_SHOWN {
                format!("{name} {printed} ({})", wording::percent(share))
            } else {
                format!("{name} {printed}")
            }
        })
        .collect();
    format!("{} MiB = {}", sum.total, parts.join(" · "))
}

fn by_owner(case: &Case) -> (Bytes, Vec<(&'static str, Bytes)>) {
    let total = case.rss();
    let mut parts = Vec::new();
    let mut other = Bytes(0);
    for one in case.accounting.owners().filter(|one| one.resident > Bytes(0)) {
        if one.resident >= OWN_PLACE || one.resident.share_of(total) >= OWN_PLACE_SHARE {
            parts.push((owner_name(one.owner), one.resident));
        } else {
            other += one.resident;
        }
    }
    if other > Bytes(0) {
        parts.push(("other", other));
    }
    parts.push(("unexplained", case.accounting.unexplained));
    (total, parts)
}

/// Where memory was not read only kinds of mappings are known.
fn by_mapping(seen: SmapsTotals, case: &Case) -> (Bytes, Vec<(&'static str, Bytes)>) {
    if seen.rss == Bytes(0) {
        return (case.rss(), vec![("unexplained", case.rss())]);
    }
    let rest = seen.anon.minus(seen.brk_heap).minus(seen.arena_like_rss).minus(seen.stack);
    let mut parts = vec![
        ("heap (brk)", seen.brk_heap),
        ("like thread arenas", seen.arena_like_rss),
        ("stack", seen.stack),
        ("other anonymous", rest),
        ("files", seen.file),
        ("shared memory", seen.shmem),
    ];
    parts.retain(|(_, bytes)| *bytes > Bytes(0));
    (seen.rss, parts)
}

fn reasons(finding: &Finding) -> Vec<String> {
    let mut reasons: Vec<String> =
        finding.evidence.iter().take(REASONS).map(|seen| seen.saw.clone()).collect();
    let new = |holder: &&Holder| {
        holder.path.as_ref().is_none_or(|path| reasons.iter().all(|said| !said.contains(path)))
    };
    let holders: Vec<String> = finding
        .holders
        .iter()
        .filter(new)
        .take(HOLDERS)
        .map(|holder| match finding.cause {
            "allocator-retention" => pin(holder),
            _ => format!(
                "{} in {} {} {}",
                holder.bytes,
                wording::count(holder.objects, "object"),
                holder.hold.said(),
                pointed_at(holder)
            ),
        })
        .collect();
    reasons.extend(holders);
    reasons
}

/// What stands at the end of a heap.
fn pin(holder: &Holder) -> String {
    let chunk = match &holder.type_name {
        Some(ty) => format!("{} object {}", wording::short_type(ty), holder.object),
        None => format!("chunk {}", holder.object),
    };
    let path = holder.path.as_ref().map_or_else(String::new, |_| {
        let named = Holder { type_name: None, ..holder.clone() };
        format!(", reachable from {}", pointed_at(&named))
    });
    format!("last in use, at the end of the fullest arena: {chunk} of {}{path}", holder.bytes)
}

fn cures(case: &Case, finding: &Finding, brevity: Brevity, blocks: &mut Vec<Block>) {
    let most = if brevity < Brevity::OneCure { CURES } else { 1 };
    for (n, remedy) in finding.remedies.iter().take(most).enumerate() {
        let label = if n == 0 { "CURE 1".to_owned() } else { format!("     {}", n + 1) };
        let rss = remedy.expected_rss.map_or_else(String::new, |rss| {
            if case.about.tells(Untold::Residency) {
                format!(" → predicted RSS {rss}")
            } else {
                format!(" → {} less", case.rss().minus(rss))
            }
        });
        blocks.push(Block::labelled(&label, format!("{}{rss}", remedy.action)));
        if n == 0 || brevity < Brevity::NoNoteOnSecondCure {
            blocks.push(Block::toned("", remedy.note.clone(), Tone::Quiet));
        }
        blocks.push(Block::labelled("", format!("check: {}", remedy.verify)));
    }
}

/// Where to look next, with commands that exist.
fn next(case: &Case, verdict: &Verdict) -> String {
    let target = case.about.target();
    if matches!(verdict.cause, Some("native-leak" | "native-memory")) {
        return format!("memwhy malloc {target} --held-by · memwhy heap {target}");
    }
    let commands: &[&str] = if case.about.withheld.is_some() {
        &["doctor", "maps"]
    } else {
        match verdict.cause {
            Some("allocator-retention" | "pymalloc-fragmentation" | "python2-free-lists") => {
                &["malloc", "heap"]
            }
            Some("python-objects") => &["heap", "stacks"],
            Some("busy") => &["stacks", "heap"],
            Some(_) | None => &["maps", "heap", "malloc"],
        }
    };
    let commands: Vec<String> = commands.iter().map(|c| format!("memwhy {c} {target}")).collect();
    commands.join(" · ")
}

/// Doubts first, then problems that are no doubt.
fn notes(case: &Case, verdict: &Verdict) -> Vec<String> {
    let mut notes = verdict.doubts.clone();
    let seen = SmapsView::compute(&Ask::new(case));
    if seen.swap >= OWN_PLACE {
        notes.push(format!(
            "{} more is swapped out, which RSS does not count: with it the process has {}",
            seen.swap,
            case.rss() + seen.swap
        ));
    }
    if seen.lazy_free >= OWN_PLACE {
        notes.push(format!(
            "{} of RSS was freed lazily (MADV_FREE): the kernel takes it when it needs it",
            seen.lazy_free
        ));
    }
    if !case.about.untold.is_empty() {
        let untold: Vec<&str> = case.about.untold.iter().map(|what| what.name()).collect();
        notes.insert(0, format!("a core does not tell {}", untold.join(", ")));
    }
    // What changed while it was read is one note, however it showed.
    let torn = case.about.moment.torn_reads > 0;
    let others = case.problems.iter().filter(|(kind, ..)| !(torn && kind.comes_of_tearing()));
    for (kind, n, _) in others {
        let sentence = said(kind, n);
        if !notes.contains(&sentence) {
            notes.push(sentence);
        }
    }
    notes
}
