//! How is an allocator told to give back what it keeps?
//!
//! By its own function, called from a borrowed thread: no Python, no GIL. A thread that waits in
//! the kernel for something else holds no lock of an allocator.

use crate::Refusal;
use crate::borrow::{self, Shunned};
use crate::frame::{Argument, Call};
use crate::subject::Subject;
use memwhy_model::Bytes;
use memwhy_native::alloc::{glibc, other};
use memwhy_target::Process;
use std::time::{Duration, Instant};

/// A function that gives memory back.
struct Release {
    /// The allocator.
    allocator: &'static str,
    /// Names of the function, the usual one first.
    functions: &'static [&'static str],
    /// What it is given.
    argument: Argument,
    /// How it is written.
    written: &'static str,
}

/// `MALLCTL_ARENAS_ALL` of jemalloc is 4096.
const PURGE: &str = "arena.4096.purge";

/// One a line; jemalloc's takes five arguments, and only the first call has more than one.
const RELEASES: &[Release] = &[
    Release {
        allocator: "jemalloc",
        functions: &["mallctl", "je_mallctl"],
        argument: Argument::Text,
        written: "mallctl(\"arena.4096.purge\", 0, 0, 0, 0)",
    },
    Release {
        allocator: "tcmalloc",
        functions: &["MallocExtension_ReleaseFreeMemory"],
        argument: Argument::Number(0),
        written: "MallocExtension_ReleaseFreeMemory()",
    },
    Release {
        allocator: "mimalloc",
        functions: &["mi_collect"],
        argument: Argument::Number(1),
        written: "mi_collect(true)",
    },
];

/// What came of it.
#[derive(Clone, Debug)]
pub struct Trimmed {
    /// What was called, as C writes it.
    pub called: Vec<String>,
    /// In which thread.
    pub tid: u32,
    /// For how long the process stood still, before the calls.
    pub paused: Duration,
    /// How long the calls took, as far as can be told from outside.
    pub took: Duration,
    /// Whether the thread has come back; if not, it still works at it.
    pub finished: bool,
    /// RSS before and after.
    pub rss: (Bytes, Bytes),
}

/// What [`trim`] would call in this process, as C writes it; nothing is changed.
///
/// # Errors
/// If there is no allocator that has such a function.
pub fn planned(process: Process) -> Result<Vec<String>, Refusal> {
    Ok(calls(&Subject::of(process)?)?.1)
}

fn calls(subject: &Subject) -> Result<(Vec<Call>, Vec<String>), Refusal> {
    let (mut calls, mut written) = (Vec::new(), Vec::new());
    for release in RELEASES {
        let function = release.functions.iter().find_map(|name| subject.images.exporter(name));
        if let Some((image, function)) = function {
            calls.push(Call { function, argument: release.argument });
            written.push(format!(
                "{}'s {} of {}",
                release.allocator,
                release.written,
                image.file_name()
            ));
        }
    }
    // glibc's heaps may be there beside another allocator's.
    let trim = glibc::libc(&subject.images).and_then(|libc| libc.exported("malloc_trim"));
    if let Some(function) = trim {
        calls.push(Call { function, argument: Argument::Number(0) });
        written.push("glibc's malloc_trim(0)".into());
    }
    if calls.is_empty() {
        let found = other::detect(&subject.view, &subject.images);
        // The program may have been replaced since.
        let exe = subject.process.exe();
        let exe = exe.trim_end_matches(" (deleted)");
        return Err(Refusal::KeepsAll {
            allocator: found.as_ref().map(|(name, _)| *name),
            linked: found.is_some_and(|(_, image)| image == exe),
        });
    }
    Ok((calls, written))
}

/// Has the allocators give back what they keep; waits `patience` for a thread, and for the end.
///
/// # Errors
/// If it cannot be done; nothing was changed then.
pub fn trim(process: Process, patience: Duration) -> Result<Trimmed, Refusal> {
    let subject = Subject::of(process)?;
    let (calls, called) = calls(&subject)?;
    let before = subject.process.quick_rss();
    let until = Instant::now() + patience;
    // The calls have nothing to do with Python.
    let shunned = Shunned { holders: Vec::new, futex: false };
    let borrowed = borrow::patiently(&subject, &calls, PURGE.as_bytes(), &shunned, until)?;
    let begun = Instant::now();
    let finished = borrowed.returned(&subject, patience);
    let took = begun.elapsed();
    let after = subject.process.quick_rss();
    let (tid, paused) = (borrowed.tid, borrowed.paused);
    Ok(Trimmed { called, tid, paused, took, finished, rss: (before, after) })
}
