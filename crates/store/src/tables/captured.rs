//! Which variables of outer functions did each function capture?

use super::names::Names;
use super::row;
use crate::manifest::{FileFacts, Manifest};
use crate::table::{TableReader, TableWriter, full};
use crate::{ReadError, WriteError};
use arrow_array::Int32Array;
use memwhy_model::{Details, HeapGraph};
use std::path::Path;

pub(crate) const NAME: &str = "captured.parquet";

/// The type whose objects capture.
const FUNCTION: &str = "builtins.function";

/// Writes the names that each function's cells go by, in the order of the cells.
pub(crate) fn write(
    folder: &Path,
    heap: &HeapGraph,
    details: Option<&dyn Details>,
    names: &mut Names,
) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, NAME, &["oid"])?;
    let (mut ids, mut cells, mut words) = (Vec::new(), Vec::new(), Vec::new());
    let is_function = |id| heap.type_row(heap.type_of(id)).is_some_and(|ty| ty.name == FUNCTION);
    for id in heap.ids().filter(|id| is_function(*id)) {
        let captured = details.map(|details| details.captured(heap, id)).unwrap_or_default();
        for (cell, name) in (0..).zip(captured) {
            let Some(number) = names.number(&name) else { break };
            ids.push(row(id.0));
            cells.push(cell);
            words.push(number);
        }
    }
    table.write(vec![
        full("oid", Int32Array::from(ids)),
        full("cell", Int32Array::from(cells)),
        full("name_id", Int32Array::from(words)),
    ])?;
    table.finish()
}

/// Opens the table of captured variables.
pub(crate) fn open(folder: &Path, manifest: &Manifest) -> Result<TableReader, ReadError> {
    TableReader::open(folder, manifest, NAME)
}
