//! The formats of the commands that show one part: `memwhy.maps/1` and its like.

use super::objects::{GroupsOut, groups};
use super::{Head, HolderOut, Rss, Tail, TypeOut, holder, owner_id, rss, types_by, value};
use crate::HeapView;
use crate::Kept;
use memwhy_model::{Bytes, Case, GcFacts, TypeCacheFacts, Untold};
use memwhy_reason::Ask;
use memwhy_reason::analyses::{Histogram, Holders, Interned, Program};
use serde::Serialize;
use serde_json::Value;

/// Names in `memwhy.heap/1`.
const NAMES: usize = 100;

/// What a command's own part is wrapped in.
#[derive(Serialize)]
struct Part<'a, T: Serialize> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    body: T,
    #[serde(flatten)]
    tail: Tail<'a>,
}

pub(super) fn wrapped<T: Serialize>(schema: &'static str, case: &Case, body: T) -> Value {
    value(&Part { head: Head::of(schema, case), body, tail: Tail::of(case) })
}

#[derive(Serialize)]
struct SnapBody<'a> {
    path: &'a str,
    objects: u64,
    references: u64,
    bytes: u64,
    values: bool,
}

/// What `memwhy snap --json` prints: what was written.
#[must_use]
pub fn snap(case: &Case, kept: &Kept<'_>) -> Value {
    let Kept { path, objects, references, bytes, values } = *kept;
    wrapped("memwhy.snap/1", case, SnapBody { path, objects, references, bytes, values })
}

#[derive(Serialize)]
struct MapsBody<'a> {
    rss: Rss,
    mappings: Vec<MappingOut<'a>>,
}

#[derive(Serialize)]
struct MappingOut<'a> {
    start: String,
    end: String,
    permissions: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    kind: &'static str,
    rss_bytes: u64,
    #[serde(flatten)]
    pages: Option<PagesOut>,
    owners: Vec<MappingOwner>,
    unexplained_bytes: u64,
}

/// What only the kernel knows, and a core of its does not say.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the keys of the format")]
struct PagesOut {
    pss_bytes: u64,
    private_dirty_bytes: u64,
    swap_bytes: u64,
    anon_huge_bytes: u64,
}

#[derive(Serialize)]
struct MappingOwner {
    owner: String,
    resident_bytes: u64,
}

/// What `memwhy maps --json` prints: every mapping, in address order.
#[must_use]
pub fn maps(case: &Case) -> Value {
    let mapping = |map: &'_ memwhy_model::MappingFacts| -> Vec<MappingOwner> {
        map.owners
            .iter()
            .map(|(owner, Bytes(resident_bytes))| MappingOwner {
                owner: owner_id(*owner, case),
                resident_bytes: *resident_bytes,
            })
            .collect()
    };
    let mappings = case
        .mappings
        .iter()
        .map(|map| MappingOut {
            start: map.range.start.to_string(),
            end: map.range.end.to_string(),
            permissions: &map.permissions,
            name: &map.name,
            kind: match (map.shmem, map.file) {
                (true, _) => "shmem",
                (false, true) => "file",
                (false, false) => "anon",
            },
            rss_bytes: map.rss.0,
            pages: case.about.tells(Untold::Residency).then_some(PagesOut {
                pss_bytes: map.pss.0,
                private_dirty_bytes: map.private_dirty.0,
                swap_bytes: map.swap.0,
                anon_huge_bytes: map.anon_huge.0,
            }),
            owners: mapping(map),
            unexplained_bytes: map.unexplained.0,
        })
        .collect();
    wrapped("memwhy.maps/1", case, MapsBody { rss: rss(&Ask::new(case)), mappings })
}

#[derive(Serialize)]
struct HeapBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    heap: Option<HeapPart>,
    groups: GroupsOut<'a>,
    holders: Vec<HolderOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gc: Option<Gc<'a>>,
    interpreters: Vec<InterpreterOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interned: Option<InternedOut>,
}

/// The strings in the table of interned strings.
#[derive(Serialize)]
struct InternedOut {
    strings: u64,
    bytes: u64,
    immortal_strings: u64,
    immortal_bytes: u64,
}

#[derive(Serialize)]
struct InterpreterOut<'a> {
    id: Option<i64>,
    threads: &'a [u32],
    gil_holder: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gc: Option<Gc<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    type_cache: Option<TypeCacheFacts>,
}

#[derive(Serialize)]
struct HeapPart {
    objects: u64,
    bytes: u64,
    footprint_bytes: u64,
    references: u64,
    complete: bool,
    program_footprint_bytes: u64,
    data_footprint_bytes: u64,
    unreached_objects: u64,
    unreached_bytes: u64,
    names: u64,
    names_not_followed: u64,
    types: Vec<TypeOut>,
}

#[derive(Serialize)]
struct Gc<'a> {
    enabled: Option<bool>,
    collecting: bool,
    thresholds: &'a [i64],
    counts: &'a [i64],
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    generations: &'a [u64],
    #[serde(skip_serializing_if = "Option::is_none")]
    frozen: Option<u64>,
    tracked: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lists_agree: Option<bool>,
}

impl<'a> Gc<'a> {
    fn of(gc: &'a GcFacts) -> Self {
        Self {
            enabled: gc.enabled,
            collecting: gc.collecting,
            thresholds: &gc.thresholds,
            counts: &gc.counts,
            generations: &gc.generations,
            frozen: gc.frozen,
            tracked: gc.tracked,
            lists_agree: gc.lists_agree,
        }
    }
}

/// What `memwhy heap --json` prints: the `top` groups and types, and who reaches most.
#[must_use]
pub fn heap(case: &Case, view: &HeapView<'_>) -> Value {
    let (ask, by, top) = (view.ask, view.by, view.top);
    let held = ask.get::<Holders>();
    let part = case.heap.as_ref().map(|heap| {
        let (types, text) = (ask.get::<Histogram>(), ask.get::<Program>());
        HeapPart {
            objects: types.objects,
            bytes: types.bytes.0,
            footprint_bytes: types.footprint.0,
            references: heap.edge_count() as u64,
            complete: heap.complete(),
            program_footprint_bytes: text.footprint.0,
            data_footprint_bytes: text.data.0,
            unreached_objects: held.unreached_objects,
            unreached_bytes: held.unreached.0,
            names: held.names,
            names_not_followed: held.not_followed,
            types: types_by(ask, by, top),
        }
    });
    let gc = case.gc.as_ref().map(Gc::of);
    let interpreters = case.interpreters.iter().map(|one| InterpreterOut {
        id: one.id,
        threads: &one.threads,
        gil_holder: one.holds_gil,
        gc: one.gc.as_ref().map(Gc::of),
        type_cache: one.type_cache,
    });
    let interpreters = interpreters.collect();
    let interned = case.heap.as_ref().map(|_| {
        let interned = ask.get::<Interned>();
        InternedOut {
            strings: interned.strings,
            bytes: interned.bytes.0,
            immortal_strings: interned.immortal.0,
            immortal_bytes: interned.immortal.1.0,
        }
    });
    let holders = held.holders.iter().take(NAMES).map(holder).collect();
    wrapped(
        "memwhy.heap/1",
        case,
        HeapBody {
            heap: part,
            groups: groups(&view.groups, &view.selection, top),
            holders,
            gc,
            interpreters,
            interned,
        },
    )
}
