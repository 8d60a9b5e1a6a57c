//! Which memory does CPython manage by itself?

pub(crate) mod debug;
pub(crate) mod numbers;
pub mod pymalloc;
