//! How do we get bytes, mappings and threads of a target?
//!
//! Use the `memwhy` crate, not this one. The only `unsafe` code of the project is in [`sys`]; the
//! crate reads a target and stops its threads for the length of a copy, and nothing else.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::cast_possible_truncation
    )
)]

pub mod access;
pub mod captured;
pub mod core_file;
pub mod live;
pub mod memory;
pub mod open;
pub mod progress;
pub mod registers;
pub mod sys;

pub use access::Access;
pub use captured::Captured;
pub use core_file::CoreMemory;
pub use core_file::files::CoreFiles;
pub use live::capture::{Capture, Skip, capture};
pub use live::file_locks::FileLock;
pub use live::maps::{Mapping, Maps};
pub use live::now::Now;
pub use live::process::{Process, Thread};
pub use live::touched::{Touched, capture_touched};
pub use live::view::View;
pub use memory::{Fault, FaultKind, MAX_READ, Memory, MemoryExt};
pub use open::OpenError;
pub use registers::{Call, Register, Registers};
