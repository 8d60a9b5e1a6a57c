//! The formats of the commands that look at objects: `memwhy.show/1`, `memwhy.paths/1`, and the
//! groups of `memwhy.heap/1`.

use super::parts::wrapped;
use memwhy_model::{Case, Flags, Label};
use memwhy_reason::analyses::reachability::Held;
use memwhy_reason::picture::Picture;
use memwhy_reason::{Closeup, Groups, Path, Related, Selection, Ways};
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
pub(super) struct GroupsOut<'a> {
    by: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    of_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<RowOf<'a>>,
    objects: u64,
    bytes: u64,
    footprint_bytes: u64,
    rows: Vec<GroupOut<'a>>,
    more_rows: u64,
}

#[derive(Serialize)]
struct RowOf<'a> {
    by: &'static str,
    key: &'a str,
}

#[derive(Serialize)]
struct GroupOut<'a> {
    key: &'a str,
    objects: u64,
    bytes: u64,
    footprint_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retained_bytes: Option<u64>,
}

/// The `top` rows.
pub(super) fn groups<'a>(groups: &'a Groups, asked: &'a Selection, top: usize) -> GroupsOut<'a> {
    let row = |row: &'a memwhy_reason::Group| GroupOut {
        key: &row.key,
        objects: row.objects,
        bytes: row.bytes.0,
        footprint_bytes: row.footprint.0,
        retained_bytes: row.retained.map(|bytes| bytes.0),
    };
    GroupsOut {
        by: asked.by.id(),
        of_type: asked.of_type.as_deref(),
        row: asked.row.as_ref().map(|(by, key)| RowOf { by: by.id(), key }),
        objects: groups.objects,
        bytes: groups.bytes.0,
        footprint_bytes: groups.footprint.0,
        rows: groups.rows.iter().take(top).map(row).collect(),
        more_rows: groups.rows.len().saturating_sub(top) as u64,
    }
}

#[derive(Serialize)]
struct RelatedOut<'a> {
    object: String,
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(rename = "type")]
    type_name: &'a str,
    bytes: u64,
    footprint_bytes: u64,
    retained_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<&'a str>,
}

impl<'a> RelatedOut<'a> {
    fn of(one: &'a Related) -> Self {
        Self {
            object: one.addr.to_string(),
            label: one.label.as_ref().map(|label| label.to_string().trim().to_owned()),
            type_name: &one.type_name,
            bytes: one.size.0,
            footprint_bytes: one.footprint.0,
            retained_bytes: one.retained.0,
            preview: one.preview.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct PathOut<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    steps: Vec<StepOut<'a>>,
}

#[derive(Serialize)]
struct StepOut<'a> {
    object: String,
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    label: Option<&'a Label>,
}

impl<'a> PathOut<'a> {
    fn of(path: &'a Path, case: &Case) -> Self {
        let addr = |id| case.heap.as_ref().map(|heap| heap.addr(id)).unwrap_or_default();
        Self {
            path: &path.text,
            root: path.root.map(memwhy_model::RootKind::id),
            file: path.file.as_deref(),
            line: path.line,
            steps: path
                .steps
                .iter()
                .map(|(id, label)| StepOut { object: addr(*id).to_string(), label: label.as_ref() })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct ShowBody<'a> {
    #[serde(flatten)]
    this: RelatedOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_count: Option<u32>,
    flags: Vec<&'static str>,
    held_by: &'static str,
    retained_objects: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dominator: Option<RelatedOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathOut<'a>>,
    references: Vec<RelatedOut<'a>>,
    references_in_all: u64,
    referrers: Vec<RelatedOut<'a>>,
    referrers_in_all: u64,
}

/// What `memwhy show --json` prints.
#[must_use]
pub fn show(case: &Case, closeup: &Closeup) -> Value {
    let known = [
        (Flags::TRACKED, "tracked"),
        (Flags::IMMORTAL, "immortal"),
        (Flags::STATIC, "static"),
        (Flags::PARTLY_READ, "partly-read"),
        (Flags::GARBAGE, "garbage"),
        (Flags::ORPHAN, "orphan"),
        (Flags::WEAK, "weak"),
    ];
    let flags = known.iter().filter(|(flag, _)| closeup.flags.has(*flag)).map(|(_, name)| *name);
    let body = ShowBody {
        this: RelatedOut::of(&closeup.this),
        reference_count: closeup.reference_count,
        flags: flags.collect(),
        held_by: match closeup.held {
            Held::Nothing => "nothing",
            Held::Forever => "process",
            Held::C => "c",
            Held::Python => "python",
        },
        retained_objects: closeup.retained_objects,
        dominator: closeup.dominator.as_ref().map(RelatedOut::of),
        path: closeup.path.as_ref().map(|path| PathOut::of(path, case)),
        references: closeup.references.iter().map(RelatedOut::of).collect(),
        references_in_all: closeup.reference_total,
        referrers: closeup.referrers.iter().map(RelatedOut::of).collect(),
        referrers_in_all: closeup.referrer_total,
    };
    wrapped("memwhy.show/1", case, body)
}

#[derive(Serialize)]
struct PathsBody<'a> {
    of: &'a str,
    objects: u64,
    footprint_bytes: u64,
    paths: Vec<WayOut<'a>>,
    more_paths: u64,
    unreached_objects: u64,
}

#[derive(Serialize)]
struct WayOut<'a> {
    #[serde(flatten)]
    path: PathOut<'a>,
    types: &'a [String],
    objects: u64,
    footprint_bytes: u64,
    retained_bytes: u64,
}

/// What `memwhy paths --json` prints.
#[must_use]
pub fn paths(case: &Case, ways: &Ways) -> Value {
    let body = PathsBody {
        of: &ways.of,
        objects: ways.objects,
        footprint_bytes: ways.footprint.0,
        paths: ways
            .rows
            .iter()
            .map(|way| WayOut {
                path: PathOut::of(&way.path, case),
                types: &way.types,
                objects: way.objects,
                footprint_bytes: way.footprint.0,
                retained_bytes: way.retained.0,
            })
            .collect(),
        more_paths: ways.more,
        unreached_objects: ways.unreached,
    };
    wrapped("memwhy.paths/1", case, body)
}

#[derive(Serialize)]
struct RefsBody<'a> {
    nodes: Vec<NodeOut<'a>>,
    edges: Vec<EdgeOut<'a>>,
}

#[derive(Serialize)]
struct NodeOut<'a> {
    #[serde(flatten)]
    object: Option<RelatedOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    depth: usize,
    in_cycle: bool,
    more: u64,
}

#[derive(Serialize)]
struct EdgeOut<'a> {
    from: usize,
    to: usize,
    #[serde(rename = "as")]
    label: &'a str,
    in_cycle: bool,
}

/// What `memwhy refs --json` prints.
#[must_use]
pub fn refs(case: &Case, picture: &Picture) -> Value {
    let nodes = picture.nodes.iter().map(|node| NodeOut {
        object: node.object.as_ref().map(RelatedOut::of),
        name: node.name.as_deref(),
        depth: node.depth,
        in_cycle: node.in_cycle,
        more: node.more,
    });
    let edges = picture.edges.iter().map(|edge| EdgeOut {
        from: edge.from,
        to: edge.to,
        label: &edge.label,
        in_cycle: edge.in_cycle,
    });
    wrapped("memwhy.refs/1", case, RefsBody { nodes: nodes.collect(), edges: edges.collect() })
}
