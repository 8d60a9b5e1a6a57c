//! How does a case become files, and files a case again?
//!
//! Use the `memwhy` crate, not this one.
//!
//! A snapshot is a folder: `manifest.json` says what it is and what each file must be, `case.json`
//! has everything but the bulk, and Parquet tables have the bulk. `docs/snapshot.md` is the form,
//! for those who read it with other programs.
//!
//! * [`write()`] makes the folder, whole or not at all; [`redact`] says which words go into it;
//! * [`open`] checks every file and makes a [`memwhy_model::Case`] of them;
//! * `stored.rs` answers for single objects, as the process did: labels, counts, previews.
//!
//! Nothing that is read is believed: a folder may come from anybody.
#![forbid(unsafe_code)]

mod error;
mod groups;
mod guard;
mod manifest;
mod read;
pub mod redact;
mod room;
mod stored;
mod table;
mod tables;
mod unfinished;
mod write;

pub use error::{ReadError, WriteError};
pub use guard::decoding;
pub use manifest::{FORMAT_VERSION, Values};
pub use read::open;
pub use write::{Written, write};
