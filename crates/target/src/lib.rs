//! How do we get bytes, mappings and threads of a target?
//!
//! Use the `memwhy` crate, not this one. The only `unsafe` code of the project is in [`sys`].

pub mod memory;

pub use memory::{Fault, FaultKind, MAX_READ, Memory, MemoryExt};
