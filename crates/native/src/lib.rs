//! What does the C side of a process tell: images, symbols, allocators?
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
pub mod image;

pub use image::{Image, Images};
