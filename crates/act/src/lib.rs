//! What may memwhy change in a process, when it is asked to?
//!
//! Use the `memwhy` crate, not this one. Nothing outside of this crate writes into another process,
//! and nothing in it does so unless the user said `--allow-write`.
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

pub mod allocator;
mod borrow;
mod channel;
mod debugger;
mod frame;
mod gadgets;
mod inject;
mod pending;
mod refusal;
pub mod session;
mod subject;
mod sys;
pub mod trial;

pub use inject::Injected;
pub use refusal::Refusal;
pub use session::Session;
