//! What was observed about one process at one moment?
//!
//! A [`Case`] is the waist of memwhy: left of it targets are read, right of it nothing is. Whoever
//! has a case can reason about it without the process.

use crate::places::SourcePlaces;
use crate::threads::{SourceFile, ThreadFacts};
use crate::{
    Accounting, Addr, AddrRange, Bytes, Carried, CgroupFacts, Closeups, Details, ForkFacts,
    FreeList, HeapGraph, HugeFacts, InterpreterFacts, LockFacts, NativeMemory, ObjectId, Owner,
    Problems, StackFacts, StandIn, TaskFacts, Trust,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything observed.
///
/// Written down it is all but the bulk: the heap and what reads single objects have forms of their
/// own on disk.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Case {
    /// Which process, which interpreter, how it was captured.
    pub about: About,
    /// RSS by owner.
    pub accounting: Accounting,
    /// Every mapping with its owners, ascending.
    pub mappings: Vec<MappingFacts>,
    /// The Python objects, if there is a Python that could be read.
    #[serde(skip)]
    pub heap: Option<HeapGraph>,
    /// Reads single objects up close: previews, labels of references, reference counts.
    #[serde(skip)]
    pub details: Option<Arc<dyn Details>>,
    /// Where in the source code, coroutines and tracebacks are.
    pub places: SourcePlaces,
    /// What rules about holders ask for of single objects.
    pub closeups: Closeups,
    /// Every thread, the main thread first.
    pub threads: Vec<ThreadFacts>,
    /// Every lock, and what else threads wait for.
    pub locks: Vec<LockFacts>,
    /// Every asyncio task and greenlet.
    pub tasks: Vec<TaskFacts>,
    /// Source around the places where threads are, by file name, where it was asked for.
    pub sources: BTreeMap<String, SourceFile>,
    /// What the C allocator says and what the walk of it found.
    pub malloc: Option<MallocFacts>,
    /// Who keeps what the program has of it; nothing where its chunks are not known.
    #[serde(default)]
    pub native_memory: Option<NativeMemory>,
    /// What CPython's small-object allocator says and what the walk of it found.
    pub pymalloc: Option<PymallocFacts>,
    /// The same of mimalloc, where CPython's objects are in it: without GIL they are.
    pub mimalloc: Option<MimallocFacts>,
    /// The allocator that stands in for glibc's, if one does.
    #[serde(default)]
    pub stand_in: Option<StandIn>,
    /// Allocators that libraries carry for themselves, most memory first.
    #[serde(default)]
    pub carried: Vec<Carried>,
    /// The stack of every thread, and stacks that are kept for threads to come.
    #[serde(default)]
    pub thread_stacks: Vec<StackFacts>,
    /// Huge pages, if it has some.
    #[serde(default)]
    pub huge: Option<HugeFacts>,
    /// What it shares with the process that it was forked from, if it was.
    #[serde(default)]
    pub fork: Option<ForkFacts>,
    /// What CPython keeps for objects to come.
    pub free_lists: Vec<FreeList>,
    /// Every interpreter of the process, the main one first.
    #[serde(default)]
    pub interpreters: Vec<InterpreterFacts>,
    /// The state of the cyclic garbage collector.
    pub gc: Option<GcFacts>,
    /// What went wrong, counted.
    pub problems: Problems,
    /// Where the time went.
    pub timings: Vec<Timing>,
}

impl Case {
    /// How much of RSS `owner` has.
    #[must_use]
    pub fn resident(&self, owner: Owner) -> Bytes {
        self.accounting.resident(owner)
    }

    /// RSS as smaps states it.
    #[must_use]
    pub const fn rss(&self) -> Bytes {
        self.accounting.rss
    }
}

/// What kind of thing was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A live process.
    #[default]
    Process,
    /// A core file.
    Core,
    /// A snapshot of memwhy.
    Snapshot,
}

impl TargetKind {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Core => "core",
            Self::Snapshot => "snapshot",
        }
    }
}

/// Which process, which interpreter, how it was captured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct About {
    /// Live, core or snapshot.
    pub kind: TargetKind,
    /// Its number in our pid namespace; of a core the one that it states.
    pub pid: u32,
    /// The core file or snapshot that was read, as it was named on the command line.
    pub path: Option<String>,
    /// `/proc/PID/cmdline`, split.
    pub command: Vec<String>,
    /// Where `/proc/PID/exe` points.
    pub exe: String,
    /// Seconds since it started, where that is known.
    pub uptime_s: Option<f64>,
    /// When it was captured, seconds since 1970.
    pub taken_at_unix_s: f64,
    /// Its interpreter, if it has one.
    pub python: Option<PythonAbout>,
    /// How it was captured.
    pub moment: Moment,
    /// Its control group, if it can be told.
    pub cgroup: Option<CgroupFacts>,
    /// Why memory could not be read, where only `/proc` tells: a sentence.
    pub withheld: Option<String>,
    /// The signal that ended it, of a core.
    #[serde(default)]
    pub signal: Option<i32>,
    /// What this target does not tell; figures for it are not to be shown.
    #[serde(default)]
    pub untold: Vec<Untold>,
}

/// What a live process tells and a core does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Untold {
    /// Which pages were in memory: figures are of the bytes that the core holds.
    Residency,
    /// Which threads used a CPU.
    CpuUse,
    /// Since when it ran.
    Uptime,
    /// What its control group used and may use.
    Cgroup,
    /// Which files and connections it had open.
    OpenFiles,
    /// What the kernel calls its threads.
    ThreadNames,
}

impl Untold {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Residency,
        Self::CpuUse,
        Self::Uptime,
        Self::Cgroup,
        Self::OpenFiles,
        Self::ThreadNames,
    ];

    /// What it is, as a sentence goes on with it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Residency => "residency",
            Self::CpuUse => "use of CPUs",
            Self::Uptime => "uptime",
            Self::Cgroup => "control group",
            Self::OpenFiles => "open files",
            Self::ThreadNames => "native names of threads",
        }
    }
}

impl About {
    /// Whether the target tells `what`.
    #[must_use]
    pub fn tells(&self, what: Untold) -> bool {
        !self.untold.contains(&what)
    }

    /// What the bytes of the accounting are: resident, or of a core those that it holds.
    #[must_use]
    pub fn measure(&self) -> &'static str {
        if self.tells(Untold::Residency) { "RSS" } else { "in the core" }
    }

    /// What to give memwhy to read the running program, also where this one runs no more.
    #[must_use]
    pub fn running(&self) -> String {
        match self.kind {
            TargetKind::Process => self.target(),
            TargetKind::Core | TargetKind::Snapshot => "PID".into(),
        }
    }

    /// What to give memwhy to read the same thing again: the pid, or the path of a file.
    #[must_use]
    pub fn target(&self) -> String {
        match &self.path {
            None => self.pid.to_string(),
            Some(path) if path.bytes().all(plain_in_a_shell) => path.clone(),
            Some(path) => format!("'{}'", path.replace('\'', "'\\''")),
        }
    }
}

const fn plain_in_a_shell(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'+' | b':' | b',')
}

/// Which interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonAbout {
    /// `3.11.7`.
    pub version: String,
    /// Built without the GIL.
    pub free_threaded: bool,
    /// Whether threads wait for a GIL: also without one built in it can be switched on.
    pub gil: bool,
    /// Built with `Py_DEBUG`.
    pub debug: bool,
    /// How its layouts are known.
    pub layout: Trust,
    /// The file that holds the interpreter.
    pub image: String,
}

/// How the target was held while it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pause {
    /// Not at all: it ran on while we read.
    #[default]
    None,
    /// All threads stopped for the copy.
    Stop,
}

impl Pause {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Stop => "stop",
        }
    }
}

/// How the capture was taken, and how consistent it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// How the target was held.
    pub pause: Pause,
    /// For how long, milliseconds.
    pub pause_ms: f64,
    /// Bytes that were copied.
    pub copied: Bytes,
    /// Places that changed while they were copied; only a running target has them.
    pub torn_reads: u64,
}

/// One mapping, as smaps has it, and who owns its pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingFacts {
    /// Where.
    pub range: AddrRange,
    /// `rw-p`.
    pub permissions: String,
    /// A path, `[heap]`, `[stack]`, or nothing.
    pub name: String,
    /// Whether the pages come from a file on a disk (and not from shared memory).
    pub file: bool,
    /// Whether it is shared memory: tmpfs, `memfd`, System V, shared anonymous.
    pub shmem: bool,
    /// Resident.
    pub rss: Bytes,
    /// Resident, shared pages divided by their users.
    pub pss: Bytes,
    /// Changed and only ours.
    pub private_dirty: Bytes,
    /// As the file has it and only ours: with what is dirty, what would be free without us.
    #[serde(default)]
    pub private_clean: Bytes,
    /// Given up by the program, and there until the kernel needs it (`MADV_FREE`).
    #[serde(default)]
    pub lazy_free: Bytes,
    /// Whether the program asked for huge pages here (`MADV_HUGEPAGE`).
    #[serde(default)]
    pub huge_advised: bool,
    /// Swapped out.
    pub swap: Bytes,
    /// In huge pages.
    pub anon_huge: Bytes,
    /// Owners of the resident pages.
    pub owners: Vec<(Owner, Bytes)>,
    /// What smaps counts here but no page accounts for.
    pub unexplained: Bytes,
}

impl MappingFacts {
    /// Resident and only ours, changed or not: what would be free without us.
    #[must_use]
    pub fn private(&self) -> Bytes {
        self.private_dirty + self.private_clean
    }

    /// Who has pages here that are as the file has them.
    #[must_use]
    pub const fn file_owner(&self) -> Owner {
        if self.shmem { Owner::Shmem } else { Owner::FileClean }
    }

    /// Who has pages here that are the process's own and that nobody claims.
    #[must_use]
    pub const fn anon_owner(&self) -> Owner {
        if self.file {
            Owner::FileDirty
        } else if self.shmem {
            Owner::Shmem
        } else {
            Owner::AnonOther
        }
    }
}

/// What the C allocator keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MallocFacts {
    /// `glibc 2.36`, `jemalloc`, `tcmalloc`, `mimalloc`, `musl`.
    pub name: String,
    /// Whether its heap was walked to the last byte.
    pub walked: bool,
    /// The facts only glibc has.
    pub glibc: Option<GlibcFacts>,
}

/// glibc's malloc: totals, parameters and arenas.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GlibcFacts {
    /// What `mallinfo2()` would return.
    pub mallinfo: Mallinfo,
    /// Each arena, main arena first.
    pub arenas: Vec<ArenaFacts>,
    /// Chunks of their own mapping, as the walk found them.
    pub mmapped: (u64, Bytes),
    /// The same as malloc counts them (`mp_.n_mmaps`, `mp_.mmapped_mem`).
    pub mmapped_stated: (u64, Bytes),
    /// `mp_.mmap_threshold` in force.
    pub mmap_threshold: Bytes,
    /// `mp_.trim_threshold` in force.
    pub trim_threshold: Bytes,
    /// Whether the mmap threshold still follows the largest freed chunk (`!mp_.no_dyn`).
    pub threshold_is_dynamic: bool,
    /// `mp_.arena_max`, 0 when not limited.
    pub arena_max: u64,
    /// What `malloc_trim(0)` would give back, resident pages only.
    pub trim_returns: Bytes,
    /// Free bytes of chunks kept by the per-thread caches.
    pub tcache: Bytes,
    /// How main arena was found: `relocation`, `memory`, or both.
    pub found_by: String,
    /// What holds the pages that a trim cannot return.
    pub pins: PinFacts,
    /// Sizes of chunks in use, largest sums first: (chunk size, count).
    pub in_use_by_size: Vec<(u64, u64)>,
    /// All chunks in use, by powers of two of their size, ascending.
    pub in_use_by_class: Vec<ChunkClass>,
    /// Free chunks of 128 KiB and more that a lower mmap threshold would have returned.
    pub large_free: Bytes,
}

/// Chunks in use of a size from one power of two up to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkClass {
    /// The least size, a power of two.
    pub from: u64,
    /// Chunks.
    pub chunks: u64,
    /// Their sizes, headers included.
    pub bytes: Bytes,
}

/// The nine fields of `struct mallinfo2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented in mallinfo(3)")]
pub struct Mallinfo {
    pub arena: u64,
    pub ordblks: u64,
    pub smblks: u64,
    pub hblks: u64,
    pub hblkhd: u64,
    pub fsmblks: u64,
    pub uordblks: u64,
    pub fordblks: u64,
    pub keepcost: u64,
}

/// One arena of glibc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArenaFacts {
    /// Where its `malloc_state` is.
    pub addr: Addr,
    /// Whether it is `main_arena`, which grows by `brk`.
    pub main: bool,
    /// Threads that use it now; glibc counts them since 2.23.
    pub attached_threads: Option<u64>,
    /// `system_mem`: what it took from the kernel.
    pub system: Bytes,
    /// Chunks, headers and fences that the walk found; equal to `system` when the walk is exact.
    pub walked: Bytes,
    /// Whether the walk came to the end of every heap of this arena.
    pub complete: bool,
    /// In use.
    pub in_use: Bytes,
    /// Free, with fastbins and thread caches.
    pub free: Bytes,
    /// The free chunk at the end, which only the main arena's trim returns.
    pub top: Bytes,
    /// Resident.
    pub resident: Bytes,
    /// Free and resident.
    pub free_resident: Bytes,
    /// What `malloc_trim(0)` would give back, resident pages only.
    pub trim_returns: Bytes,
    /// The largest free chunk, top left out: where its memory begins, and how much is resident.
    pub largest_free: Option<(Addr, Bytes)>,
    /// The last chunk in use, which keeps the end of the heap from shrinking: the memory that
    /// `malloc` returned, and the size of the chunk.
    pub last_in_use: Option<(Addr, Bytes)>,
    /// The Python object that is in that chunk, or whose buffer is.
    pub last_in_use_owner: Option<Addr>,
}

/// What keeps pages that are mostly free.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinFacts {
    /// Resident pages that a trim cannot return though less than half of each is in use.
    pub pages: u64,
    /// Free bytes on those pages.
    pub free: Bytes,
    /// Pages with exactly one chunk in use, by that chunk's size: (chunk size, pages).
    pub lone_by_size: Vec<(u64, u64)>,
    /// The types of Python objects most often in such chunks: (type, pages).
    pub lone_by_type: Vec<(String, u64)>,
}

/// pymalloc: arenas, pools and blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PymallocFacts {
    /// Arenas in use.
    pub arenas: u64,
    /// Size of one.
    pub arena_size: Bytes,
    /// Size of one pool.
    pub pool_size: Bytes,
    /// Pools with blocks in use.
    pub used_pools: u64,
    /// Pools that were used and are free again, or never were.
    pub free_pools: u64,
    /// Bytes of blocks in use.
    pub allocated: Bytes,
    /// Bytes of free blocks in used pools.
    pub free_in_used_pools: Bytes,
    /// Bytes of free pools.
    pub free_in_free_pools: Bytes,
    /// Headers of pools and what does not fit at their ends.
    pub overhead: Bytes,
    /// Each size class that has pools.
    pub classes: Vec<PymallocClass>,
    /// Arenas of which less than a tenth is in use, and the bytes of blocks in use in them.
    pub sparse_arenas: (u64, Bytes),
    /// Pools whose free list and count disagree.
    pub torn_pools: u64,
    /// Types of the objects that hold sparse pools, most pools first: (type, pools).
    pub pinned_by_type: Vec<(String, u64)>,
    /// How the arenas were found.
    pub found_by: String,
}

/// One size class of pymalloc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PymallocClass {
    /// Bytes of one block.
    pub block: u64,
    /// Pools.
    pub pools: u64,
    /// Blocks in use.
    pub used: u64,
    /// Blocks free.
    pub free: u64,
}

/// What CPython's mimalloc says of itself, and what the walk of it found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MimallocFacts {
    /// The releases that are laid out as it is.
    pub release: String,
    /// Segments, and those whose thread is gone.
    pub segments: u64,
    /// Segments whose thread is gone.
    pub abandoned_segments: u64,
    /// Address space of the segments.
    pub reserved: Bytes,
    /// Heaps with pages: a few of each thread.
    pub heaps: u64,
    /// Pages with blocks.
    pub pages: u64,
    /// Pages whose thread is gone.
    pub abandoned_pages: u64,
    /// Blocks in use.
    pub blocks: u64,
    /// Bytes of blocks in use.
    pub allocated: Bytes,
    /// Bytes of pages that no block in use has.
    pub free_in_pages: Bytes,
    /// Bytes of slices that are of no page.
    pub free_in_segments: Bytes,
    /// Slices that describe their segment.
    pub overhead: Bytes,
    /// Blocks freed by other threads that their own has not taken back yet.
    pub delayed: u64,
    /// Each size class that has pages.
    pub classes: Vec<PymallocClass>,
    /// Pages of which less than an eighth is in use, and the bytes of blocks in use in them.
    pub sparse_pages: (u64, Bytes),
    /// Pages whose chains of free blocks and counts disagree.
    pub torn_pages: u64,
    /// Types of the objects that hold sparse pages, most pages first: (type, pages).
    pub pinned_by_type: Vec<(String, u64)>,
}

/// The cyclic garbage collector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcFacts {
    /// `gc.isenabled()`; `None` where the build does not tell where it keeps that.
    pub enabled: Option<bool>,
    /// Whether a collection was going on.
    pub collecting: bool,
    /// `gc.get_threshold()`, as many as the version has.
    pub thresholds: Vec<i64>,
    /// `gc.get_count()`.
    pub counts: Vec<i64>,
    /// `gc.get_debug()`.
    pub debug: GcDebug,
    /// Objects on the list of each generation, the youngest first; empty where lists are not used.
    pub generations: Vec<u64>,
    /// What `gc.freeze` put aside, `gc.get_freeze_count()`.
    pub frozen: Option<u64>,
    /// How many of the first 100,000 of those nothing leads to any more.
    pub frozen_garbage: u64,
    /// The list `gc.garbage`, if one was ever made: what the collector found and does not free.
    pub garbage: Option<ObjectId>,
    /// Objects with the tracked mark.
    pub tracked: u64,
    /// Whether the lists of the collector agree with the objects found, as far as looked.
    pub lists_agree: Option<bool>,
}

/// What `gc.set_debug` was told, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcDebug(pub i32);

impl GcDebug {
    /// `gc.DEBUG_SAVEALL`: everything that would be freed goes to `gc.garbage` instead.
    pub const SAVEALL: Self = Self(1 << 5);

    /// Whether all of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// How long one phase took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Which.
    pub phase: Cow<'static, str>,
    /// Milliseconds.
    pub ms: f64,
}
