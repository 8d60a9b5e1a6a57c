//! What of a case do other programs want as tables?
//!
//! Copies of what `case.json` has: written, never read by memwhy.

use super::edges::Way;
use super::{long, row};
use crate::WriteError;
use crate::manifest::FileFacts;
use crate::table::{TableWriter, full, sparse};
use arrow_array::builder::{Int32Builder, ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{
    BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Fields};
use memwhy_model::{Bytes, Case, Frame, HeapGraph, MappingFacts, Owner, ThreadFacts};
use std::path::Path;

/// Writes all of them.
pub(crate) fn write(folder: &Path, case: &Case) -> Result<Vec<FileFacts>, WriteError> {
    Ok(vec![
        snapshots(folder, case)?,
        owners(folder, case)?,
        regions(folder, case)?,
        arenas(folder, case)?,
        threads(folder, case)?,
        ways(folder)?,
    ])
}

/// One row: which process, and its figures.
fn snapshots(folder: &Path, case: &Case) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, "snapshots.parquet", &[])?;
    let about = &case.about;
    let python = about.python.as_ref();
    let one = |number: u64| Int64Array::from(vec![long(number)]);
    let heap = case.heap.as_ref();
    #[expect(clippy::cast_possible_truncation, reason = "microseconds since 1970 fit for long")]
    let taken = (about.taken_at_unix_s * 1e6) as i64;
    table.write(vec![
        full("taken_at", TimestampMicrosecondArray::from(vec![taken]).with_timezone("UTC")),
        full("pid", Int32Array::from(vec![row(about.pid)])),
        full("command", StringArray::from(vec![about.command.join(" ")])),
        full("exe", StringArray::from(vec![about.exe.as_str()])),
        sparse("uptime_s", Float64Array::from(vec![about.uptime_s])),
        sparse("python", StringArray::from(vec![python.map(|python| python.version.as_str())])),
        sparse("free_threaded", BooleanArray::from(vec![python.map(|it| it.free_threaded)])),
        sparse("malloc", StringArray::from(vec![case.malloc.as_ref().map(|it| it.name.as_str())])),
        full("pause_ms", Float64Array::from(vec![about.moment.pause_ms])),
        full("rss", one(case.rss().0)),
        full("unexplained", one(case.accounting.unexplained.0)),
        sparse("objects", Int64Array::from(vec![heap.map(|heap| long(heap.len() as u64))])),
        sparse("edges", Int64Array::from(vec![heap.map(|heap| long(heap.edge_count() as u64))])),
        sparse("object_bytes", Int64Array::from(vec![heap.map(|heap| long(heap.total().0))])),
        sparse("complete", BooleanArray::from(vec![heap.map(HeapGraph::complete)])),
    ])?;
    table.finish()
}

/// RSS by owner; with the row `unexplained` the sum is RSS.
fn owners(folder: &Path, case: &Case) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, "owners.parquet", &[])?;
    let unexplained = ("unexplained", case.accounting.unexplained, Bytes(0));
    let owners = case.accounting.owners().map(|o| (o.owner.id(), o.resident, o.claimed));
    let owners: Vec<_> = owners.chain([unexplained]).collect();
    table.write(vec![
        full("owner", StringArray::from_iter_values(owners.iter().map(|owner| owner.0))),
        full("resident", Int64Array::from_iter_values(owners.iter().map(|o| long(o.1.0)))),
        full("claimed", Int64Array::from_iter_values(owners.iter().map(|o| long(o.2.0)))),
    ])?;
    table.finish()
}

/// Every mapping, with a column for each owner that can have pages in one.
fn regions(folder: &Path, case: &Case) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, "regions.parquet", &["start", "end"])?;
    let maps = &case.mappings;
    let longs = |of: &dyn Fn(&MappingFacts) -> u64| {
        Int64Array::from_iter_values(maps.iter().map(|map| long(of(map))))
    };
    let bools = |of: fn(&MappingFacts) -> bool| {
        maps.iter().map(|map| Some(of(map))).collect::<BooleanArray>()
    };
    let texts = |of: fn(&MappingFacts) -> &str| StringArray::from_iter_values(maps.iter().map(of));
    let mut columns = vec![
        full("start", longs(&|map| map.range.start.0)),
        full("end", longs(&|map| map.range.end.0)),
        full("permissions", texts(|map| &map.permissions)),
        full("name", texts(|map| &map.name)),
        full("file", bools(|map| map.file)),
        full("shmem", bools(|map| map.shmem)),
        full("rss", longs(&|map| map.rss.0)),
        full("pss", longs(&|map| map.pss.0)),
        full("private_dirty", longs(&|map| map.private_dirty.0)),
        full("swap", longs(&|map| map.swap.0)),
        full("anon_huge", longs(&|map| map.anon_huge.0)),
        full("unexplained", longs(&|map| map.unexplained.0)),
    ];
    columns.extend(Owner::ALL.into_iter().map(|owner| {
        let of = |map: &MappingFacts| {
            map.owners.iter().filter(|(who, _)| *who == owner).map(|(_, bytes)| bytes.0).sum()
        };
        full(owner.id(), longs(&of))
    }));
    table.write(columns)?;
    table.finish()
}

/// Every arena of glibc's malloc.
fn arenas(folder: &Path, case: &Case) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, "arenas.parquet", &[])?;
    let glibc = case.malloc.as_ref().and_then(|malloc| malloc.glibc.as_ref());
    let arenas = glibc.map(|glibc| glibc.arenas.as_slice()).unwrap_or_default();
    let longs = |of: &dyn Fn(&memwhy_model::ArenaFacts) -> u64| {
        Int64Array::from_iter_values(arenas.iter().map(|arena| long(of(arena))))
    };
    table.write(vec![
        full("addr", longs(&|arena| arena.addr.0)),
        full("main", arenas.iter().map(|arena| Some(arena.main)).collect::<BooleanArray>()),
        sparse(
            "attached_threads",
            arenas.iter().map(|arena| arena.attached_threads.map(long)).collect::<Int64Array>(),
        ),
        full("system", longs(&|arena| arena.system.0)),
        full("in_use", longs(&|arena| arena.in_use.0)),
        full("free", longs(&|arena| arena.free.0)),
        full("top", longs(&|arena| arena.top.0)),
        full("resident", longs(&|arena| arena.resident.0)),
        full("free_resident", longs(&|arena| arena.free_resident.0)),
        full("trim_returns", longs(&|arena| arena.trim_returns.0)),
    ])?;
    table.finish()
}

/// Every thread with its Python frames, the innermost first.
fn threads(folder: &Path, case: &Case) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, "threads.parquet", &[])?;
    let threads = &case.threads;
    let texts =
        |of: fn(&ThreadFacts) -> &str| StringArray::from_iter_values(threads.iter().map(of));
    let bools = |of: fn(&ThreadFacts) -> bool| {
        threads.iter().map(|thread| Some(of(thread))).collect::<BooleanArray>()
    };
    let doubles =
        |of: fn(&ThreadFacts) -> f64| Float64Array::from_iter_values(threads.iter().map(of));
    let fields = Fields::from(vec![
        Field::new("function", DataType::Utf8, false),
        Field::new("file", DataType::Utf8, false),
        Field::new("line", DataType::Int32, true),
    ]);
    let one = StructBuilder::from_fields(fields, 0);
    let mut frames = ListBuilder::new(one);
    for thread in threads {
        for Frame { function, file, line, .. } in &thread.frames {
            let frame = frames.values();
            if let Some(builder) = frame.field_builder::<StringBuilder>(0) {
                builder.append_value(function);
            }
            if let Some(builder) = frame.field_builder::<StringBuilder>(1) {
                builder.append_value(file);
            }
            if let Some(builder) = frame.field_builder::<Int32Builder>(2) {
                builder.append_option(line.map(row));
            }
            frame.append(true);
        }
        frames.append(true);
    }
    table.write(vec![
        full("tid", Int32Array::from_iter_values(threads.iter().map(|thread| row(thread.tid)))),
        full("name", texts(|thread| &thread.name)),
        full("state", texts(|thread| thread.state.id())),
        full("cpu_share", doubles(|thread| thread.cpu_share)),
        full("cpu_wait", doubles(|thread| thread.cpu_wait)),
        full("python", bools(|thread| thread.is_python)),
        full("holds_gil", bools(|thread| thread.holds_gil)),
        full("frames", frames.finish()),
    ])?;
    table.finish()
}

/// What the numbers in `edges.way` mean.
fn ways(folder: &Path) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, "ways.parquet", &[])?;
    table.write(vec![
        full("way", Int32Array::from_iter_values(Way::ALL.map(|way| way as i32))),
        full("word", StringArray::from_iter_values(Way::ALL.map(Way::id))),
    ])?;
    table.finish()
}
