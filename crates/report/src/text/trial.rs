//! What became of the program under each cure, side by side, with its curve.

use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use crate::style::Tone;
use memwhy_model::{Bytes, Case, Trial};
use memwhy_reason::Verdict;
use memwhy_reason::trials::{Comparison, Effect, Spread};

/// Columns of a curve.
const CURVE: usize = 24;
/// From nothing to the highest RSS of all runs.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What a program was like under a cure, before it was ended.
#[derive(Debug)]
pub struct Explained {
    /// The cure.
    pub cure: String,
    /// The largest of its processes.
    pub case: Case,
    /// What is to be said of it.
    pub verdict: Verdict,
}

/// One row a cure; `missing` are those that could not be tried, a sentence each. Then the program as it
/// is and under the best cure, explained.
#[must_use]
pub fn trial(
    trials: &[Trial],
    comparison: &Comparison,
    missing: &[String],
    explained: &[Explained],
    style: Style,
) -> String {
    let mut table = Table::new(&[
        ("cure", Side::Left),
        ("RSS at end", Side::Right),
        ("±", Side::Right),
        ("effect", Side::Right),
        ("peak", Side::Right),
        ("work", Side::Right),
        ("CPU", Side::Right),
        ("RSS over time", Side::Left),
    ]);
    let runs = trials.iter().flat_map(|trial| &trial.runs);
    let highest = runs.map(memwhy_model::Run::peak).max().unwrap_or_default();
    for (row, trial) in comparison.rows.iter().zip(trials) {
        if row.runs.0 == 0 {
            let why = row.failure.clone().unwrap_or_else(|| "it did not run".into());
            let dash = || "-".to_owned();
            table.row([row.cure.clone(), dash(), dash(), dash(), dash(), dash(), dash(), why]);
            continue;
        }
        let effect = match row.effect {
            Some(Effect::Less(bytes)) => format!("-{bytes}"),
            Some(Effect::More(bytes)) => format!("+{bytes}"),
            Some(Effect::Noise) => "noise".into(),
            None => String::new(),
        };
        table.row([
            row.cure.clone(),
            amount(row.end.median).to_string(),
            // One run does not tell by how much the next one would differ.
            if row.runs.0 < 2 { "?".into() } else { around(row.end) },
            effect,
            amount(row.peak.median).to_string(),
            seconds(row.work),
            seconds(row.cpu),
            curve(trial, highest),
        ]);
    }
    let repeats = comparison.rows.iter().map(|row| row.runs.1).max().unwrap_or(0);
    let mut blocks = vec![
        Block::Header(vec![
            "memwhy try".into(),
            format!("{} cures, {repeats} runs each, in turn", comparison.rows.len()),
            format!("curves up to {highest}"),
        ]),
        Block::Gap,
        Block::Table(table),
        Block::Gap,
    ];
    match comparison.best.and_then(|best| comparison.rows.get(best)) {
        Some(best) => {
            blocks.push(Block::toned(
                "BEST",
                format!("{}: {}", best.cure, best.setting),
                Tone::Verdict,
            ));
            blocks.push(Block::labelled("", comparison.because.clone()));
        }
        None => blocks.push(Block::labelled("NONE", comparison.because.clone())),
    }
    for row in comparison.rows.iter().filter(|row| row.runs.0 > 0 && row.runs.0 < row.runs.1) {
        let why = row.failure.clone().unwrap_or_default();
        let failed = row.runs.1 - row.runs.0;
        blocks.push(Block::labelled(
            "NOTES",
            format!("{failed} runs of {} do not count: {why}", row.cure),
        ));
    }
    for sentence in missing {
        blocks.push(Block::labelled("MISSING", sentence.clone()));
    }
    let mut text = render(&blocks, style);
    let best = comparison.best.and_then(|best| comparison.rows.get(best));
    let shown = comparison.rows.first().into_iter().chain(best);
    for one in shown.filter_map(|row| explained.iter().find(|one| one.cure == row.cure)) {
        let title = Block::labelled("UNDER", format!("{}, after the load:", one.cure));
        text += &render(&[Block::Gap, title], style);
        text += &super::explain(&one.case, &one.verdict, style);
    }
    text
}

/// The first run that counts, as a line of blocks.
fn curve(trial: &Trial, highest: Bytes) -> String {
    let Some(run) = trial.runs.iter().find(|run| run.failure.is_none()) else {
        return String::new();
    };
    let level = |rss: &Bytes| {
        let eighths = rss.0.saturating_mul(8) / highest.0.max(1);
        LEVELS[usize::try_from(eighths).unwrap_or(7).min(7)]
    };
    run.curve(CURVE).iter().map(level).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an amount of memory")]
fn amount(bytes: f64) -> Bytes {
    Bytes(bytes.max(0.0) as u64)
}

/// By how much runs differ from what is between them.
fn around(spread: Spread) -> String {
    amount((spread.most - spread.least) / 2.0).to_string()
}

fn seconds(spread: Spread) -> String {
    format!("{:.2} s", spread.median)
}
