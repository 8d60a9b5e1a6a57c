//! Which words do references go by?

use crate::manifest::{FileFacts, Manifest};
use crate::table::{BATCH, TableReader, TableWriter, full};
use crate::{ReadError, WriteError};
use arrow_array::{Array, Int32Array, StringArray};
use std::collections::HashMap;
use std::path::Path;

pub(crate) const NAME: &str = "names.parquet";

/// Words, each once, by number. The map is one that no choice of words can slow down: they are the
/// target's.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<Box<str>, i32>,
}

impl Names {
    /// The number of a word; `None` when there are more than can be numbered.
    pub(crate) fn number(&mut self, word: &str) -> Option<i32> {
        if let Some(number) = self.numbers.get(word) {
            return Some(*number);
        }
        let number = i32::try_from(self.numbers.len()).ok()?;
        self.numbers.insert(word.into(), number);
        Some(number)
    }

    /// Writes all words, in the order of their numbers.
    pub(crate) fn write(self, folder: &Path) -> Result<FileFacts, WriteError> {
        let mut table = TableWriter::create(folder, NAME, &["name_id"])?;
        let mut words: Vec<(i32, Box<str>)> =
            self.numbers.into_iter().map(|(word, number)| (number, word)).collect();
        words.sort_unstable_by_key(|(number, _)| *number);
        for words in words.chunks(BATCH).chain(words.is_empty().then_some(&words[..])) {
            table.write(vec![
                full("name_id", Int32Array::from_iter_values(words.iter().map(|word| word.0))),
                full("text", StringArray::from_iter_values(words.iter().map(|word| &word.1))),
            ])?;
        }
        table.finish()
    }
}

/// Opens the table of words.
pub(crate) fn open(folder: &Path, manifest: &Manifest) -> Result<TableReader, ReadError> {
    TableReader::open(folder, manifest, NAME)
}

/// Reads all words; that with number `n` is the `n`th.
pub(crate) fn read(table: &TableReader) -> Result<Vec<Box<str>>, ReadError> {
    let mut words = Vec::new();
    for rows in table.batches(&["name_id", "text"], None)? {
        let rows = rows?;
        let texts = rows.texts(1)?;
        for (at, number) in rows.ints(0)?.iter().enumerate() {
            if usize::try_from(*number) != Ok(words.len()) || texts.is_null(at) {
                return Err(table.broken(format!("word {number} is out of order")));
            }
            words.push(texts.value(at).into());
        }
    }
    Ok(words)
}
