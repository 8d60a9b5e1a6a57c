//! What do objects look like, where that may be written down?

use super::row;
use crate::manifest::{FileFacts, Manifest};
use crate::redact::Program;
use crate::table::{BATCH, TableReader, TableWriter, full, sparse};
use crate::{ReadError, Values, WriteError};
use arrow_array::{Int32Array, StringArray};
use memwhy_model::{Details, HeapGraph, ObjectId, PreviewLength};
use std::path::Path;

pub(crate) const NAME: &str = "previews.parquet";

/// Rows that are not written yet.
#[derive(Debug, Default)]
struct Rows {
    oid: Vec<i32>,
    preview: Vec<String>,
    /// The shorter one where it is another.
    short: Vec<Option<String>>,
}

impl Rows {
    fn write(&mut self, table: &mut TableWriter) -> Result<(), WriteError> {
        let rows = std::mem::take(self);
        table.write(vec![
            full("oid", Int32Array::from(rows.oid)),
            full("preview", StringArray::from(rows.preview)),
            sparse("short", StringArray::from(rows.short)),
        ])
    }
}

/// Writes a preview of every object that has one and of which it may be written.
pub(crate) fn write(
    folder: &Path,
    heap: &HeapGraph,
    details: Option<&dyn Details>,
    values: Values,
) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, NAME, &["oid"])?;
    let mut rows = Rows::default();
    let program = Program::of(heap);
    let may = |id: &ObjectId| match values {
        Values::Kept => true,
        Values::LeftOut => program.has(heap, *id),
    };
    for id in heap.ids().filter(may) {
        let of = |length| details.and_then(|details| details.preview(heap, id, length));
        if let Some(preview) = of(PreviewLength::Long) {
            // What is very short anyway needs no second look.
            let may_be_cut = preview.len() > PreviewLength::Short.characters() / 4;
            let cut = may_be_cut.then(|| of(PreviewLength::Short)).flatten();
            rows.short.push(cut.filter(|cut| *cut != preview));
            rows.oid.push(row(id.0));
            rows.preview.push(preview);
        }
        if rows.oid.len() >= BATCH {
            rows.write(&mut table)?;
        }
    }
    rows.write(&mut table)?;
    table.finish()
}

/// Opens the table of previews.
pub(crate) fn open(folder: &Path, manifest: &Manifest) -> Result<TableReader, ReadError> {
    TableReader::open(folder, manifest, NAME)
}
