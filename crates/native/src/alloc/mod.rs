//! Which allocator serves `malloc`, and what does it keep?
//!
//! | file | allocator | how far |
//! |---|---|---|
//! | [`glibc`] | glibc 2.17 to 2.44 | every chunk, without symbols |
//! | [`mimalloc`] | mimalloc 2.0 as a library, 2.1 and 2.5 as CPython has it | every block, without symbols |
//! | [`tcmalloc`] | that of gperftools 2.7 to 2.10 | every block, with one exported symbol |
//! | [`other`] | jemalloc, musl | recognised by what they export |
//!
//! [`stand_in`] is what the last three have in common where they serve `malloc`.

pub mod glibc;
pub mod mimalloc;
pub mod other;
pub mod stand_in;
pub mod tcmalloc;
