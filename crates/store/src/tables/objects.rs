//! What does each object weigh, and of which type is it?

use super::{long, row};
use crate::manifest::{FileFacts, Manifest};
use crate::table::{BATCH, TableReader, TableWriter, full, sparse};
use crate::{ReadError, WriteError};
use arrow_array::{Int32Array, Int64Array};
use memwhy_model::{Addr, Flags, HeapBuilder, HeapGraph, ObjectId, TypeId};
use std::path::Path;

pub(crate) const NAME: &str = "objects.parquet";

/// Writes every object, in address order.
pub(crate) fn write(folder: &Path, heap: &HeapGraph) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, NAME, &["oid", "addr"])?;
    let ids: Vec<ObjectId> = heap.ids().collect();
    // Once without any: a table without rows has columns, too.
    for ids in ids.chunks(BATCH).chain(ids.is_empty().then_some(&ids[..])) {
        let longs = |of: &dyn Fn(ObjectId) -> u64| {
            Int64Array::from_iter_values(ids.iter().map(|id| long(of(*id))))
        };
        let counts = ids.iter().map(|id| heap.reference_count(*id).map(i64::from));
        let counts: Int64Array = counts.collect();
        table.write(vec![
            full("oid", Int32Array::from_iter_values(ids.iter().map(|id| row(id.0)))),
            full("addr", longs(&|id| heap.addr(id).0)),
            full(
                "type_id",
                Int32Array::from_iter_values(ids.iter().map(|id| row(heap.type_of(*id).0))),
            ),
            full("size", longs(&|id| heap.size(id).0)),
            full("footprint", longs(&|id| heap.footprint(id).0)),
            full(
                "flags",
                Int32Array::from_iter_values(ids.iter().map(|id| i32::from(heap.flags(*id).0))),
            ),
            sparse("reference_count", counts),
        ])?;
    }
    table.finish()
}

/// Puts every object into `heap`; `types` is how many types there are.
pub(crate) fn read(
    folder: &Path,
    manifest: &Manifest,
    types: usize,
    heap: &mut HeapBuilder,
) -> Result<(), ReadError> {
    let table = TableReader::open(folder, manifest, NAME)?;
    if table.rows() != manifest.objects {
        return Err(table.broken("it has another number of rows than the manifest says"));
    }
    let mut last = None;
    let mut expected = 0;
    for rows in table.batches(&["oid", "addr", "type_id", "footprint", "flags"], None)? {
        let rows = rows?;
        let columns = (rows.ints(0)?, rows.longs(1)?, rows.ints(2)?, rows.longs(3)?, rows.ints(4)?);
        for at in 0..rows.len() {
            let (Some(oid), Some(addr), Some(ty), Some(footprint), Some(flags)) = (
                columns.0.get(at),
                columns.1.get(at),
                columns.2.get(at),
                columns.3.get(at),
                columns.4.get(at),
            ) else {
                return Err(table.broken("a column is shorter than the others"));
            };
            if *oid != expected || last.is_some_and(|last| last >= *addr) {
                return Err(table.broken(format!("object {oid} is out of order")));
            }
            let ty = u32::try_from(*ty).ok().filter(|ty| (*ty as usize) < types);
            let ty = ty.ok_or_else(|| table.broken(format!("object {oid} has no type")))?;
            let flags = u16::try_from(*flags)
                .map_err(|_| table.broken(format!("object {oid} has flags that nobody knows")))?;
            let addr = rows.count(*addr)?;
            heap.push(Addr(addr), TypeId(ty), rows.count(*footprint)?, Flags(flags));
            last = Some(addr.cast_signed());
            expected = expected.saturating_add(1);
        }
    }
    heap.seal_objects();
    if heap.graph().len() as u64 != manifest.objects {
        return Err(table.broken("it ends before its last row"));
    }
    let mut id = 0;
    for rows in table.batches(&["size", "footprint", "reference_count"], None)? {
        let rows = rows?;
        let sizes = rows.longs(0)?.iter().zip(rows.longs(1)?);
        for ((size, footprint), count) in sizes.zip(rows.optional_longs(2)?) {
            heap.set_size(ObjectId(id), rows.count(*footprint)?, rows.count(*size)?, 0);
            if let Some(count) = count {
                heap.set_reference_count(ObjectId(id), rows.count(count)?);
            }
            id = id.saturating_add(1);
        }
    }
    Ok(())
}
