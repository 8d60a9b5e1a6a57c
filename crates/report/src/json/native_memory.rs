//! Who keeps memory of C: a part of `memwhy.report/1` and of `memwhy.malloc/1`.

use memwhy_model::{Case, Content, ContentGroup, Holding, NativeMemory, Tally};
use serde::Serialize;

/// Rows in a report: all are in `memwhy malloc --json`.
pub(super) const ROWS: usize = 20;

#[derive(Serialize)]
pub(super) struct NativeMemoryOut<'a> {
    searched_bytes: u64,
    unread_bytes: u64,
    threads: u64,
    registers: u64,
    libraries: u64,
    chunks: u64,
    bytes: u64,
    lost_chunks: u64,
    lost_bytes: u64,
    holders: Vec<HoldingOut<'a>>,
    contents: Vec<ContentOut<'a>>,
}

#[derive(Serialize)]
pub(super) struct HoldingOut<'a> {
    kind: &'static str,
    names: &'a [String],
    chunks: u64,
    bytes: u64,
    own: TallyOut,
    direct: TallyOut,
    through: TallyOut,
}

#[derive(Serialize)]
struct TallyOut {
    chunks: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct ContentOut<'a> {
    holder: HolderOut<'a>,
    #[serde(flatten)]
    alike: AlikeOut<'a>,
    chunks: u64,
    bytes: u64,
    inner_chunks: u64,
    examples: Vec<String>,
}

/// What the chunks of a group have in common: their size, and how they begin.
#[derive(Serialize)]
pub(super) struct AlikeOut<'a> {
    least_chunk_bytes: u64,
    largest_chunk_bytes: u64,
    begins: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    library: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Serialize)]
struct HolderOut<'a> {
    kind: &'static str,
    names: &'a [String],
}

/// At most so many rows of each table; nothing where holders were not searched.
pub(super) fn native_memory(case: &Case, rows: usize) -> Option<NativeMemoryOut<'_>> {
    let native = case.native_memory.as_ref()?;
    let lost = native.lost();
    Some(NativeMemoryOut {
        searched_bytes: native.searched.0,
        unread_bytes: native.unread.0,
        threads: native.threads.0,
        registers: native.threads.1,
        libraries: native.libraries,
        chunks: native.all.chunks,
        bytes: native.all.bytes.0,
        lost_chunks: lost.chunks,
        lost_bytes: lost.bytes.0,
        holders: native.holders.iter().take(rows).map(holding).collect(),
        contents: native.contents.iter().take(rows).map(|of| content(native, of)).collect(),
    })
}

fn holding(holding: &Holding) -> HoldingOut<'_> {
    let tally = |of: Tally| TallyOut { chunks: of.chunks, bytes: of.bytes.0 };
    let all = holding.all();
    HoldingOut {
        kind: holding.kind.id(),
        names: &holding.names,
        chunks: all.chunks,
        bytes: all.bytes.0,
        own: tally(holding.own),
        direct: tally(holding.direct),
        through: tally(holding.through),
    }
}

fn content<'a>(native: &'a NativeMemory, group: &'a ContentGroup) -> ContentOut<'a> {
    let holder = native.holder_of(group);
    ContentOut {
        holder: HolderOut {
            kind: holder.map_or("nobody", |holder| holder.kind.id()),
            names: holder.map(|holder| holder.names.as_slice()).unwrap_or_default(),
        },
        alike: alike(group.sizes, &group.content),
        chunks: group.all.chunks,
        bytes: group.all.bytes.0,
        inner_chunks: group.inner,
        examples: group.examples.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn alike(sizes: (u64, u64), content: &Content) -> AlikeOut<'_> {
    AlikeOut {
        least_chunk_bytes: sizes.0,
        largest_chunk_bytes: sizes.1,
        begins: content.kind.id(),
        symbol: content.symbol.as_deref(),
        library: content.library.as_deref(),
        text: content.text.as_deref(),
    }
}
