//! What does one object look like up close?
//!
//! Columns for the many, this for the few: the graph holds what every object needs, and the handful
//! that a person looks at is read on demand, from the same moment (a copy of the process, a core, a
//! snapshot). Whoever reasons or reports may ask; nobody right of the waist knows what answers.

use crate::{HeapGraph, ObjectId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much of what an object looks like is wanted. A snapshot has both, and nothing else: so it shows
/// what the process showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviewLength {
    /// In the middle of a line.
    Short,
    /// Of one object on a screen.
    Long,
}

impl PreviewLength {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Short, Self::Long];

    /// About so many characters; `…` stands for what is left out.
    #[must_use]
    pub const fn characters(self) -> usize {
        match self {
            Self::Short => 80,
            Self::Long => 200,
        }
    }
}

/// Reads single objects of a case.
pub trait Details: fmt::Debug + Send + Sync {
    /// What `repr()` would begin with, made without running code; `None` where the object cannot be
    /// read or its value was left out of a snapshot.
    fn preview(&self, heap: &HeapGraph, object: ObjectId, length: PreviewLength) -> Option<String>;

    /// How the object refers to each entry of [`HeapGraph::references`], in that order. Empty where
    /// it cannot be told.
    fn labels(&self, heap: &HeapGraph, object: ObjectId) -> Vec<Label>;

    /// How the object refers to one entry of [`HeapGraph::references`]: for a path through a large
    /// container, of which nobody wants to read every key.
    fn label(&self, heap: &HeapGraph, object: ObjectId, reference: usize) -> Option<Label> {
        self.labels(heap, object).into_iter().nth(reference)
    }

    /// The names of the variables of outer functions that a function captured, in the order of the
    /// cells in its `__closure__`; empty where they cannot be told.
    fn captured(&self, _heap: &HeapGraph, _function: ObjectId) -> Vec<String> {
        Vec::new()
    }
}

/// How one object refers to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// `.name`: an attribute of an instance, a class or a module.
    Attribute(String),
    /// `['name']`, `[7]`: the value under a key, the key as its preview.
    Key(String),
    /// The key itself.
    IsKey,
    /// `[7]`: an item of a sequence.
    Index(u64),
    /// An element of a set.
    Element,
    /// A local variable of a frame, a suspended generator's among them.
    Local(String),
    /// A variable that a closure captured.
    Captured(String),
    /// A field of the C struct that Python code knows by a name: `__dict__`, `__class__`,
    /// `tb_frame`, `__func__`.
    Field(String),
    /// A word at this offset of a C struct, without a name.
    Word(u32),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) | Self::Field(name) => write!(f, ".{name}"),
            Self::Key(key) => write!(f, "[{key}]"),
            Self::IsKey => f.write_str(" key"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Element => f.write_str(" element"),
            Self::Local(name) => write!(f, " local '{name}'"),
            Self::Captured(name) => write!(f, " captured '{name}'"),
            Self::Word(offset) => write!(f, "+{offset}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Label;

    #[test]
    fn a_label_continues_a_path_as_python_would_write_it() {
        let path = [Label::Attribute("LAST".into()), Label::Key("'body'".into()), Label::Index(3)];
        let path: String = path.iter().map(ToString::to_string).collect();
        assert_eq!(format!("app.cache{path}"), "app.cache.LAST['body'][3]");
    }
}
