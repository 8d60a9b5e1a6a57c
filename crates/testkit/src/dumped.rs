//! How does a test get a core that the kernel itself wrote?
//!
//! A workload is started in a folder of its own with `ulimit -c unlimited` and a `coredump_filter`, and
//! ended by `SIGABRT`. Where cores go is a setting of the whole machine, which no test may change: one
//! that has them piped into a program, or put into some folder, gives none to us.

use crate::Workload;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the kernel writes if nobody asked for anything else: the first page of ELF files, and the
/// process's own memory (`core(5)`).
pub const ORDINARY_FILTER: u32 = 0x33;

/// Whether the kernel of this machine writes cores where a test finds them; if not, what it does.
///
/// # Errors
/// The setting.
pub fn kernel_writes_cores() -> Result<(), String> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let pattern = pattern.trim();
    if pattern.is_empty() || pattern.starts_with('|') || pattern.contains('/') {
        return Err(format!("/proc/sys/kernel/core_pattern is {pattern:?}"));
    }
    Ok(())
}

/// Starts `script` so that the kernel will write a core of it into `folder`, filtered by `filter`.
///
/// # Panics
/// If it does not get ready.
#[must_use]
pub fn start_doomed(python: &Path, script: &Path, filter: u32, folder: &Path) -> Workload {
    let starter = folder.join("starter.sh");
    let text = format!(
        "cd '{}' && ulimit -c unlimited && echo {filter:#x} >/proc/self/coredump_filter && \
         exec '{}' '{}'\n",
        folder.display(),
        python.display(),
        script.display()
    );
    fs::write(&starter, text).unwrap_or_else(|error| panic!("{}: {error}", starter.display()));
    let workload = Workload::start(Path::new("/bin/sh"), &starter, &[]);
    fs::remove_file(&starter).unwrap_or_else(|error| panic!("{}: {error}", starter.display()));
    workload
}

/// Ends the process `pid`, which `workload` is or started, and returns the core that the kernel wrote
/// into `folder`.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn dump(mut workload: Workload, pid: u32, folder: &Path) -> PathBuf {
    let before = names(folder);
    let done = Command::new("kill").args(["-ABRT", &pid.to_string()]).status();
    assert!(done.is_ok_and(|status| status.success()), "kill");
    // Its standard output is closed when all is written.
    let ended = workload.next_answer().map_err(|error| error.kind());
    assert_eq!(ended.err(), Some(io::ErrorKind::Other), "it lives on");
    let new: Vec<PathBuf> =
        names(folder).into_iter().filter(|path| !before.contains(path)).collect();
    match new.as_slice() {
        [core] => core.clone(),
        _ => panic!("the kernel wrote {new:?} into {}", folder.display()),
    }
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.flatten().map(|entry| entry.path()).collect()
}
