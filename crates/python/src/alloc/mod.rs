//! Which memory does CPython manage by itself?

pub(crate) mod debug;
pub mod pymalloc;
