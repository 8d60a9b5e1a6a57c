//! What must be known of some objects that no column has and no reference tells?
//!
//! How many entries a cache may have, how much of its base a view shows, which texts a program has
//! over and over. Read once, for the few kinds of objects that rules about holders ask for.

use crate::{Bytes, ObjectId};
use serde::{Deserialize, Serialize};

/// What was read of some objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closeups {
    /// What `functools.lru_cache` returned.
    pub caches: Vec<Cache>,
    /// Views of the memory of other objects: `memoryview`, arrays of NumPy.
    pub views: Vec<View>,
    /// Texts of which there are many copies, the most wasteful first.
    pub copies: Copies,
}

/// A function with a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// The wrapper.
    pub object: ObjectId,
    /// `maxsize`; `None` for a cache without a limit.
    pub limit: Option<u64>,
    /// How often it had the answer.
    pub hits: u64,
    /// How often it had not.
    pub misses: u64,
}

/// An object that shows memory which another one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The view.
    pub object: ObjectId,
    /// What it shows.
    pub shown: Bytes,
}

/// Strings that are equal and not the same object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// Strings looked at.
    pub strings: u64,
    /// What all copies but one of each text take.
    pub wasted: Bytes,
    /// One string of each of the texts that waste most, how many there are, and what they waste.
    pub examples: Vec<(ObjectId, u64, Bytes)>,
}
