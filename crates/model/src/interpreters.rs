//! Which interpreters does a process have, and what does each keep for itself?

use crate::{Addr, Bytes, GcFacts};
use serde::{Deserialize, Serialize};

/// One interpreter: the main one, or a sub-interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterpreterFacts {
    /// Its number, as `interpreters.list_all()` has it; 0 is the main one.
    pub id: Option<i64>,
    /// Where its state is.
    pub addr: Addr,
    /// Its threads that run Python code, by their numbers in the kernel; the oldest first.
    pub threads: Vec<u32>,
    /// Which of them holds its GIL; nothing where none does, or there is no GIL.
    pub holds_gil: Option<u32>,
    /// Its collector, where it has one of its own and is not the main interpreter.
    pub gc: Option<GcFacts>,
    /// What its types answered last, where it is known where that is.
    pub type_cache: Option<TypeCacheFacts>,
}

/// The cache of what types answered when they were asked for attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeCacheFacts {
    /// How many answers it has room for.
    pub entries: u64,
    /// How many it has.
    pub used: u64,
    /// What it takes, full or not.
    pub bytes: Bytes,
}
