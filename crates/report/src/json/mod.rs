//! The same facts for programs.
//!
//! Bytes are whole numbers, addresses are strings, and what is not known is not there: a key that
//! is missing means *unknown*, never zero.

mod diff;
mod family;
mod garbage;
mod kernel;
mod locks;
mod malloc;
mod native_memory;
mod objects;
mod parts;
mod stacks;
mod tasks;
mod time;
mod trial;
mod watch;

pub use diff::diff;
pub use family::family;
pub use garbage::garbage;
pub use locks::locks;
pub use malloc::malloc;
pub use objects::{paths, refs, show};
pub use parts::{heap, maps, snap};
pub use stacks::{ThreadDetail, stacks};
pub use tasks::tasks;
pub use trial::trial;
pub use watch::{watch_look, watch_verdict};

use memwhy_model::{Bytes, Case, Owner, Trust, Untold};
use memwhy_reason::analyses::{By, Histogram, Shares};
use memwhy_reason::{Ask, Finding, Hold, Holder, Standing, Verdict};
use serde::Serialize;
use serde_json::Value;

/// The format of `memwhy TARGET --json`.
pub const REPORT: &str = "memwhy.report/1";

/// Types in a report: more of them are in `memwhy heap --json`.
const TYPES: usize = 50;

/// What `memwhy TARGET --json` prints.
#[must_use]
pub fn report(case: &Case, verdict: &Verdict) -> Value {
    let ask = Ask::new(case);
    value(&Report {
        head: Head::of(REPORT, case),
        rss: rss(&ask),
        kernel: kernel::of(&ask),
        heap: heap_summary(&ask),
        native_memory: native_memory::native_memory(case, native_memory::ROWS),
        threads: stacks::threads(case, ThreadDetail::default()),
        verdict: VerdictOut {
            cause: verdict.cause,
            confidence: verdict.confidence.id(),
            explains_bytes: verdict.explains.0,
            summary: &verdict.summary,
            doubts: &verdict.doubts,
        },
        findings: verdict.findings.iter().map(finding).collect(),
        tail: Tail::of(case),
    })
}

/// Serialising plain structs into a value cannot fail; if it did, the answer would be `null`.
fn value(out: &impl Serialize) -> Value {
    serde_json::to_value(out).unwrap_or_default()
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    rss: Rss,
    kernel: kernel::KernelOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    heap: Option<HeapOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_memory: Option<native_memory::NativeMemoryOut<'a>>,
    threads: Vec<stacks::ThreadOut<'a>>,
    verdict: VerdictOut<'a>,
    findings: Vec<FindingOut<'a>>,
    #[serde(flatten)]
    tail: Tail<'a>,
}

/// What every format begins with.
#[derive(Serialize)]
struct Head<'a> {
    schema: &'static str,
    memwhy: &'static str,
    target: Target<'a>,
}

/// What every format ends with.
#[derive(Serialize)]
struct Tail<'a> {
    problems: Vec<Problem<'a>>,
    timings: Vec<Timing<'a>>,
}

#[derive(Serialize)]
struct Target<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    command: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    exe: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    untold: &'a [Untold],
    uptime_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    python: Option<Python<'a>>,
    capture: Capture,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<Cgroup<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<&'a str>,
}

#[derive(Serialize)]
struct Python<'a> {
    version: &'a str,
    build: &'static str,
    gil: bool,
    debug: bool,
    layout: &'static str,
}

#[derive(Serialize)]
struct Capture {
    how: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_ms: Option<f64>,
    torn_reads: u64,
}

#[derive(Serialize)]
struct Cgroup<'a> {
    path: &'a str,
    used_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charged: Option<kernel::ChargesOut>,
}

#[derive(Serialize)]
struct Rss {
    /// Of a core no byte is known to have been resident: what counts is what it holds.
    of: &'static str,
    total_bytes: u64,
    owners: Vec<OwnerOut>,
    unexplained_bytes: u64,
}

#[derive(Serialize)]
struct OwnerOut {
    owner: String,
    resident_bytes: u64,
    bytes: u64,
    trust: &'static str,
}

#[derive(Serialize)]
struct HeapOut {
    objects: u64,
    bytes: u64,
    complete: bool,
    types: Vec<TypeOut>,
}

#[derive(Serialize)]
struct TypeOut {
    #[serde(rename = "type")]
    name: String,
    count: u64,
    bytes: u64,
    footprint_bytes: u64,
}

#[derive(Serialize)]
struct VerdictOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    confidence: &'static str,
    explains_bytes: u64,
    summary: &'a str,
    doubts: &'a [String],
}

#[derive(Serialize)]
struct FindingOut<'a> {
    cause: &'static str,
    standing: &'static str,
    explains_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_undecided: Option<&'a str>,
    summary: &'a str,
    confidence: &'static str,
    evidence: Vec<EvidenceOut<'a>>,
    holders: Vec<HolderOut<'a>>,
    remedies: Vec<RemedyOut<'a>>,
}

#[derive(Serialize)]
struct EvidenceOut<'a> {
    saw: &'a str,
    check: &'a str,
    trust: &'static str,
}

#[derive(Serialize)]
struct HolderOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    object: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reachable_objects: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reachable_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retained_objects: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retained_bytes: Option<u64>,
    also_reached_from: u64,
}

#[derive(Serialize)]
struct RemedyOut<'a> {
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'a str,
    verify: &'a str,
}

#[derive(Serialize)]
struct Problem<'a> {
    kind: &'static str,
    count: u64,
    examples: &'a [String],
}

#[derive(Serialize)]
struct Timing<'a> {
    phase: &'a str,
    ms: f64,
}

impl<'a> Head<'a> {
    fn of(schema: &'static str, case: &'a Case) -> Self {
        let about = &case.about;
        let target = Target {
            kind: about.kind.id(),
            // A core without notes does not say it.
            pid: Some(about.pid).filter(|pid| *pid > 0),
            command: &about.command,
            exe: &about.exe,
            path: about.path.as_deref(),
            signal: about.signal,
            untold: &about.untold,
            uptime_s: about.uptime_s,
            taken_at: time::rfc3339(about.taken_at_unix_s),
            python: about.python.as_ref().map(|python| Python {
                version: &python.version,
                build: if python.free_threaded { "free-threaded" } else { "gil" },
                gil: python.gil,
                debug: python.debug,
                layout: layout(python.layout),
            }),
            capture: Capture {
                how: about.moment.pause.id(),
                pause_ms: about.tells(Untold::Residency).then_some(about.moment.pause_ms),
                torn_reads: about.moment.torn_reads,
            },
            cgroup: about.cgroup.as_ref().map(|cgroup| Cgroup {
                path: &cgroup.path,
                used_bytes: cgroup.used.0,
                limit_bytes: cgroup.limit.map(|limit| limit.0),
                charged: cgroup.charged.map(kernel::ChargesOut::of),
            }),
            withheld: about.withheld.as_deref(),
        };
        Self { schema, memwhy: env!("CARGO_PKG_VERSION"), target }
    }
}

impl<'a> Tail<'a> {
    fn of(case: &'a Case) -> Self {
        let problem = |(kind, count, examples): (memwhy_model::ProblemKind, u64, &'a [String])| {
            Problem { kind: kind.id(), count, examples }
        };
        Self {
            problems: case.problems.iter().map(problem).collect(),
            timings: case.timings.iter().map(|t| Timing { phase: &t.phase, ms: t.ms }).collect(),
        }
    }
}

/// How layouts are known, in the words of the format. A guess is as good as an extrapolation.
const fn layout(trust: Trust) -> &'static str {
    match trust {
        Trust::Extrapolated | Trust::Heuristic => "extrapolated",
        Trust::Table => "table",
        Trust::Target => "debug-offsets",
    }
}

fn rss(ask: &Ask<'_>) -> Rss {
    let owners = ask.get::<Shares>();
    Rss {
        of: if ask.about.tells(Untold::Residency) { "resident" } else { "in-core" },
        total_bytes: ask.rss().0,
        owners: owners
            .iter()
            .map(|one| OwnerOut {
                owner: owner_id(one.owner, ask),
                resident_bytes: one.resident.0,
                bytes: one.claimed.0.max(one.resident.0),
                trust: one.trust.id(),
            })
            .collect(),
        unexplained_bytes: ask.accounting.unexplained.0,
    }
}

/// `allocator.jemalloc` where the allocator has a name.
fn owner_id(owner: Owner, case: &Case) -> String {
    let name = case.malloc.as_ref().and_then(|malloc| malloc.name.split(' ').next());
    match (owner, name) {
        (Owner::OtherAllocator, Some(name)) if !name.is_empty() && name != "glibc" => {
            format!("allocator.{}", name.to_lowercase())
        }
        _ => owner.id().to_owned(),
    }
}

fn heap_summary(ask: &Ask<'_>) -> Option<HeapOut> {
    let heap = ask.heap.as_ref()?;
    let types = ask.get::<Histogram>();
    Some(HeapOut {
        objects: types.objects,
        bytes: types.bytes.0,
        complete: heap.complete(),
        types: types_by(ask, By::Footprint, TYPES),
    })
}

fn types_by(ask: &Ask<'_>, by: By, top: usize) -> Vec<TypeOut> {
    ask.get::<Histogram>()
        .by(by)
        .into_iter()
        .take(top)
        .map(|row| TypeOut {
            name: row.name,
            count: row.count,
            bytes: row.bytes.0,
            footprint_bytes: row.footprint.0,
        })
        .collect()
}

fn finding(finding: &Finding) -> FindingOut<'_> {
    FindingOut {
        cause: finding.cause,
        standing: finding.standing.id(),
        explains_bytes: finding.explains.0,
        why_undecided: match &finding.standing {
            Standing::Undecided(why) => Some(why),
            Standing::Holds | Standing::Refuted => None,
        },
        summary: &finding.summary,
        confidence: finding.confidence.id(),
        evidence: finding
            .evidence
            .iter()
            .map(|seen| EvidenceOut { saw: &seen.saw, check: &seen.check, trust: seen.trust.id() })
            .collect(),
        holders: finding.holders.iter().map(holder).collect(),
        remedies: finding
            .remedies
            .iter()
            .map(|remedy| RemedyOut {
                action: &remedy.action,
                expected_rss_bytes: remedy.expected_rss.map(|Bytes(n)| n),
                note: &remedy.note,
                verify: &remedy.verify,
            })
            .collect(),
    }
}

fn holder(holder: &Holder) -> HolderOut<'_> {
    HolderOut {
        path: holder.path.as_deref(),
        object: holder.object.to_string(),
        type_name: holder.type_name.as_deref(),
        file: holder.file.as_deref(),
        line: holder.line,
        reachable_objects: Some(holder.objects).filter(|_| holder.hold == Hold::Reaches),
        reachable_bytes: Some(holder.bytes.0).filter(|_| holder.hold == Hold::Reaches),
        retained_objects: Some(holder.objects).filter(|_| holder.hold == Hold::Retains),
        retained_bytes: Some(holder.bytes.0).filter(|_| holder.hold == Hold::Retains),
        also_reached_from: holder.also_reached_from,
    }
}
