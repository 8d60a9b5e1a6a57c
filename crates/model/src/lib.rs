//! What are the words that memwhy thinks in?
//!
//! Use the `memwhy` crate, not this one: it re-exports what a caller needs.
//!
//! In reading order:
//!
//! * [`Addr`], [`AddrRange`], [`Bytes`]: numbers in the target and amounts of memory;
//! * [`Trust`]: how we know a fact; [`Problems`]: what could not be read, counted;
//! * [`Owner`], [`Partition`], [`Accounting`]: who has each resident byte;
//! * [`HeapGraph`]: the Python objects, as columns; [`Details`]: one of them, up close;
//! * [`LockFacts`], [`TaskFacts`]: who waits for what;
//! * [`ThreadFacts`]: what a thread is doing, in Python, in C and in the kernel;
//! * [`Case`]: everything observed about one process at one moment.
//!
//! The crate knows nobody: no process, no file, no format.
#![forbid(unsafe_code)]

pub mod addr;
pub mod bytes;
pub mod case;
pub mod closeups;
pub mod details;
mod free_lists;
pub mod heap;
mod interpreters;
pub mod kernel;
pub mod locks;
pub mod native_memory;
pub mod partition;
pub mod places;
pub mod problem;
pub mod residency;
pub mod stand_in;
pub mod tasks;
pub mod threads;
pub mod trial;
pub mod trust;

pub use addr::{Addr, AddrRange};
pub use bytes::Bytes;
pub use case::{
    About, ArenaFacts, Case, ChunkClass, GcDebug, GcFacts, GlibcFacts, Mallinfo, MallocFacts,
    MappingFacts, MimallocFacts, Moment, Pause, PinFacts, PymallocClass, PymallocFacts,
    PythonAbout, TargetKind, Timing, Untold,
};
pub use closeups::Closeups;
pub use details::{Details, Label, PreviewLength};
pub use free_lists::FreeList;
pub use heap::{
    Finalizer, Flags, HeapBuilder, HeapGraph, ObjectId, Root, RootKind, TypeId, TypeRow,
};
pub use interpreters::{InterpreterFacts, TypeCacheFacts};
pub use kernel::{CgroupFacts, Charges, ForkFacts, HugeFacts, HugeMapping, Relation, StackFacts};
pub use locks::{
    AbsentHolder, HolderKnown, LockFacts, LockHolder, LockKind, LockState, LockUser, NamedBy, Wait,
    Waited, Wants,
};
pub use native_memory::{
    Content, ContentGroup, ContentKind, HolderKind, Holding, NativeMemory, Tally,
};
pub use partition::{Accounting, Layer, Owner, OwnerBytes, Partition};
pub use places::{SourcePlace, SourcePlaces};
pub use problem::{ProblemKind, Problems};
pub use residency::{PageRun, PageState, Residency};
pub use stand_in::{Carried, ClassFacts, StandIn};
pub use tasks::{Awaits, AwaitsOf, TaskFacts, TaskKind, TaskState};
pub use threads::{
    Frame, Local, LocalKind, NativeFrame, NativeStack, Place, SourceFile, Span, SystemCall,
    ThreadFacts, ThreadState,
};
pub use trial::{Run, Sample, Trial};
pub use trust::Trust;
