//! Who has the lock on a file that a thread waits for?
//!
//! Source: `proc_locks(5)`: each lock has a number, those who wait for it the same number and an
//! arrow.

use crate::live::process::Process;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// The lock on an open file that a thread waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLock {
    /// The file, as the process sees it.
    pub path: String,
    /// Its number on its device.
    pub inode: u64,
    /// Who has it: processes in our pid namespace, with what they are called.
    pub holders: Vec<(u32, String)>,
}

impl Process {
    /// The lock on the file with this descriptor.
    #[must_use]
    pub fn file_lock(&self, descriptor: u64) -> Option<FileLock> {
        let link = self.path("fd").join(descriptor.to_string());
        let path = fs::read_link(&link).ok()?.to_string_lossy().into_owned();
        let inode = fs::metadata(&link).ok()?.ino();
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let named = |pid: u32| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            (pid, comm.trim().to_owned())
        };
        let holders = holders(&locks, inode).into_iter().map(named).collect();
        Some(FileLock { path, inode, holders })
    }
}

/// The processes that have a lock on the file, those who wait left out. Locks of open files have
/// no process, which the kernel writes as -1.
fn holders(locks: &str, inode: u64) -> Vec<u32> {
    let mut holders: Vec<u32> = Vec::new();
    for line in locks.lines().filter(|line| !line.contains("->")) {
        let mut fields = line.split_ascii_whitespace().skip(4);
        let (Some(pid), Some(file)) = (fields.next(), fields.next()) else { continue };
        let same = file.rsplit(':').next().and_then(|n| n.parse().ok()) == Some(inode);
        if let Ok(pid) = pid.parse()
            && same
            && !holders.contains(&pid)
        {
            holders.push(pid);
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::holders;

    #[test]
    fn who_waits_for_a_file_does_not_hold_it() {
        let locks = "1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF\n\
                     1: -> FLOCK  ADVISORY  WRITE 4712 08:01:131 0 EOF\n\
                     2: POSIX  ADVISORY  READ 4713 08:01:132 0 EOF\n\
                     3: OFDLCK ADVISORY  READ -1 08:01:131 0 EOF\n";
        assert_eq!(holders(locks, 131), [4711]);
        assert_eq!(holders(locks, 132), [4713]);
        assert_eq!(holders(locks, 133), [] as [u32; 0]);
    }
}
