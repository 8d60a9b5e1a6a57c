//! What does the kernel know of a process's memory that no allocator does?
//!
//! Pages are the kernel's: it makes them huge, shares them after a fork, charges them to a group,
//! and gives every thread a stack of them.

use crate::{AddrRange, Bytes};
use serde::{Deserialize, Serialize};

/// The control group that pays for the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupFacts {
    /// Its path below the hierarchy.
    pub path: String,
    /// What it uses, page cache included.
    pub used: Bytes,
    /// What it may use, if limited.
    pub limit: Option<Bytes>,
    /// What it is charged for, where `memory.stat` could be read.
    #[serde(default)]
    pub charged: Option<Charges>,
}

/// What a control group is charged for, the groups below it included: `memory.stat`.
///
/// Version 1 and 2 name them differently; here page cache is without shared memory in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charges {
    /// Of which version: 1 or 2.
    pub version: u8,
    /// Memory of processes without a file.
    pub anon: Bytes,
    /// Page cache: files on disks that were read or written. The kernel takes it back when the
    /// group needs room.
    pub cache: Bytes,
    /// The part of the page cache that is being written, or waits for it.
    pub dirty: Bytes,
    /// Files in tmpfs, shared memory: stays until it is deleted.
    pub shmem: Bytes,
    /// What the kernel keeps for it: page tables, stacks, sockets, slabs.
    pub kernel: Bytes,
    /// Swapped out.
    pub swap: Bytes,
}

/// Huge pages of a process, and how much of them nobody wrote to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugeFacts {
    /// Huge pages that were looked into.
    pub pages: u64,
    /// Whether that is all of them: beyond some GiB a part stands for the rest.
    pub all: bool,
    /// Of all huge pages together, pages of 4 KiB that hold only zeroes: resident because their
    /// neighbours are.
    pub zero: Bytes,
    /// The same by mapping, most first.
    pub worst: Vec<HugeMapping>,
    /// `always`, `madvise` or `never`: which of them the kernel was told.
    pub enabled: String,
    /// How many of 512 pages may be missing where `khugepaged` makes a huge one.
    pub max_ptes_none: Option<u64>,
    /// Whether glibc was told to ask for huge pages (`glibc.malloc.hugetlb`).
    pub by_glibc: bool,
}

/// One mapping with huge pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugeMapping {
    /// Which.
    pub range: AddrRange,
    /// In huge pages.
    pub huge: Bytes,
    /// Pages of 4 KiB in them that hold only zeroes.
    pub zero: Bytes,
    /// Whether the program asked for huge pages here (`MADV_HUGEPAGE`).
    pub advised: bool,
}

/// The stack of one thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFacts {
    /// Whose; 0 where the thread has ended and glibc keeps its stack for the next one.
    pub tid: u32,
    /// The address space of it.
    pub reserved: Bytes,
    /// Resident.
    pub resident: Bytes,
}

/// How a process is related to the one it was compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// That one forked this.
    #[default]
    Parent,
    /// Both were forked by the same process.
    Sibling,
}

impl Relation {
    /// The word used in sentences and in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Sibling => "sibling",
        }
    }
}

/// What a forked process shares with where it came from, and what it no longer does.
///
/// *Inherited* are pages that both have at the same address in memory without a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkFacts {
    /// The process that it was compared with.
    pub with: u32,
    /// What that one is to it.
    pub relation: Relation,
    /// Living processes that were forked by the same parent, this one among them.
    pub siblings: u64,
    /// Memory of pages that both have.
    pub inherited: Bytes,
    /// The part of it that is no longer the same page: somebody wrote to it since the fork.
    pub unshared: Bytes,
    /// Memory of pages that only this one has.
    pub own: Bytes,
    /// Of inherited pages with objects that the collector tracks: how much, how much unshared.
    pub tracked: (Bytes, Bytes),
    /// Of inherited pages with other objects only: how much, how much unshared.
    pub untracked: (Bytes, Bytes),
    /// Unshared pages whose bytes were compared with the other process's.
    pub compared: u64,
    /// Those of them that are equal to the last byte: written to, and back.
    pub equal: u64,
    /// Those of which at most one word in eight differs: counts and links, no new content.
    pub touched: u64,
    /// Types of the objects on unshared pages, most first.
    pub types: Vec<(String, u64)>,
}
