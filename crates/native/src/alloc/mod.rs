//! Which allocator serves `malloc`, and what does it keep?
//!
//! | file | allocator | how far |
//! |---|---|---|
//! | [`glibc`] | glibc 2.17 to 2.44 | every chunk, without symbols |
//! | [`mimalloc`] | mimalloc 2.0 as a library, as pyarrow and as CPython have 2 | every block, without symbols |
//! | [`tcmalloc`] | that of gperftools 2.7 to 2.10 | every block, with one exported symbol |
//! | [`jemalloc`] | jemalloc 5.3 | every extent, without symbols |
//! | [`musl`] | musl 1.2.1 to 1.2.5 | every block, without symbols |
//! | [`other`] | | which of them serves `malloc` |
//!
//! [`stand_in`] is what they have in common where they serve `malloc`, [`carried`] where a library has
//! one for itself; of that kind mimalloc 3 is known, too.

pub mod carried;
pub mod glibc;
pub mod jemalloc;
pub mod mimalloc;
pub mod musl;
pub mod other;
pub mod stand_in;
pub mod tcmalloc;
