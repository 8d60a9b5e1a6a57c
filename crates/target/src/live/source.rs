//! How are bytes copied out of a process without changing what it shares?
//!
//! `process_vm_readv` pins the pages that it copies, and since Linux 5.19 the kernel gives a process
//! its own copy of a page first that it shares with the other side of a fork (`gup_must_unshare` in
//! `mm/gup.c`). Reading one worker of many in that way makes memory in all grow by what is read:
//! measured, 64 MiB of 64. `/proc/PID/mem` pins nothing and unshares nothing, but copies page by
//! page; it is read where somebody is there to share with.

use crate::live::process::Process;
use crate::live::relatives::Relatives;
use crate::sys::process_vm;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// How one process is read.
#[derive(Debug)]
pub(crate) enum Source {
    /// By system call: nobody shares its pages.
    Pinned,
    /// By its file.
    File(File),
}

impl Source {
    /// Decides for a process.
    pub(crate) fn of(process: &Process) -> Self {
        if !shares(process) {
            return Self::Pinned;
        }
        // Whoever may use the system call may open the file; where that fails the call says why.
        File::open(process.path("mem")).map_or(Self::Pinned, Self::File)
    }

    /// Copies several pieces, one after another, into `buf`; as [`process_vm::read_pieces`].
    pub(crate) fn read_pieces(
        &self,
        pid: u32,
        pieces: &[(u64, usize)],
        buf: &mut [u8],
    ) -> io::Result<usize> {
        let file = match self {
            Self::Pinned => return process_vm::read_pieces(pid, pieces, buf),
            Self::File(file) => file,
        };
        let mut done = 0usize;
        for (addr, len) in pieces {
            let into = buf.get_mut(done..done.saturating_add(*len));
            let into = into.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
            let mut got = 0usize;
            while got < *len {
                let rest = into.get_mut(got..).unwrap_or_default();
                match file.read_at(rest, addr.saturating_add(got as u64)) {
                    Ok(0) => return Ok(done + got),
                    Ok(n) => got += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // The file says EIO where the call would say EFAULT.
                    Err(error) if done + got == 0 => return Err(error),
                    Err(_) => return Ok(done + got),
                }
            }
            done += len;
        }
        Ok(done)
    }
}

/// Whether it was forked, or has forked somebody who has not started another program since.
fn shares(process: &Process) -> bool {
    if process.forked() != Some(false) {
        return true;
    }
    let forked = |pid: u32| Process::open(pid).is_ok_and(|child| child.forked() == Some(true));
    let listed = |tid: &u32| {
        let text = fs::read_to_string(process.path(&format!("task/{tid}/children"))).ok()?;
        Some(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
    };
    // Only some kernels have those lists.
    match process.tids().iter().map(listed).collect::<Option<Vec<_>>>() {
        Some(lists) => lists.concat().into_iter().any(forked),
        None => Relatives::look().children(process.pid).any(forked),
    }
}
