//! How is what was found said, to a person and to a program?
//!
//! Use the `memwhy` crate, not this one: it re-exports what a caller needs.
//!
//! * [`text`]: one function per command, each gives the whole screen as a `String`;
//! * [`json`]: the same facts for programs, `memwhy.report/1` and one format per command;
//! * [`Style`]: how wide, and whether in colour; [`blocks`]: what a screen is made of.
//!
//! Nothing here prints, and nothing here judges.
#![forbid(unsafe_code)]

pub mod blocks;
mod curves;
mod heap_view;
pub mod json;
mod kept;
pub mod picture;
pub mod style;
pub mod text;

pub use curves::curves;
pub use heap_view::HeapView;
pub use kept::Kept;
pub use style::Style;
pub use text::Explained;
