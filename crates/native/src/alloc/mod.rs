//! Which allocator serves `malloc`, and what does it keep?
//!
//! | file | allocator | how far |
//! |---|---|---|
//! | [`glibc`] | glibc 2.17 to 2.43 | every chunk, without symbols |
//! | [`mimalloc`] | mimalloc 2.1 and 2.5 as CPython has it | every block, without symbols |
//! | [`other`] | jemalloc, tcmalloc, mimalloc, musl | recognised by what they export |

pub mod glibc;
pub mod mimalloc;
pub mod other;
