//! Where in the source do objects come from?
//!
//! Code says where it was written, a suspended coroutine where it stands, a traceback where it
//! failed. Functions, classes and instances lead to code; who reasons about them follows.

use crate::ObjectId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A place in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePlace<'p> {
    /// The file, as the code names it.
    pub file: &'p str,
    /// The function, by its qualified name where the version has one.
    pub function: &'p str,
    /// The line, 1-based, where one is known.
    pub line: Option<u32>,
}

/// The places of all objects that have one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePlaces {
    texts: Vec<String>,
    /// Ascending: the object, its file and its function (both in `texts`), its line (0 for none).
    rows: Vec<(ObjectId, u32, u32, u32)>,
}

impl SourcePlaces {
    /// Takes the places of objects in any order.
    #[must_use]
    pub fn new(places: impl IntoIterator<Item = (ObjectId, String, String, Option<u32>)>) -> Self {
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut texts = Vec::new();
        let mut text = |text: String| {
            *known.entry(text).or_insert_with_key(|text| {
                texts.push(text.clone());
                u32::try_from(texts.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let mut rows: Vec<_> = places
            .into_iter()
            .map(|(object, file, function, line)| {
                (object, text(file), text(function), line.unwrap_or(0))
            })
            .collect();
        rows.sort_unstable_by_key(|row| row.0);
        Self { texts, rows }
    }

    /// The place of an object.
    #[must_use]
    pub fn of(&self, object: ObjectId) -> Option<SourcePlace<'_>> {
        let at = self.rows.binary_search_by_key(&object, |row| row.0).ok()?;
        let (_, file, function, line) = *self.rows.get(at)?;
        let text = |at: u32| self.texts.get(at as usize).map(String::as_str);
        let line = Some(line).filter(|line| *line > 0);
        Some(SourcePlace { file: text(file)?, function: text(function)?, line })
    }

    /// How many objects have a place.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{SourcePlace, SourcePlaces};
    use crate::ObjectId;

    #[test]
    fn places_are_found_by_object_whatever_their_order() {
        let row = |n, line| (ObjectId(n), "app.py".into(), format!("f{n}"), line);
        let places = SourcePlaces::new([row(7, Some(3)), row(2, None)]);
        let place = SourcePlace { file: "app.py", function: "f7", line: Some(3) };
        assert_eq!(places.of(ObjectId(7)), Some(place));
        assert_eq!(places.of(ObjectId(2)).map(|place| place.line), Some(None));
        assert_eq!(places.of(ObjectId(3)), None);
    }
}
