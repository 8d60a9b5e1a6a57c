//!
//! Use the `memwhy` crate, not this one.
#![forbid(unsafe_code)]
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

pub mod alloc;
pub mod call_names;
pub mod calls;
mod from_memory;
pub mod held;
pub mod image;
pub mod locks;
#[cfg(test)]
mod made;
pub mod pthread;
pub mod symbols;
pub mod unwind;

pub use image::{Image, Images};
pub use symbols::{NativePlace, Symbols};
pub use unwind::{NativeCall, NativeCalls, Unwinder};
