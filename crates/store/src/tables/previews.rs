//! What do objects look like, where that may be written down?

use super::row;
use crate::manifest::{FileFacts, Manifest};
use crate::table::{BATCH, TableReader, TableWriter, full};
use crate::{ReadError, WriteError};
use arrow_array::{Int32Array, StringArray};
use memwhy_model::{Details, HeapGraph};
use std::path::Path;

pub(crate) const NAME: &str = "previews.parquet";

/// Characters of a preview: no command shows more of an object.
pub(crate) const BUDGET: usize = 200;

/// Writes a preview of every object that has one.
pub(crate) fn write(
    folder: &Path,
    heap: &HeapGraph,
    details: &dyn Details,
) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, NAME, &["oid"])?;
    let mut rows: (Vec<i32>, Vec<String>) = Default::default();
    let mut send = |rows: &mut (Vec<i32>, Vec<String>)| {
        let (ids, texts) = std::mem::take(rows);
        table.write(vec![
            full("oid", Int32Array::from(ids)),
            full("preview", StringArray::from(texts)),
        ])
    };
    for id in heap.ids() {
        if let Some(preview) = details.preview(heap, id, BUDGET) {
            rows.0.push(row(id.0));
            rows.1.push(preview);
        }
        if rows.0.len() >= BATCH {
            send(&mut rows)?;
        }
    }
    send(&mut rows)?;
    table.finish()
}

/// Opens the table of previews.
pub(crate) fn open(folder: &Path, manifest: &Manifest) -> Result<TableReader, ReadError> {
    TableReader::open(folder, manifest, NAME)
}
