//! What if the library that decodes a table panics?
//!
//! Our own checks return errors. The Parquet library does, too, nearly everywhere: where it asserts
//! instead (its `ColumnChunkMetaData::byte_range` did on a made-up footer) the file is as broken as
//! any other, and whoever opens it gets a sentence.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local!(static DECODING: Cell<bool> = const { Cell::new(false) });

/// Whether a panic of this thread would be of a table that is being decoded: then it is caught and
/// becomes an error, and nobody needs to be told of it.
#[must_use]
pub fn decoding() -> bool {
    DECODING.get()
}

/// What `decode` returns; nothing if it panicked. Whatever it worked on is not to be used again
/// then.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> T) -> Option<T> {
    DECODING.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode)).ok();
    DECODING.set(false);
    decoded
}
