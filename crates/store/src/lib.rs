//! How does a case become files, and files a case again?
//!
//! Use the `memwhy` crate, not this one.
#![forbid(unsafe_code)]
