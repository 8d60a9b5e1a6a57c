//! Which of the cures that were tried would help, and is that more than chance?

use memwhy_model::{Bytes, Run, Trial};

/// Less is no reason to change anything.
const WORTH: Bytes = Bytes::mib(4);
/// The same as a share of what the program has as it is.
const WORTH_SHARE: f64 = 0.05;
/// A cure that makes the work take longer by more is not recommended.
const SLOWER: f64 = 1.15;

/// Smallest, median and largest of the runs of one cure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// The median.
    pub median: f64,
    /// The largest.
    pub most: f64,
}

/// One cure beside the program as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The cure.
    pub cure: String,
    /// How it is set.
    pub setting: String,
    /// RSS at the end, bytes.
    pub end: Spread,
    /// The highest RSS, bytes.
    pub peak: Spread,
    /// Mean RSS, bytes.
    pub mean: Spread,
    /// CPU time, seconds.
    pub cpu: Spread,
    /// How long the work took, seconds.
    pub work: Spread,
    /// Runs that count, and runs in all.
    pub runs: (usize, usize),
    /// Why runs do not count.
    pub failure: Option<String>,
    /// What it makes of the end: `None` for the program as it is and where nothing counts.
    pub effect: Option<Effect>,
}

/// What a cure does to RSS at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Less by so much, and that is more than the noise.
    Less(Bytes),
    /// More by so much, and that is more than the noise.
    More(Bytes),
    /// No difference that runs of the same thing do not have, too.
    Noise,
}

/// What came of all trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Each cure, the program as it is first.
    pub rows: Vec<Compared>,
    /// The row to recommend, if any is better than the program as it is.
    pub best: Option<usize>,
    /// Why, in a sentence.
    pub because: String,
}

/// Compares cures with the first of `trials`, which is the program as it is.
#[must_use]
pub fn compare(trials: &[Trial]) -> Comparison {
    let mut rows: Vec<Compared> = trials.iter().map(compared).collect();
    let base = rows.first().cloned();
    if let Some(base) = base.as_ref().filter(|base| base.runs.0 > 0) {
        for row in rows.iter_mut().skip(1).filter(|row| row.runs.0 > 0) {
            row.effect = Some(effect(base, row));
        }
    }
    let gain = |row: &Compared| match row.effect {
        Some(Effect::Less(bytes)) => bytes,
        Some(Effect::More(_) | Effect::Noise) | None => Bytes(0),
    };
    let slow = |row: &Compared| {
        base.as_ref().is_some_and(|base| row.work.median > base.work.median * SLOWER)
    };
    let most = rows.iter().filter(|row| !slow(row)).map(gain).max().unwrap_or_default();
    // Of those that are about as good the first: settings come before other libraries.
    let good = |row: &Compared| !slow(row) && most > Bytes(0) && gain(row).share_of(most) >= 0.9;
    let best = rows.iter().position(good);
    let because = because(&rows, best, base.as_ref());
    Comparison { rows, best, because }
}

fn because(rows: &[Compared], best: Option<usize>, base: Option<&Compared>) -> String {
    let Some(base) = base.filter(|base| base.runs.0 > 0) else {
        return "the program as it is did not run to its end: there is nothing to compare".into();
    };
    let noise = match base.runs.0 {
        1 => "not known, of one run each (--repeats)".to_owned(),
        _ => Bytes(whole(base.end.most - base.end.least)).to_string(),
    };
    let Some(best) = best.and_then(|best| rows.get(best)) else {
        return format!(
            "no cure brings RSS at the end down by more than chance does; what runs of the same \
             thing differ by: {noise}"
        );
    };
    let of = |spread: Spread| Bytes(whole(spread.median));
    let ratio = |now: f64, before: f64| if before > 0.0 { now / before } else { 1.0 };
    format!(
        "RSS at the end {} instead of {}; what runs of the same thing differ by: {noise}; the work \
         takes {:.2} times as long and {:.2} times the CPU time",
        of(best.end),
        of(base.end),
        ratio(best.work.median, base.work.median),
        ratio(best.cpu.median, base.cpu.median),
    )
}

fn compared(trial: &Trial) -> Compared {
    let counting: Vec<&Run> =
        trial.runs.iter().filter(|run| run.failure.is_none() && !run.samples.is_empty()).collect();
    let spread = |of: &dyn Fn(&Run) -> f64| spread(counting.iter().map(|run| of(run)).collect());
    Compared {
        cure: trial.cure.clone(),
        setting: trial.setting.clone(),
        end: spread(&|run| bytes(run.end())),
        peak: spread(&|run| bytes(run.peak())),
        mean: spread(&|run| bytes(run.mean())),
        cpu: spread(&|run| run.cpu_s),
        work: spread(&|run| run.work_s),
        runs: (counting.len(), trial.runs.len()),
        failure: trial.runs.iter().find_map(|run| run.failure.clone()),
        effect: None,
    }
}

/// Noise is what runs of one thing differ by: twice the larger of both has to be exceeded.
fn effect(base: &Compared, row: &Compared) -> Effect {
    let width = |spread: Spread| spread.most - spread.least;
    let noise = 2.0 * width(base.end).max(width(row.end));
    let difference = base.end.median - row.end.median;
    let least = noise.max(bytes(WORTH)).max(base.end.median * WORTH_SHARE);
    if difference > least {
        Effect::Less(Bytes(whole(difference)))
    } else if -difference > least {
        Effect::More(Bytes(whole(-difference)))
    } else {
        Effect::Noise
    }
}

fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    Spread { least: at(0), median: at(values.len() / 2), most: at(values.len().saturating_sub(1)) }
}

#[expect(clippy::cast_precision_loss, reason = "RSS is far below 2^53")]
fn bytes(amount: Bytes) -> f64 {
    amount.0 as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an amount, not below 0"
)]
fn whole(amount: f64) -> u64 {
    amount.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::{Effect, compare};
    use memwhy_model::{Bytes, Run, Sample, Trial};

    fn trial(cure: &str, ends: &[u64], work_s: f64) -> Trial {
        let run = |end: &u64| Run {
            samples: vec![Sample { at_ms: 1, rss: Bytes::mib(*end) }],
            cpu_s: 1.0,
            work_s,
            failure: None,
        };
        Trial { cure: cure.into(), setting: String::new(), runs: ends.iter().map(run).collect() }
    }

    #[test]
    fn what_runs_of_the_same_thing_differ_by_is_no_effect() {
        let trials =
            [trial("glibc", &[300, 340, 320], 1.0), trial("arena-max=2", &[260, 300, 280], 1.0)];
        let compared = compare(&trials);
        assert_eq!(compared.rows[1].effect, Some(Effect::Noise));
        assert_eq!(compared.best, None);
        assert!(compared.because.contains("40.0 MiB"), "{}", compared.because);
    }

    #[test]
    fn a_setting_is_preferred_to_a_library_that_is_about_as_good() {
        let trials = [
            trial("glibc", &[300, 301, 302], 1.0),
            trial("arena-max=2", &[40, 41, 42], 1.0),
            trial("jemalloc", &[38, 39, 40], 1.0),
            trial("tcmalloc", &[420, 421, 422], 1.0),
        ];
        let compared = compare(&trials);
        assert_eq!(compared.best, Some(1));
        assert_eq!(compared.rows[3].effect, Some(Effect::More(Bytes::mib(120))));
    }

    #[test]
    fn a_cure_that_slows_the_work_down_is_not_recommended() {
        let trials = [trial("glibc", &[300], 1.0), trial("mmap-threshold", &[40], 1.5)];
        let compared = compare(&trials);
        assert_eq!(compared.best, None);
        assert!(compared.because.contains("not known, of one run each"), "{}", compared.because);
    }

    #[test]
    fn failed_runs_do_not_count() {
        let mut broken = trial("jemalloc", &[10], 1.0);
        broken.runs[0].failure = Some("ended with status 1".into());
        let compared = compare(&[trial("glibc", &[300], 1.0), broken]);
        assert_eq!(compared.rows[1].effect, None);
        assert_eq!(compared.best, None);
    }
}
