//! What may memwhy change in a process, when it is asked to?
//!
//! Use the `memwhy` crate, not this one. Nothing outside of this crate writes into another process,
//! and nothing in it does so unless the user said `--allow-write`.
#![forbid(unsafe_code)]
