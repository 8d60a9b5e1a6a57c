//! Which tables are in a snapshot?
//!
//! One a file. Numbers are `INT32` and `INT64`: Spark and Java have no unsigned ones, and addresses
//! of user space fit. Those that memwhy reads are `objects`, `edges`, `types`, `roots`,
//! `names`, `captured` and `previews`; `views` and `native_memory` write more for other programs, of
//! what `case.json` has in full.

pub(crate) mod captured;
pub(crate) mod edges;
pub(crate) mod names;
pub(crate) mod native_memory;
pub(crate) mod objects;
pub(crate) mod previews;
pub(crate) mod roots;
pub(crate) mod types;
pub(crate) mod views;

/// A number as tables have it. Addresses of user space and sizes fit; whatever does not is said to
/// be the largest.
pub(crate) fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number of a row; the writer has checked that all fit.
pub(crate) fn row(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
