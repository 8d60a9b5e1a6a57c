//! What do we ask of the kernel that the standard library cannot?
//!
//! One file per family of system calls; safe functions outside, the reason for each `unsafe` inside.
#![allow(unsafe_code)]

pub mod files;
pub mod interrupt;
pub mod mapped;
pub mod pagemap;
pub mod process_vm;
pub mod ptrace;
pub mod resources;
