//! What does an allocator keep that stands in for glibc's, or that a library carries for itself?

use crate::Bytes;
use serde::{Deserialize, Serialize};

/// An allocator that serves `malloc` in place of glibc's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// `tcmalloc`, `mimalloc`, `jemalloc`, `musl`.
    pub name: String,
    /// The file that holds it.
    pub image: String,
    /// Which releases are laid out as it is; empty where it was not walked.
    pub release: String,
    /// Whether every block is known.
    pub walked: bool,
    /// What the walk found that does not agree with its own counters; 0 is exact.
    pub off: Bytes,
    /// Blocks that the program has.
    pub blocks: u64,
    /// Their bytes, as the allocator rounds them up.
    pub used: Bytes,
    /// Free blocks in the caches of threads.
    pub cached: Bytes,
    /// Free blocks that are in no thread's cache.
    pub free_blocks: Bytes,
    /// Free pages that are still resident, or count as such.
    pub free_pages: Bytes,
    /// Free pages that were given back to the kernel and keep their addresses.
    pub returned: Bytes,
    /// What it has for itself.
    pub overhead: Bytes,
    /// Taken from the kernel in all.
    pub reserved: Bytes,
    /// Threads with a cache.
    pub caches: u64,
    /// Each size of blocks, most free bytes first.
    pub classes: Vec<ClassFacts>,
}

impl StandIn {
    /// Whether every block is known, and all agrees with its own counters.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.walked && self.off == Bytes(0)
    }
}

/// Blocks of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassFacts {
    /// Bytes of one.
    pub block: u64,
    /// In use.
    pub used: u64,
    /// Free.
    pub free: u64,
}

/// An allocator that a library carries for itself, whose memory no `malloc` sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// `mimalloc`, `jemalloc`.
    pub name: String,
    /// The library.
    pub image: String,
    /// Which release has this layout, where it is known by that: `2.0.6 in pyarrow 10 to 20`.
    #[serde(default)]
    pub release: Option<String>,
    /// Taken from the kernel in all.
    pub reserved: Bytes,
    /// Of it in RSS.
    pub resident: Bytes,
    /// Pages of which the library has something.
    pub active: Bytes,
    /// What it has of them, as the allocator rounds it up; pages as a whole where no more is known.
    pub used: Bytes,
    /// Free pages that were not given back.
    pub kept: Bytes,
    /// Of them in RSS, and what is in RSS of those that were given back.
    pub kept_resident: Bytes,
}

impl Carried {
    /// The file's name.
    #[must_use]
    pub fn library(&self) -> &str {
        self.image.rsplit('/').next().unwrap_or_default()
    }

    /// In RSS, and not free.
    #[must_use]
    pub fn in_use(&self) -> Bytes {
        self.resident.minus(self.kept_resident)
    }
}
