//! The format of `memwhy garbage`: `memwhy.garbage/1`.

use super::parts::wrapped;
use memwhy_model::Case;
use memwhy_reason::Ask;
use memwhy_reason::analyses::{Garbage, Kept, Origin, cycle_text};
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
struct Body {
    gc: Option<Gc>,
    cycles: Part<CyclesOut>,
    kept: Part<KeptOut>,
    orphans: Part<OrphansOut>,
}

#[derive(Serialize)]
struct Gc {
    enabled: Option<bool>,
    collecting: bool,
    thresholds: Vec<i64>,
    counts: Vec<i64>,
    debug: i32,
    generations: Vec<u64>,
    frozen: Option<u64>,
    tracked: u64,
}

#[derive(Serialize)]
struct Part<T> {
    objects: u64,
    bytes: u64,
    groups: Vec<T>,
}

#[derive(Serialize)]
struct CyclesOut {
    types: Vec<String>,
    cycles: u64,
    objects: u64,
    bytes: u64,
    around: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_looked_through: Option<String>,
}

#[derive(Serialize)]
struct KeptOut {
    class: String,
    objects: u64,
    bytes: u64,
    blocks: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
struct OrphansOut {
    #[serde(rename = "type")]
    type_name: String,
    objects: u64,
    references_too_many: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    library: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

/// What `memwhy garbage --json` prints: the `top` groups of each kind.
#[must_use]
pub fn garbage(case: &Case, top: usize) -> Value {
    let ask = Ask::new(case);
    let (unfreed, kept) = (ask.get::<Garbage>(), ask.get::<Kept>());
    let origin = ask.get::<Origin>();
    let name = |ty| Some(case.heap.as_ref()?.type_row(ty)?.name.clone());
    let cycles = unfreed.cycles.iter().take(top).map(|group| {
        let closed = cycle_text::closing(&ask, &group.example);
        let place = cycle_text::closing_place(&ask, &group.example);
        CyclesOut {
            types: group.types.iter().filter_map(|ty| name(*ty)).collect(),
            cycles: group.count,
            objects: group.objects,
            bytes: group.bytes.0,
            around: cycle_text::around(&ask, &group.example),
            closed_by: closed.map(|(closed, _)| closed),
            file: place.map(|place| place.file.to_owned()),
            line: place.and_then(|place| place.line),
            not_looked_through: group.blind.and_then(name),
        }
    });
    let classes = kept.classes.iter().take(top).map(|class| KeptOut {
        class: class.name.clone(),
        objects: class.count,
        bytes: class.bytes.0,
        blocks: class.blocks,
        file: class.file.clone(),
        line: class.line,
    });
    let leaks = unfreed.leaks.iter().take(top).map(|leak| {
        let place = leak.example.and_then(|id| origin.of(&ask, id));
        let row = leak.ty.and_then(|ty| case.heap.as_ref()?.type_row(ty));
        OrphansOut {
            type_name: row.map(|row| row.name.clone()).unwrap_or_default(),
            objects: leak.count,
            references_too_many: leak.excess,
            bytes: leak.bytes.0,
            library: row.and_then(|row| row.library.clone()),
            file: place.map(|place| place.file.to_owned()),
            line: place.and_then(|place| place.line),
        }
    });
    let gc = case.gc.as_ref().map(|gc| Gc {
        enabled: gc.enabled,
        collecting: gc.collecting,
        thresholds: gc.thresholds.clone(),
        counts: gc.counts.clone(),
        debug: gc.debug.0,
        generations: gc.generations.clone(),
        frozen: gc.frozen,
        tracked: gc.tracked,
    });
    let body = Body {
        gc,
        cycles: Part { objects: unfreed.objects, bytes: unfreed.bytes.0, groups: cycles.collect() },
        kept: Part { objects: kept.objects, bytes: kept.bytes.0, groups: classes.collect() },
        orphans: Part {
            objects: unfreed.orphans,
            bytes: unfreed.orphan_bytes.0,
            groups: leaks.collect(),
        },
    };
    wrapped("memwhy.garbage/1", case, body)
}
