//! How is one table written, row by row, and read without believing it?

use crate::guard::guarded;
use crate::manifest::{FileFacts, Manifest, Summed};
use crate::{ReadError, WriteError};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows that are encoded together: what a reader has to hold, and what statistics are kept of.
pub(crate) const ROW_GROUP: usize = 1 << 20;

/// Rows handed over at once.
pub(crate) const BATCH: usize = 1 << 16;

/// Only its owner may read what is written: it tells of a program's memory.
const MODE: u32 = 0o600;

/// What is said of a table that the library cannot make sense of, nor say why.
const NONSENSE: &str = "it is not a table that can be decoded";

/// A column with its name, and whether it may be empty.
pub(crate) type Column = (&'static str, ArrayRef, bool);

/// A column that every row has.
pub(crate) fn full(name: &'static str, array: impl Array + 'static) -> Column {
    (name, Arc::new(array), false)
}

/// A column that a row may lack.
pub(crate) fn sparse(name: &'static str, array: impl Array + 'static) -> Column {
    (name, Arc::new(array), true)
}

/// Makes a file for its owner alone.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
}

/// Writes a table. It is sorted by its first column.
#[derive(Debug)]
pub(crate) struct TableWriter {
    name: &'static str,
    path: PathBuf,
    file: Option<File>,
    ascending: &'static [&'static str],
    writer: Option<ArrowWriter<Summed<File>>>,
}

impl TableWriter {
    /// Begins the table `name` in `folder`. Columns that mostly ascend are named: their differences
    /// are stored.
    pub(crate) fn create(
        folder: &Path,
        name: &'static str,
        ascending: &'static [&'static str],
    ) -> Result<Self, WriteError> {
        let path = folder.join(name);
        let file = create(&path).map_err(WriteError::io(&path))?;
        Ok(Self { name, path, file: Some(file), ascending, writer: None })
    }

    /// Appends rows; all columns are as long as the first.
    pub(crate) fn write(&mut self, columns: Vec<Column>) -> Result<(), WriteError> {
        let batch = RecordBatch::try_from_iter_with_nullable(columns);
        let batch = batch.map_err(|error| self.failed(error.into()))?;
        if let Some(file) = self.file.take() {
            let options = ArrowWriterOptions::new()
                .with_properties(properties(self.ascending))
                .with_skip_arrow_metadata(true);
            let writer =
                ArrowWriter::try_new_with_options(Summed::new(file), batch.schema(), options);
            self.writer = Some(writer.map_err(|error| self.failed(error))?);
        }
        let written = self.writer.as_mut().map_or(Ok(()), |writer| writer.write(&batch));
        written.map_err(|error| self.failed(error))
    }

    /// Ends the table; returns what its file has to be from now on.
    pub(crate) fn finish(mut self) -> Result<FileFacts, WriteError> {
        let Some(writer) = self.writer.take() else {
            return Ok(FileFacts { name: self.name.into(), bytes: 0, crc32: 0 });
        };
        let summed = writer.into_inner().map_err(|error| self.failed(error))?;
        let (file, facts) = summed.facts(self.name);
        // Some file systems find out only now that they are full.
        file.sync_data().map_err(WriteError::io(&self.path))?;
        Ok(facts)
    }

    fn failed(&self, error: ParquetError) -> WriteError {
        let error = match error {
            ParquetError::External(error) => match error.downcast::<io::Error>() {
                Ok(error) => *error,
                Err(error) => io::Error::other(error),
            },
            other => io::Error::other(other),
        };
        WriteError::Io { path: self.path.clone(), error }
    }
}

fn properties(ascending: &[&'static str]) -> WriterProperties {
    let sorted = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(vec![sorted]))
        .set_created_by(concat!("memwhy ", env!("CARGO_PKG_VERSION")).into());
    for column in ascending {
        let column = ColumnPath::from(*column);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}

/// Reads a table.
#[derive(Debug)]
pub(crate) struct TableReader {
    name: &'static str,
    file: File,
    metadata: ArrowReaderMetadata,
    /// The first row of each group of rows, and the number of rows at the end.
    starts: Vec<u64>,
}

impl TableReader {
    /// Opens the table `name` of `folder`, whose file is as the manifest says.
    pub(crate) fn open(
        folder: &Path,
        manifest: &Manifest,
        name: &'static str,
    ) -> Result<Self, ReadError> {
        let file = manifest.open(folder, name)?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guarded(|| ArrowReaderMetadata::load(&file, options))
            .ok_or_else(|| ReadError::new(name, NONSENSE))?
            .map_err(|error| ReadError::new(name, error))?;
        let mut starts = vec![0u64];
        let mut rows = 0u64;
        for group in metadata.metadata().row_groups() {
            let more = u64::try_from(group.num_rows()).ok();
            rows = more
                .and_then(|more| rows.checked_add(more))
                .ok_or_else(|| ReadError::new(name, "it counts its rows wrongly"))?;
            starts.push(rows);
        }
        Ok(Self { name, file, metadata, starts })
    }

    /// Number of rows that the table says it has.
    pub(crate) fn rows(&self) -> u64 {
        self.starts.last().copied().unwrap_or_default()
    }

    /// Number of groups of rows.
    pub(crate) fn groups(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Which group has a row, and which is the first row of that group.
    pub(crate) fn group_of(&self, row: u64) -> Option<(usize, u64)> {
        let after = self.starts.partition_point(|start| *start <= row);
        let group = after.checked_sub(1)?;
        self.starts.get(after)?;
        Some((group, *self.starts.get(group)?))
    }

    /// Reads columns of all rows, or of one group of them.
    pub(crate) fn batches(
        &self,
        columns: &[&str],
        group: Option<usize>,
    ) -> Result<impl Iterator<Item = Result<Rows, ReadError>> + use<>, ReadError> {
        let name = self.name;
        let schema = self.metadata.schema();
        let mut wanted = Vec::new();
        for column in columns {
            let found = schema.index_of(column);
            wanted.push(found.map_err(|_| self.broken(format!("it has no column {column}")))?);
        }
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), wanted.iter().copied());
        // The reader hands columns out in the order of the file.
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_unstable_by_key(|at| wanted.get(*at).copied());
        let mut places = vec![0; order.len()];
        for (place, at) in order.into_iter().enumerate() {
            if let Some(slot) = places.get_mut(at) {
                *slot = place;
            }
        }
        let file = self.file.try_clone().map_err(|error| self.broken(error))?;
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_projection(mask)
                .with_batch_size(BATCH);
        if let Some(group) = group {
            builder = builder.with_row_groups(vec![group]);
        }
        let reader = guarded(|| builder.build()).ok_or_else(|| self.broken(NONSENSE))?;
        let mut reader = Some(reader.map_err(|error| self.broken(error))?);
        Ok(std::iter::from_fn(move || {
            let Some(next) = guarded(|| reader.as_mut().and_then(Iterator::next)) else {
                // Not to be asked again.
                reader = None;
                return Some(Err(ReadError::new(name, NONSENSE)));
            };
            let batch = next?.map_err(|error| ReadError::new(name, error));
            Some(batch.map(|batch| Rows { name, batch, places: places.clone() }))
        }))
    }

    pub(crate) fn broken(&self, why: impl std::fmt::Display) -> ReadError {
        ReadError::new(self.name, why)
    }
}

/// Some rows of a table, columns in the order in which they were asked for.
#[derive(Debug)]
pub(crate) struct Rows {
    name: &'static str,
    batch: RecordBatch,
    places: Vec<usize>,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// A column of 32 bits that every row has.
    pub(crate) fn ints(&self, column: usize) -> Result<&[i32], ReadError> {
        self.numbers::<Int32Type>(column)
    }

    /// A column of 64 bits that every row has.
    pub(crate) fn longs(&self, column: usize) -> Result<&[i64], ReadError> {
        self.numbers::<Int64Type>(column)
    }

    /// A column of 32 bits that a row may lack.
    pub(crate) fn optional_ints(
        &self,
        column: usize,
    ) -> Result<impl Iterator<Item = Option<i32>> + '_, ReadError> {
        Ok(self.typed::<Int32Type>(column)?.iter())
    }

    /// A column of 64 bits that a row may lack.
    pub(crate) fn optional_longs(
        &self,
        column: usize,
    ) -> Result<impl Iterator<Item = Option<i64>> + '_, ReadError> {
        Ok(self.typed::<Int64Type>(column)?.iter())
    }

    /// A column of text that a row may lack.
    pub(crate) fn texts(&self, column: usize) -> Result<&StringArray, ReadError> {
        self.column(column)?.as_string_opt().ok_or_else(|| self.wrong(column))
    }

    /// A column of yes and no.
    pub(crate) fn bools(&self, column: usize) -> Result<&BooleanArray, ReadError> {
        self.column(column)?.as_boolean_opt().ok_or_else(|| self.wrong(column))
    }

    /// A number that cannot be negative.
    pub(crate) fn count(&self, number: i64) -> Result<u64, ReadError> {
        u64::try_from(number).map_err(|_| ReadError::new(self.name, "a count is negative"))
    }

    fn numbers<T: ArrowPrimitiveType>(&self, column: usize) -> Result<&[T::Native], ReadError> {
        let array = self.typed::<T>(column)?;
        if array.null_count() > 0 {
            return Err(ReadError::new(self.name, "a row lacks what every row has"));
        }
        Ok(array.values())
    }

    fn typed<T: ArrowPrimitiveType>(
        &self,
        column: usize,
    ) -> Result<&arrow_array::PrimitiveArray<T>, ReadError> {
        self.column(column)?.as_primitive_opt::<T>().ok_or_else(|| self.wrong(column))
    }

    fn column(&self, column: usize) -> Result<&ArrayRef, ReadError> {
        let place = self.places.get(column).copied().unwrap_or(usize::MAX);
        self.batch.columns().get(place).ok_or_else(|| self.wrong(column))
    }

    fn wrong(&self, column: usize) -> ReadError {
        ReadError::new(self.name, format!("column {column} is of another type"))
    }
}
