//! Which types are there?

use super::{long, row};
use crate::manifest::{FileFacts, Manifest};
use crate::table::{TableReader, TableWriter, full, sparse};
use crate::{ReadError, WriteError};
use arrow_array::{Array, BooleanArray, Int32Array, Int64Array, StringArray};
use memwhy_model::{Addr, Bytes, Finalizer, HeapGraph, TypeRow};
use std::path::Path;

pub(crate) const NAME: &str = "types.parquet";

/// Writes every type with the sums over its objects.
pub(crate) fn write(folder: &Path, heap: &HeapGraph) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, NAME, &["type_id"])?;
    let types = heap.types();
    let (mut names, mut finalizers, mut libraries) = (Vec::new(), Vec::new(), Vec::new());
    let (mut addrs, mut counts, mut sums, mut footprints) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut looked_through = Vec::new();
    // Without `..`: a field that is added has to be stored.
    for TypeRow { addr, name, count, bytes, footprint, finalizer, collected, library } in types {
        addrs.push(long(addr.0));
        names.push(name.as_str());
        counts.push(long(*count));
        sums.push(long(bytes.0));
        footprints.push(long(footprint.0));
        finalizers.push(finalizer.map(word));
        looked_through.push(*collected);
        libraries.push(library.as_deref());
    }
    let ids = (0..u32::try_from(types.len()).unwrap_or(u32::MAX)).map(row);
    table.write(vec![
        full("type_id", Int32Array::from_iter_values(ids)),
        full("addr", Int64Array::from(addrs)),
        full("name", StringArray::from(names)),
        full("objects", Int64Array::from(counts)),
        full("bytes", Int64Array::from(sums)),
        full("footprint", Int64Array::from(footprints)),
        sparse("finalizer", StringArray::from(finalizers)),
        full("collected", BooleanArray::from(looked_through)),
        sparse("library", StringArray::from(libraries)),
    ])?;
    table.finish()
}

/// Reads the types, with the sums that were written.
pub(crate) fn read(folder: &Path, manifest: &Manifest) -> Result<Vec<TypeRow>, ReadError> {
    let table = TableReader::open(folder, manifest, NAME)?;
    let mut types = Vec::new();
    let columns = [
        "type_id",
        "addr",
        "name",
        "objects",
        "bytes",
        "footprint",
        "finalizer",
        "collected",
        "library",
    ];
    for rows in table.batches(&columns, None)? {
        let rows = rows?;
        let (names, finalizers, libraries) = (rows.texts(2)?, rows.texts(6)?, rows.texts(8)?);
        let (ids, addrs, looked_through) = (rows.ints(0)?, rows.longs(1)?, rows.bools(7)?);
        let sums = rows.longs(3)?.iter().zip(rows.longs(4)?).zip(rows.longs(5)?);
        for ((at, (id, addr)), ((count, bytes), footprint)) in
            ids.iter().zip(addrs).enumerate().zip(sums)
        {
            if usize::try_from(*id) != Ok(types.len()) || names.is_null(at) {
                return Err(table.broken(format!("type {id} is out of order or has no name")));
            }
            let finalizer = finalizers.is_valid(at).then(|| finalizers.value(at));
            let finalizer = finalizer.map(|word| {
                let known = serde_json::from_value::<Finalizer>(word.into());
                known.map_err(|_| table.broken("a finalizer of no kind"))
            });
            types.push(TypeRow {
                addr: Addr(rows.count(*addr)?),
                name: names.value(at).into(),
                count: rows.count(*count)?,
                bytes: Bytes(rows.count(*bytes)?),
                footprint: Bytes(rows.count(*footprint)?),
                finalizer: finalizer.transpose()?,
                collected: looked_through.is_valid(at) && looked_through.value(at),
                library: libraries.is_valid(at).then(|| libraries.value(at).into()),
            });
        }
    }
    Ok(types)
}

/// The word in tables.
const fn word(finalizer: Finalizer) -> &'static str {
    match finalizer {
        Finalizer::Finalize => "finalize",
        Finalizer::Del => "del",
    }
}

#[cfg(test)]
mod tests {
    use super::word;
    use memwhy_model::Finalizer;

    #[test]
    fn words_in_tables_are_those_of_json() {
        for finalizer in [Finalizer::Finalize, Finalizer::Del] {
            assert_eq!(serde_json::to_value(finalizer).expect("a word"), word(finalizer));
        }
    }
}
