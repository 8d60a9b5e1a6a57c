//! What the kernel did with the memory, for programs.

use memwhy_model::{Bytes, Charges};
use memwhy_reason::Ask;
use memwhy_reason::analyses::{FileShare, MappedFiles, SmapsView};
use serde::Serialize;

/// Files listed of each kind.
const FILES: usize = 20;

#[derive(Serialize)]
pub(super) struct KernelOut {
    swapped_bytes: u64,
    lazily_free_bytes: u64,
    huge_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    huge_never_written_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fork: Option<ForkOut>,
    stacks: StacksOut,
    images_bytes: u64,
    data_files: Vec<FileOut>,
    shared_memory: Vec<FileOut>,
}

#[derive(Serialize)]
struct ForkOut {
    with: u32,
    relation: &'static str,
    forked_processes: u64,
    inherited_bytes: u64,
    unshared_bytes: u64,
    own_bytes: u64,
    tracked_bytes: u64,
    tracked_unshared_bytes: u64,
    untracked_bytes: u64,
    untracked_unshared_bytes: u64,
}

#[derive(Serialize)]
struct StacksOut {
    stacks: u64,
    of_ended_threads: u64,
    reserved_bytes: u64,
    resident_bytes: u64,
}

#[derive(Serialize)]
struct FileOut {
    name: String,
    deleted: bool,
    resident_bytes: u64,
    private_bytes: u64,
}

#[derive(Serialize)]
pub(super) struct ChargesOut {
    version: u8,
    anon_bytes: u64,
    page_cache_bytes: u64,
    shared_memory_bytes: u64,
    kernel_bytes: u64,
    swapped_bytes: u64,
}

impl ChargesOut {
    pub(super) const fn of(charged: Charges) -> Self {
        Self {
            version: charged.version,
            anon_bytes: charged.anon.0,
            page_cache_bytes: charged.cache.0,
            shared_memory_bytes: charged.shmem.0,
            kernel_bytes: charged.kernel.0,
            swapped_bytes: charged.swap.0,
        }
    }
}

pub(super) fn of(ask: &Ask<'_>) -> KernelOut {
    let seen = ask.get::<SmapsView>();
    let files = ask.get::<MappedFiles>();
    let stacks = &ask.thread_stacks;
    let listed = |files: &[FileShare]| {
        let file = |file: &FileShare| FileOut {
            name: file.name.clone(),
            deleted: file.deleted,
            resident_bytes: file.resident.0,
            private_bytes: file.private.0,
        };
        files.iter().take(FILES).map(file).collect()
    };
    KernelOut {
        swapped_bytes: seen.swap.0,
        lazily_free_bytes: seen.lazy_free.0,
        huge_bytes: seen.huge.0,
        huge_never_written_bytes: ask.huge.as_ref().map(|huge| huge.zero.0),
        fork: ask.fork.as_ref().map(|fork| ForkOut {
            with: fork.with,
            relation: fork.relation.id(),
            forked_processes: fork.siblings,
            inherited_bytes: fork.inherited.0,
            unshared_bytes: fork.unshared.0,
            own_bytes: fork.own.0,
            tracked_bytes: fork.tracked.0.0,
            tracked_unshared_bytes: fork.tracked.1.0,
            untracked_bytes: fork.untracked.0.0,
            untracked_unshared_bytes: fork.untracked.1.0,
        }),
        stacks: StacksOut {
            stacks: stacks.len() as u64,
            of_ended_threads: stacks.iter().filter(|stack| stack.tid == 0).count() as u64,
            reserved_bytes: stacks.iter().map(|stack| stack.reserved).sum::<Bytes>().0,
            resident_bytes: stacks.iter().map(|stack| stack.resident).sum::<Bytes>().0,
        },
        images_bytes: FileShare::resident(&files.images).0,
        data_files: listed(&files.data),
        shared_memory: listed(&files.shared),
    }
}
