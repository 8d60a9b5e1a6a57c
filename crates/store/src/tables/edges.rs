//! Which objects does each object refer to, and how?

use super::names::Names;
use super::row;
use crate::manifest::{FileFacts, Manifest};
use crate::redact;
use crate::table::{BATCH, TableReader, TableWriter, full, sparse};
use crate::{ReadError, Values, WriteError};
use arrow_array::{Int32Array, Int64Array};
use memwhy_model::{Details, HeapBuilder, HeapGraph, Label, ObjectId};
use std::path::Path;

pub(crate) const NAME: &str = "edges.parquet";

/// How an object refers to another, without the word or the number that goes with it. The words of
/// [`memwhy_model::Label`], numbered; the numbers are those in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Way {
    Attribute = 1,
    Key = 2,
    IsKey = 3,
    Index = 4,
    Element = 5,
    Local = 6,
    Captured = 7,
    Field = 8,
    Word = 9,
}

impl Way {
    pub(crate) const ALL: [Self; 9] = [
        Self::Attribute,
        Self::Key,
        Self::IsKey,
        Self::Index,
        Self::Element,
        Self::Local,
        Self::Captured,
        Self::Field,
        Self::Word,
    ];

    /// The word in the table of ways.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Attribute => "attribute",
            Self::Key => "value-of-key",
            Self::IsKey => "key",
            Self::Index => "index",
            Self::Element => "element",
            Self::Local => "local",
            Self::Captured => "captured",
            Self::Field => "field",
            Self::Word => "word",
        }
    }

    pub(crate) fn of(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|way| *way as i32 == number)
    }
}

/// Rows that are not written yet.
#[derive(Debug, Default)]
struct Rows {
    source: Vec<i32>,
    target: Vec<i32>,
    way: Vec<Option<i32>>,
    name: Vec<Option<i32>>,
    number: Vec<Option<i64>>,
}

impl Rows {
    fn push(&mut self, source: ObjectId, target: ObjectId) {
        self.source.push(row(source.0));
        self.target.push(row(target.0));
        self.way.push(None);
        self.name.push(None);
        self.number.push(None);
    }

    /// Says of the last row how it refers.
    fn label(&mut self, label: &Label, values: Values, names: &mut Names) {
        let number = |number: u64| (None, i64::try_from(number).ok());
        let (way, (name, number)) = match label {
            Label::Attribute(name) => (Way::Attribute, (names.number(name), None)),
            Label::Key(key) if redact::keeps_key(key, values) => {
                (Way::Key, (names.number(key), None))
            }
            Label::Key(_) => (Way::Key, (None, None)),
            Label::IsKey => (Way::IsKey, (None, None)),
            Label::Index(index) => (Way::Index, number(*index)),
            Label::Element => (Way::Element, (None, None)),
            Label::Local(name) => (Way::Local, (names.number(name), None)),
            Label::Captured(name) => (Way::Captured, (names.number(name), None)),
            Label::Field(name) => (Way::Field, (names.number(name), None)),
            Label::Word(offset) => (Way::Word, number(u64::from(*offset))),
        };
        let last = (self.way.last_mut(), self.name.last_mut(), self.number.last_mut());
        if let (Some(way_there), Some(name_there), Some(number_there)) = last {
            (*way_there, *name_there, *number_there) = (Some(way as i32), name, number);
        }
    }

    fn write(&mut self, table: &mut TableWriter) -> Result<(), WriteError> {
        let rows = std::mem::take(self);
        table.write(vec![
            full("src", Int32Array::from(rows.source)),
            full("dst", Int32Array::from(rows.target)),
            sparse("way", Int32Array::from(rows.way)),
            sparse("name_id", Int32Array::from(rows.name)),
            sparse("number", Int64Array::from(rows.number)),
        ])
    }
}

/// Writes every reference, in the order of objects and of their slots; words go to `names`.
pub(crate) fn write(
    folder: &Path,
    heap: &HeapGraph,
    details: Option<&dyn Details>,
    values: Values,
    names: &mut Names,
) -> Result<FileFacts, WriteError> {
    let mut table = TableWriter::create(folder, NAME, &["src"])?;
    let mut rows = Rows::default();
    for id in heap.ids() {
        let targets = heap.references(id);
        if targets.is_empty() {
            continue;
        }
        let labels = details.map(|details| details.labels(heap, id)).unwrap_or_default();
        // Labels that do not go with the references say nothing of them.
        let labelled = labels.len() == targets.len();
        for (at, target) in targets.iter().enumerate() {
            rows.push(id, *target);
            if let Some(label) = labels.get(at).filter(|_| labelled) {
                rows.label(label, values, names);
            }
            if rows.source.len() >= BATCH {
                rows.write(&mut table)?;
            }
        }
    }
    rows.write(&mut table)?;
    table.finish()
}

/// Puts every reference into `heap`, whose objects are sealed.
pub(crate) fn read(
    folder: &Path,
    manifest: &Manifest,
    heap: &mut HeapBuilder,
) -> Result<TableReader, ReadError> {
    let table = TableReader::open(folder, manifest, NAME)?;
    if table.rows() != manifest.references {
        return Err(table.broken("it has another number of rows than the manifest says"));
    }
    let objects = heap.graph().len();
    let mut row: Vec<ObjectId> = Vec::new();
    let mut source = 0;
    for rows in table.batches(&["src", "dst"], None)? {
        let rows = rows?;
        for (src, dst) in rows.ints(0)?.iter().zip(rows.ints(1)?) {
            let id = |number: i32| {
                u32::try_from(number).ok().filter(|number| (*number as usize) < objects)
            };
            let (Some(src), Some(dst)) = (id(*src), id(*dst)) else {
                return Err(table.broken("a reference of an object that is not there"));
            };
            if src < source {
                return Err(table.broken(format!("references of object {src} are out of order")));
            }
            while source < src {
                heap.push_references(row.drain(..));
                source += 1;
            }
            row.push(ObjectId(dst));
        }
    }
    for _ in source as usize..objects {
        heap.push_references(row.drain(..));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::Way;

    #[test]
    fn a_way_is_known_by_its_number() {
        for way in Way::ALL {
            assert_eq!(Way::of(way as i32), Some(way));
        }
        assert_eq!(Way::of(0), None);
        assert_eq!(Way::of(10), None);
    }
}
