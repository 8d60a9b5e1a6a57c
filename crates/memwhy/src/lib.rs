//! Why has the memory of a CPython process grown, and what to do about it?
//!
//! ```no_run
//! let case = memwhy::capture(4711, &memwhy::Options::default())?;
//! let verdict = memwhy::explain(&case);
//! println!("{}", verdict.title());
//! # Ok::<(), memwhy::OpenError>(())
//! ```
#![forbid(unsafe_code)]

mod absent;
mod beyond;
mod capture;
pub mod commands;
mod look;
mod samples;
mod sources;
mod threads;

pub use capture::{
    Options, capture, from_proc, observe, open, open_core, open_snapshot, write_core,
};
pub use look::look;
pub use memwhy_model as model;
pub use memwhy_reason::{Verdict, explain};
pub use memwhy_store::{Values, WriteError, Written, write};
pub use memwhy_target::{CoreFiles, OpenError};
pub use threads::NativeDetail;
