//! A line for each look at a process over time, and what all of them say.

use super::{header, uptime};
use crate::Style;
use crate::blocks::{Block, render};
use crate::style::Tone;
use memwhy_model::{Bytes, Case, Owner};
use memwhy_reason::analyses::trend::{Course, LEAST_SAMPLES, Sample, Slope, Trend};
use memwhy_reason::analyses::{Grown, NativeRow, native_growth};
use memwhy_reason::hypotheses::none::owner_name;
use memwhy_reason::probe::Probe;
use memwhy_reason::wording;

/// Types and names told.
const FEW: usize = 3;

/// Which process, and the titles of the columns.
#[must_use]
pub fn watch_head(case: &Case, style: Style) -> String {
    let titles = format!(
        "{:>6}  {:>9}  {:>9}  {:>9}  {:>9}  {:>10}  {:>7}  since then grew most",
        "time", "RSS", "live", "garbage", "free", "objects", "paused"
    );
    format!("{}{}", render(&[header(case)], style), style.paint(Tone::Label, &titles))
}

/// One look, and what grew most since the first one.
#[must_use]
pub fn watch_line(first: &Sample, sample: &Sample) -> String {
    let most = sample.types.iter().map(|(name, bytes)| {
        let before = first.types.get(name).copied().unwrap_or_default();
        (bytes.0.saturating_sub(before.0), name)
    });
    let most = most
        .max()
        .filter(|(growth, _)| *growth > 0)
        .map(|(growth, name)| format!("{} +{}", wording::short_type(name), Bytes(growth)));
    let pause = format!("{:.0} ms", sample.pause_ms);
    let line = format!(
        "{:>6}  {:>9}  {:>9}  {:>9}  {:>9}  {:>10}  {:>7}  {}",
        clock(sample.at - first.at),
        sample.rss,
        sample.live,
        sample.garbage,
        sample.free,
        wording::digits(sample.objects),
        pause,
        most.unwrap_or_default()
    );
    crate::blocks::clean(line.trim_end())
}

/// `0:00`, `4:10`, `1:04:10`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds")]
fn clock(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{rest:02}")
    } else {
        format!("{minutes}:{rest:02}")
    }
}

/// What the samples say; `grown` is the difference of the last look to the first, `native` the
/// memory of C that is most of it, with the probe for it.
#[must_use]
pub fn watch_verdict(
    trend: &Trend,
    samples: usize,
    grown: Option<&Grown>,
    native: Option<&(NativeRow, Probe)>,
    target: &str,
    style: Style,
) -> String {
    let over =
        format!("in {} over {}", wording::count(samples as u64, "look"), uptime(trend.seconds));
    let mut blocks = vec![
        Block::Gap,
        Block::toned("VERDICT", format!("{}, {over}", said(trend)), Tone::Verdict),
    ];
    let of = |slopes: &[Slope], name: &dyn Fn(&str) -> String| -> Vec<String> {
        let rising = slopes.iter().take_while(|slope| slope.per_second > 0.0).take(FEW);
        rising.map(|slope| format!("{} {}", name(&slope.name), rate(slope.per_second))).collect()
    };
    let owner = |id: &str| {
        let known = Owner::ALL.into_iter().find(|owner| owner.id() == id);
        known.map_or_else(|| id.to_owned(), |owner| owner_name(owner).to_owned())
    };
    let growing = matches!(trend.course, Course::Growing | Course::Uncollected | Course::Kept);
    if growing {
        let owners = of(&trend.owners, &owner);
        let types = of(&trend.types, &|name| wording::short_type(name).to_owned());
        blocks.push(Block::labelled("OWNERS", owners.join(" · ")));
        if !types.is_empty() && trend.course != Course::Kept {
            blocks.push(Block::labelled("TYPES", types.join(" · ")));
        }
        let holders = grown.map(|grown| grown.holders.as_slice()).unwrap_or_default();
        let rising = holders.iter().filter(|one| one.bytes.growth() > 0).take(FEW);
        for (n, one) in rising.enumerate() {
            let place = match (&one.holder.file, one.holder.line) {
                (Some(file), Some(line)) => format!("  {file}:{line}"),
                (Some(file), None) => format!("  {file}"),
                (None, _) => String::new(),
            };
            let path = one.holder.path.as_deref().unwrap_or("?");
            let growth = Bytes(one.bytes.growth().unsigned_abs());
            let text = format!("{growth} more reachable from {path}{place}");
            blocks.push(Block::labelled(if n == 0 { "HOLDERS" } else { "" }, text));
        }
        if let Some((row, _)) = native {
            blocks.push(Block::labelled("MEMORY", native_growth::said(row)));
        }
    }
    let next = match trend.course {
        Course::Growing => match native {
            Some((_, probe)) => format!("find the call that takes it: {}", probe.command),
            None => format!("memwhy heap {target}: who holds it"),
        },
        Course::Kept => format!("memwhy {target}: what keeps it, and the cure"),
        Course::Uncollected => format!("memwhy {target}: whether the collector is on"),
        Course::Unknown => format!("memwhy watch {target} --every 5s --for 2m"),
        Course::Sawtooth | Course::Steady | Course::Shrinking => {
            format!("a longer --for, under load; memwhy {target}: what it has now")
        }
    };
    blocks.push(Block::labelled("NEXT", next));
    render(&blocks, style)
}

fn said(trend: &Trend) -> String {
    let [live, rss, garbage] = [trend.live, trend.rss, trend.garbage].map(rate);
    match trend.course {
        Course::Unknown => {
            format!("undecided: at least {LEAST_SAMPLES} looks are needed to tell a slope")
        }
        Course::Growing => {
            format!("growing: what is in use grows by {live} and is not given back (RSS {rss})")
        }
        Course::Sawtooth => format!(
            "no leak seen: what is in use comes and goes, and its floor grows by {} (RSS {rss})",
            rate(trend.floor)
        ),
        Course::Uncollected => format!(
            "uncollected: unreachable cycles grow by {garbage}; what is in use does not ({live})"
        ),
        Course::Kept => format!(
            "kept: RSS grows by {rss} though what is in use does not ({live}): allocators keep what \
             was freed"
        ),
        Course::Steady => format!("steady: what is in use changes by {live}, RSS by {rss}"),
        Course::Shrinking => format!("shrinking: what is in use changes by {live}, RSS by {rss}"),
    }
}

/// `+4.1 MiB/min`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "three digits are printed"
)]
fn rate(per_second: f64) -> String {
    let per_minute = per_second * 60.0;
    let sign = if per_minute >= 1.0 {
        "+"
    } else if per_minute <= -1.0 {
        "-"
    } else {
        ""
    };
    format!("{sign}{}/min", Bytes(per_minute.abs() as u64))
}

#[cfg(test)]
mod tests {
    use super::{clock, rate};

    #[test]
    fn a_rate_has_a_sign_and_a_minute() {
        let said = [1024.0 * 1024.0, -100.0, 0.001].map(rate);
        assert_eq!(said, ["+60.0 MiB/min", "-5.9 KiB/min", "0 B/min"]);
        assert_eq!([0.4, 250.0, 3850.0].map(clock), ["0:00", "4:10", "1:04:10"]);
    }
}
