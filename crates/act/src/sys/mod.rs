//! What changes another process? Two families of system calls, and nothing else of memwhy has them.
//!
//! They are here and not in `target::sys`, so that the crate which reads cannot write.
#![allow(unsafe_code)]

pub(crate) mod end;
pub(crate) mod peer;
pub(crate) mod registers;
pub(crate) mod write;
