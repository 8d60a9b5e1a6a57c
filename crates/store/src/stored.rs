//! What does one object of a snapshot look like up close?
//!
//! The columns for the few stay in their files. What is asked for is read by groups of rows, of
//! which the last used are kept.

use crate::groups::Groups;
use crate::table::TableReader;
use crate::tables::edges::Way;
use crate::tables::names;
use memwhy_model::{Details, HeapGraph, Label, ObjectId, PreviewLength};
use std::ops::Range;
use std::sync::OnceLock;

/// Answers for the objects of a snapshot.
#[derive(Debug)]
pub(crate) struct Stored {
    /// How objects refer, by reference.
    ways: Groups<Ways>,
    names: TableReader,
    words: OnceLock<Vec<Box<str>>>,
    captured: Groups<ByObject<i32>>,
    previews: Groups<ByObject<Preview>>,
}

/// What an object looks like.
#[derive(Clone, Debug)]
struct Preview {
    long: Box<str>,
    /// Where it is not the same.
    short: Option<Box<str>>,
}

/// What some objects have, ascending by object.
type ByObject<V> = Vec<(i32, V)>;

/// How objects refer: the way, and its word or number. 0 is no way.
#[derive(Debug, Default)]
struct Ways {
    way: Vec<u8>,
    with: Vec<Option<u32>>,
}

impl Stored {
    pub(crate) fn new(
        edges: TableReader,
        names: TableReader,
        captured: TableReader,
        previews: TableReader,
    ) -> Self {
        Self {
            ways: Groups::new(edges, &["way", "name_id", "number"], |rows, ways| {
                let columns =
                    rows.optional_ints(0)?.zip(rows.optional_ints(1)?).zip(rows.optional_longs(2)?);
                for ((way, name), number) in columns {
                    let name = name.map(i64::from);
                    ways.way.push(way.and_then(|way| u8::try_from(way).ok()).unwrap_or(0));
                    ways.with.push(name.or(number).and_then(|with| u32::try_from(with).ok()));
                }
                Ok(())
            }),
            names,
            words: OnceLock::new(),
            captured: Groups::new(captured, &["oid", "name_id"], |rows, captured| {
                captured.extend(rows.ints(0)?.iter().copied().zip(rows.ints(1)?.iter().copied()));
                Ok(())
            }),
            previews: Groups::new(previews, &["oid", "preview", "short"], |rows, previews| {
                let short = rows.texts(2)?.iter().map(|text| text.map(Into::into));
                let long = rows.texts(1)?.iter().map(|text| text.unwrap_or_default().into());
                let both = long.zip(short).map(|(long, short)| Preview { long, short });
                previews.extend(rows.ints(0)?.iter().copied().zip(both));
                Ok(())
            }),
        }
    }

    /// The word of that number. Its file was whole when the snapshot was opened; if it cannot be
    /// read now no reference has a word, and none gets a wrong one.
    fn word(&self, number: u32) -> Option<&str> {
        let words = self.words.get_or_init(|| names::read(&self.names).unwrap_or_default());
        words.get(number as usize).map(|word| &**word)
    }

    /// The label of a reference; `key` is the type of the key that the object refers to before.
    fn label(&self, way: u8, with: Option<u32>, key: impl FnOnce() -> String) -> Option<Label> {
        let word = || Some(self.word(with?)?.to_owned());
        Some(match Way::of(i32::from(way))? {
            Way::Attribute => Label::Attribute(word()?),
            // A key that was left out is shown as what kind of thing it is.
            Way::Key => Label::Key(word().unwrap_or_else(|| format!("<{}>", key()))),
            Way::IsKey => Label::IsKey,
            Way::Index => Label::Index(u64::from(with?)),
            Way::Element => Label::Element,
            Way::Local => Label::Local(word()?),
            Way::Captured => Label::Captured(word()?),
            Way::Field => Label::Field(word()?),
            Way::Word => Label::Word(with?),
        })
    }

    /// The labels of some of the references of an object, if all of them have one.
    fn some_labels(&self, heap: &HeapGraph, object: ObjectId, which: Range<usize>) -> Vec<Label> {
        let all = heap.reference_range(object);
        let references = heap.references(object);
        let label = |at: usize| {
            let key = || {
                let before = at.checked_sub(1).and_then(|before| references.get(before));
                let ty = before.and_then(|before| heap.type_row(heap.type_of(*before)));
                ty.map_or("…", |ty| ty.name.strip_prefix("builtins.").unwrap_or(&ty.name)).into()
            };
            let (way, with) = self.ways.row(all.start.checked_add(at)? as u64, |ways, at| {
                Some((*ways.way.get(at)?, *ways.with.get(at)?))
            })?;
            self.label(way, with, key)
        };
        which.map(label).collect::<Option<Vec<Label>>>().unwrap_or_default()
    }
}

impl Details for Stored {
    fn preview(
        &self,
        _heap: &HeapGraph,
        object: ObjectId,
        length: PreviewLength,
    ) -> Option<String> {
        let Preview { long, short } = self.previews.of(i32::try_from(object.0).ok()?).pop()?;
        Some(match length {
            PreviewLength::Short => short.unwrap_or(long).into(),
            PreviewLength::Long => long.into(),
        })
    }

    fn labels(&self, heap: &HeapGraph, object: ObjectId) -> Vec<Label> {
        self.some_labels(heap, object, 0..heap.references(object).len())
    }

    fn label(&self, heap: &HeapGraph, object: ObjectId, reference: usize) -> Option<Label> {
        if reference >= heap.references(object).len() {
            return None;
        }
        self.some_labels(heap, object, reference..reference + 1).pop()
    }

    fn captured(&self, _heap: &HeapGraph, function: ObjectId) -> Vec<String> {
        let Ok(function) = i32::try_from(function.0) else { return Vec::new() };
        let rows = self.captured.of(function).into_iter();
        let words = rows.filter_map(|number| u32::try_from(number).ok());
        words.filter_map(|number| Some(self.word(number)?.to_owned())).collect()
    }
}
