//! What does CPython tell?
//!
//! Use the `memwhy` crate, not this one: it re-exports what a caller needs.
//!
//! In reading order:
//!
//! * [`version`]: which CPython; [`layout`]: where things are in its structs.
//!
//! Everything read from a target is bounded and checked: no panic, no endless loop.
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

mod alive;
pub mod alloc;
pub mod attributes;
mod buffers;
pub mod called;
pub mod closeups;
pub mod code;
pub mod details;
pub mod dict;
pub mod find;
pub mod frames;
mod free_lists;
pub mod gc;
pub mod heap;
pub mod held;
pub mod int;
pub mod kinds;
mod labels;
pub mod layout;
pub mod lines;
mod locks;
mod loose;
pub mod merge;
pub mod object;
pub mod places;
pub mod preview;
pub mod reach;
mod roots;
pub mod runtime;
mod sampled;
mod tasks;
pub mod text;
pub mod thread_names;
pub mod threads;
mod type_cache;
pub mod type_rows;
pub mod types;
pub mod version;

mod observe;
pub use find::Refusal;
pub use observe::{Malloc, Python};
