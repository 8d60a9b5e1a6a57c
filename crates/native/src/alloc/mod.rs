//! Which allocator serves `malloc`, and what does it keep?
//!
//! | file | allocator | how far |
//! |---|---|---|
//! | [`glibc`] | glibc 2.17 to 2.43 | every chunk, without symbols |
//! | [`other`] | jemalloc, tcmalloc, mimalloc, musl | recognised by what they export |

pub mod glibc;
pub mod other;
