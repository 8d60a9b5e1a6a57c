//! Which memory does CPython manage by itself?

pub(crate) mod debug;
pub(crate) mod find_arenas;
pub(crate) mod numbers;
pub mod pymalloc;
