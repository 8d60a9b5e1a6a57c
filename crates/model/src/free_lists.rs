//! What does CPython keep for objects to come?

use crate::Bytes;
use serde::{Deserialize, Serialize};

/// Places for objects of one type that were freed and that the interpreter keeps for the next ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeList {
    /// Whose places they are: `int and float`.
    pub of: String,
    /// How many are free.
    pub free: u64,
    /// What the free ones take.
    pub bytes: Bytes,
    /// How many there can be at most; nothing where there is no end.
    pub most: Option<u64>,
    /// What a full collection gives back to malloc: blocks in which nothing is in use.
    pub collectable: Bytes,
    /// How many each interpreter has, the main one first; without GIL each thread has its own.
    #[serde(default)]
    pub held: Vec<u64>,
}
