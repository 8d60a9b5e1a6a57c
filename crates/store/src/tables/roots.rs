//! What keeps objects alive from outside, and by which names are they known?

use super::row;
use crate::manifest::{FileFacts, Manifest};
use crate::table::{BATCH, TableReader, TableWriter, full, sparse};
use crate::{ReadError, WriteError};
use arrow_array::{Array, Int32Array, StringArray};
use memwhy_model::{HeapGraph, ObjectId, Root, RootKind};
use std::path::Path;

pub(crate) const NAME: &str = "roots.parquet";

/// Writes every root, in the order in which they were found.
pub(crate) fn write(folder: &Path, heap: &HeapGraph) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, NAME, &[])?;
    let roots = heap.roots();
    for roots in roots.chunks(BATCH).chain(roots.is_empty().then_some(roots)) {
        // Without `..`: a field that is added has to be stored.
        let each = roots.iter().map(|Root { kind, name, object, file, line }| {
            (kind.id(), name.as_str(), row(object.0), file.as_deref(), line.map(row))
        });
        table.write(vec![
            full("oid", Int32Array::from_iter_values(each.clone().map(|root| root.2))),
            full("kind", StringArray::from_iter_values(each.clone().map(|root| root.0))),
            full("name", StringArray::from_iter_values(each.clone().map(|root| root.1))),
            sparse("file", each.clone().map(|root| root.3).collect::<StringArray>()),
            sparse("line", each.map(|root| root.4).collect::<Int32Array>()),
        ])?;
    }
    table.finish()
}

/// Reads the roots of a heap of so many objects.
pub(crate) fn read(
    folder: &Path,
    manifest: &Manifest,
    objects: usize,
) -> Result<Vec<Root>, ReadError> {
    let table = TableReader::open(folder, manifest, NAME)?;
    let mut roots = Vec::new();
    for rows in table.batches(&["oid", "kind", "name", "file", "line"], None)? {
        let rows = rows?;
        let (kinds, names, files) = (rows.texts(1)?, rows.texts(2)?, rows.texts(3)?);
        let lines = rows.optional_ints(4)?;
        for ((at, oid), line) in rows.ints(0)?.iter().enumerate().zip(lines) {
            let object = u32::try_from(*oid).ok().filter(|oid| (*oid as usize) < objects);
            let (Some(object), true) = (object, names.is_valid(at) && kinds.is_valid(at)) else {
                return Err(table.broken(format!("a root of object {oid}, which is not there")));
            };
            let kind = kind(kinds.value(at)).ok_or_else(|| table.broken("a root of no kind"))?;
            roots.push(Root {
                kind,
                name: names.value(at).into(),
                object: ObjectId(object),
                file: files.is_valid(at).then(|| files.value(at).into()),
                line: line.and_then(|line| u32::try_from(line).ok()),
            });
        }
    }
    Ok(roots)
}

/// The kind with an id: words in tables are those of JSON.
fn kind(id: &str) -> Option<RootKind> {
    serde_json::from_value(id.into()).ok()
}
