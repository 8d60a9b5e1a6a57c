//! Who keeps memory of C, for other programs: copies of what `case.json` has, never read by memwhy.

use super::{long, row};
use crate::manifest::FileFacts;
use crate::table::{TableWriter, full, sparse};
use crate::{Values, WriteError};
use arrow_array::{Int32Array, Int64Array, StringArray};
use memwhy_model::{Case, ContentGroup, Holding, NativeMemory};
use std::path::Path;

/// Writes both tables.
pub(crate) fn write(
    folder: &Path,
    case: &Case,
    values: Values,
) -> Result<[FileFacts; 2], WriteError> {
    let none = NativeMemory::default();
    let native = case.native_memory.as_ref().unwrap_or(&none);
    Ok([holders(folder, &native.holders)?, contents(folder, &native.contents, values)?])
}

/// Every holder; the sum of all bytes is what malloc has handed out.
fn holders(folder: &Path, holders: &[Holding]) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, "native_holders.parquet", &["holder_id"])?;
    let ids = (0..u32::try_from(holders.len()).unwrap_or(u32::MAX)).map(row);
    let longs = |of: &dyn Fn(&Holding) -> u64| {
        Int64Array::from_iter_values(holders.iter().map(|holding| long(of(holding))))
    };
    table.write(vec![
        full("holder_id", Int32Array::from_iter_values(ids)),
        full("kind", StringArray::from_iter_values(holders.iter().map(|of| of.kind.id()))),
        full("names", StringArray::from_iter_values(holders.iter().map(|of| of.names.join(" ")))),
        full("chunks", longs(&|of| of.all().chunks)),
        full("bytes", longs(&|of| of.all().bytes.0)),
        full("own_bytes", longs(&|of| of.own.bytes.0)),
        full("direct_bytes", longs(&|of| of.direct.bytes.0)),
        full("through_bytes", longs(&|of| of.through.bytes.0)),
    ])?;
    table.finish()
}

/// What is no object's own, by size, beginning and holder.
fn contents(
    folder: &Path,
    groups: &[ContentGroup],
    values: Values,
) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, "native_contents.parquet", &[])?;
    let longs = |of: &dyn Fn(&ContentGroup) -> u64| {
        Int64Array::from_iter_values(groups.iter().map(|group| long(of(group))))
    };
    let texts = |of: &dyn Fn(&'_ ContentGroup) -> Option<String>| {
        groups.iter().map(of).collect::<StringArray>()
    };
    let text = |group: &ContentGroup| match values {
        Values::Kept => group.content.text.clone(),
        Values::LeftOut => None,
    };
    table.write(vec![
        full("holder_id", Int32Array::from_iter_values(groups.iter().map(|of| row(of.holder)))),
        full("least_size", longs(&|of| of.sizes.0)),
        full("largest_size", longs(&|of| of.sizes.1)),
        full("begins", StringArray::from_iter_values(groups.iter().map(|of| of.content.kind.id()))),
        sparse("symbol", texts(&|of| of.content.symbol.clone())),
        sparse("library", texts(&|of| of.content.library.clone())),
        sparse("text", texts(&text)),
        full("chunks", longs(&|of| of.all.chunks)),
        full("bytes", longs(&|of| of.all.bytes.0)),
        full("inner_chunks", longs(&|of| of.inner)),
    ])?;
    table.finish()
}
