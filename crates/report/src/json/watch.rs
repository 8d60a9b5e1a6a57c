//! `memwhy.watch/1`: one line for each look, and one for what all of them say.

use super::native_memory::{AlikeOut, alike};
use super::value;
use memwhy_model::Bytes;
use memwhy_reason::analyses::trend::{Sample, Slope, Trend};
use memwhy_reason::analyses::{Grown, NativeRow};
use memwhy_reason::probe::Probe;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

const SCHEMA: &str = "memwhy.watch/1";

/// Types in a line: all of them are in `memwhy heap --json`.
const TYPES: usize = 20;

#[derive(Serialize)]
struct Look<'a> {
    schema: &'static str,
    event: &'static str,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    rss_bytes: u64,
    live_bytes: u64,
    garbage_bytes: u64,
    free_bytes: u64,
    objects: u64,
    pause_ms: f64,
    owners: BTreeMap<&'a str, u64>,
    types: BTreeMap<&'a str, u64>,
}

/// The line of one look.
#[must_use]
pub fn watch_look(pid: u32, sample: &Sample) -> Value {
    let mut types: Vec<(&String, &Bytes)> = sample.types.iter().collect();
    types.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
    value(&Look {
        schema: SCHEMA,
        event: "look",
        pid,
        at: super::time::rfc3339(sample.at),
        rss_bytes: sample.rss.0,
        live_bytes: sample.live.0,
        garbage_bytes: sample.garbage.0,
        free_bytes: sample.free.0,
        objects: sample.objects,
        pause_ms: sample.pause_ms,
        owners: sample.owners.iter().map(|(id, bytes)| (*id, bytes.0)).collect(),
        types: types.into_iter().take(TYPES).map(|(n, b)| (n.as_str(), b.0)).collect(),
    })
}

#[derive(Serialize)]
struct Verdict<'a> {
    schema: &'static str,
    event: &'static str,
    pid: u32,
    course: &'static str,
    looks: usize,
    seconds: f64,
    rss_bytes_per_s: f64,
    live_bytes_per_s: f64,
    floor_bytes_per_s: f64,
    garbage_bytes_per_s: f64,
    free_bytes_per_s: f64,
    owners: Vec<SlopeOut<'a>>,
    types: Vec<SlopeOut<'a>>,
    holders: Vec<HolderOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_memory: Option<NativeOut<'a>>,
}

/// Memory of C that is most of what grew.
#[derive(Serialize)]
struct NativeOut<'a> {
    kind: &'static str,
    names: &'a [String],
    #[serde(flatten)]
    alike: AlikeOut<'a>,
    growth_bytes: i64,
    growth_chunks: i64,
    probe: &'a str,
}

#[derive(Serialize)]
struct SlopeOut<'a> {
    name: &'a str,
    bytes_per_s: f64,
}

#[derive(Serialize)]
struct HolderOut<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    growth_bytes: i64,
}

/// The last line: what all looks say.
#[must_use]
pub fn watch_verdict(
    pid: u32,
    trend: &Trend,
    looks: usize,
    grown: Option<&Grown>,
    native: Option<&(NativeRow, Probe)>,
) -> Value {
    let holders = grown.map(|grown| grown.holders.as_slice()).unwrap_or_default();
    value(&Verdict {
        schema: SCHEMA,
        event: "verdict",
        pid,
        course: trend.course.id(),
        looks,
        seconds: trend.seconds,
        rss_bytes_per_s: trend.rss,
        live_bytes_per_s: trend.live,
        floor_bytes_per_s: trend.floor,
        garbage_bytes_per_s: trend.garbage,
        free_bytes_per_s: trend.free,
        owners: slopes(&trend.owners),
        types: slopes(&trend.types),
        holders: holders
            .iter()
            .filter(|one| one.bytes.growth() > 0)
            .filter_map(|one| {
                Some(HolderOut {
                    path: one.holder.path.as_deref()?,
                    file: one.holder.file.as_deref(),
                    line: one.holder.line,
                    growth_bytes: one.bytes.growth(),
                })
            })
            .collect(),
        native_memory: native.map(|(row, probe)| NativeOut {
            kind: row.holder.kind.id(),
            names: &row.holder.names,
            alike: alike(row.sizes, &row.content),
            growth_bytes: row.bytes.growth(),
            growth_chunks: row.chunks.growth(),
            probe: &probe.command,
        }),
    })
}

fn slopes(slopes: &[Slope]) -> Vec<SlopeOut<'_>> {
    slopes
        .iter()
        .map(|Slope { name, per_second }| SlopeOut { name, bytes_per_s: *per_second })
        .collect()
}
