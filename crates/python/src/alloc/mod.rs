//! Which memory does CPython manage by itself?

pub mod pymalloc;
