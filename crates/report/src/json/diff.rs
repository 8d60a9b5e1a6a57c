//! `memwhy.diff/1`: what has grown between two moments.

use super::native_memory::{AlikeOut, alike};
use super::parts::wrapped;
use memwhy_model::Case;
use memwhy_reason::analyses::growth::{HolderGrowth, Promise, SizeGrowth, ThreadChange};
use memwhy_reason::analyses::{Change, Grown, Growth, KeptGrowth, NativeGrowth, NativeRow};
use memwhy_reason::{Ask, Hold};
use serde::Serialize;
use serde_json::Value;

/// What `memwhy diff --json` prints; head and tail are those of the later moment. Names are compared
/// by what they reach, and by what they retain, too, where that was asked for.
#[must_use]
pub fn diff(before: &Case, after: &Case, held: Hold) -> Value {
    let ask = Ask::since(before, after);
    let answer = ask.get::<Growth>();
    let kept = match held {
        Hold::Reaches => None,
        Hold::Retains => Some(ask.get::<KeptGrowth>()),
    };
    let kept = kept.as_ref().map(|kept| kept.as_slice());
    let native = ask.get::<NativeGrowth>();
    let grown = answer.as_ref().as_ref();
    wrapped("memwhy.diff/1", after, grown.map(|grown| body(before, grown, kept, &native)))
}

#[derive(Serialize)]
struct Body<'a> {
    before: Before<'a>,
    same_process: &'static str,
    seconds: f64,
    rss: ChangeOut,
    owners: Vec<OwnerOut>,
    unexplained: ChangeOut,
    objects: ChangeOut,
    footprint: ChangeOut,
    types: Vec<TypeOut<'a>>,
    holders: Vec<HolderOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keepers: Option<Vec<KeeperOut<'a>>>,
    native_memory: Vec<NativeOut<'a>>,
    malloc_chunks: Vec<SizeOut>,
    pymalloc_blocks: Vec<SizeOut>,
    threads_started: Vec<ThreadOut<'a>>,
    threads_ended: Vec<ThreadOut<'a>>,
    promises: Vec<PromiseOut<'a>>,
}

#[derive(Serialize)]
struct Before<'a> {
    kind: &'static str,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_at: Option<String>,
}

#[derive(Serialize)]
struct ChangeOut {
    before: u64,
    after: u64,
    growth: i64,
}

#[derive(Serialize)]
struct OwnerOut {
    owner: &'static str,
    resident_bytes: ChangeOut,
}

#[derive(Serialize)]
struct TypeOut<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    count: ChangeOut,
    footprint_bytes: ChangeOut,
}

/// By what something is known, and where in the program.
#[derive(Serialize)]
struct NameOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
struct HolderOut<'a> {
    #[serde(flatten)]
    name: NameOut<'a>,
    reachable_objects: ChangeOut,
    reachable_bytes: ChangeOut,
}

#[derive(Serialize)]
struct SizeOut {
    size: u64,
    count: ChangeOut,
    bytes: ChangeOut,
}

#[derive(Serialize)]
struct NativeOut<'a> {
    held_by: &'static str,
    names: &'a [String],
    #[serde(flatten)]
    alike: AlikeOut<'a>,
    chunks: ChangeOut,
    bytes: ChangeOut,
}

#[derive(Serialize)]
struct ThreadOut<'a> {
    tid: u32,
    name: &'a str,
}

#[derive(Serialize)]
struct PromiseOut<'a> {
    action: &'a str,
    predicted_rss_bytes: u64,
    predicted_back_bytes: u64,
    back_bytes: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<f64>,
}

#[derive(Serialize)]
struct KeeperOut<'a> {
    #[serde(flatten)]
    name: NameOut<'a>,
    retained_objects: ChangeOut,
    retained_bytes: ChangeOut,
}

fn name(of: &HolderGrowth) -> NameOut<'_> {
    NameOut {
        path: of.holder.path.as_deref(),
        type_name: of.holder.type_name.as_deref(),
        file: of.holder.file.as_deref(),
        line: of.holder.line,
    }
}

fn keeper(of: &HolderGrowth) -> KeeperOut<'_> {
    KeeperOut {
        name: name(of),
        retained_objects: change(of.objects),
        retained_bytes: change(of.bytes),
    }
}

fn body<'a>(
    before: &'a Case,
    grown: &'a Grown,
    kept: Option<&'a [HolderGrowth]>,
    native: &'a [NativeRow],
) -> Body<'a> {
    Body {
        before: Before {
            kind: before.about.kind.id(),
            pid: before.about.pid,
            path: before.about.path.as_deref(),
            taken_at: super::time::rfc3339(before.about.taken_at_unix_s),
        },
        same_process: grown.sameness.id(),
        seconds: grown.seconds,
        rss: change(grown.rss),
        owners: grown
            .owners
            .iter()
            .map(|(owner, of)| OwnerOut { owner: owner.id(), resident_bytes: change(*of) })
            .collect(),
        unexplained: change(grown.unexplained),
        objects: change(grown.objects),
        footprint: change(grown.footprint),
        types: grown
            .types
            .iter()
            .map(|ty| TypeOut {
                name: &ty.name,
                count: change(ty.count),
                footprint_bytes: change(ty.footprint),
            })
            .collect(),
        holders: grown
            .holders
            .iter()
            .map(|of| HolderOut {
                name: name(of),
                reachable_objects: change(of.objects),
                reachable_bytes: change(of.bytes),
            })
            .collect(),
        keepers: kept.map(|kept| kept.iter().map(keeper).collect()),
        native_memory: native.iter().map(native_row).collect(),
        malloc_chunks: grown.chunks.iter().map(size).collect(),
        pymalloc_blocks: grown.blocks.iter().map(size).collect(),
        threads_started: grown.started.iter().map(thread).collect(),
        threads_ended: grown.ended.iter().map(thread).collect(),
        promises: grown.promises.iter().map(|one| promise(one, grown.rss)).collect(),
    }
}

fn change(change: Change) -> ChangeOut {
    ChangeOut { before: change.before, after: change.after, growth: change.growth() }
}

fn native_row(row: &NativeRow) -> NativeOut<'_> {
    NativeOut {
        held_by: row.holder.kind.id(),
        names: &row.holder.names,
        alike: alike(row.sizes, &row.content),
        chunks: change(row.chunks),
        bytes: change(row.bytes),
    }
}

fn size(row: &SizeGrowth) -> SizeOut {
    SizeOut { size: row.size, count: change(row.count), bytes: change(row.bytes) }
}

fn thread(thread: &ThreadChange) -> ThreadOut<'_> {
    ThreadOut { tid: thread.tid, name: &thread.name }
}

fn promise(promise: &Promise, rss: Change) -> PromiseOut<'_> {
    PromiseOut {
        action: &promise.remedy.action,
        predicted_rss_bytes: promise.predicted.0,
        predicted_back_bytes: rss.before.saturating_sub(promise.predicted.0),
        back_bytes: -rss.growth(),
        kept: promise.kept(rss),
    }
}
