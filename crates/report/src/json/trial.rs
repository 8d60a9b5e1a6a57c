//! `memwhy.trial/1`: every sample of every run, and what they say.

use super::report;
use crate::Explained;
use memwhy_model::Trial;
use memwhy_reason::trials::{Comparison, Effect, Spread};
use serde_json::{Value, json};

/// All trials, with what was missing.
#[must_use]
pub fn trial(
    trials: &[Trial],
    comparison: &Comparison,
    missing: &[String],
    explained: &[Explained],
) -> Value {
    let rows = comparison.rows.iter().zip(trials).map(|(row, trial)| {
        let runs = trial.runs.iter().map(|run| {
            let samples: Vec<Value> =
                run.samples.iter().map(|sample| json!([sample.at_ms, sample.rss.0])).collect();
            json!({
                "end_bytes": run.end().0,
                "peak_bytes": run.peak().0,
                "mean_bytes": run.mean().0,
                "cpu_s": run.cpu_s,
                "work_s": run.work_s,
                "failure": run.failure,
                "samples_ms_bytes": samples,
            })
        });
        let (effect, by) = match row.effect {
            Some(Effect::Less(bytes)) => ("less", Some(bytes.0)),
            Some(Effect::More(bytes)) => ("more", Some(bytes.0)),
            Some(Effect::Noise) => ("noise", None),
            None => ("none", None),
        };
        json!({
            "cure": row.cure,
            "setting": row.setting,
            "end_bytes": spread(row.end),
            "peak_bytes": spread(row.peak),
            "mean_bytes": spread(row.mean),
            "cpu_s": spread(row.cpu),
            "work_s": spread(row.work),
            "effect": effect,
            "effect_bytes": by,
            "runs": runs.collect::<Vec<Value>>(),
        })
    });
    let best = comparison.best.and_then(|best| comparison.rows.get(best));
    json!({
        "schema": "memwhy.trial/1",
        "cures": rows.collect::<Vec<Value>>(),
        "best": best.map(|row| row.cure.clone()),
        "because": comparison.because,
        "missing": missing,
        "explained": explained
            .iter()
            .map(|one| json!({ "cure": one.cure, "report": report(&one.case, &one.verdict) }))
            .collect::<Vec<Value>>(),
    })
}

fn spread(spread: Spread) -> Value {
    json!({ "least": spread.least, "median": spread.median, "most": spread.most })
}
