//! Which parts of a file are holes, how much room is left, and how does a file get its name at last?

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The next part of `file` at or after `from` that is not a hole: where it begins and ends.
///
/// Where the file system does not tell, everything is data.
#[must_use]
pub fn next_data(file: &File, from: u64) -> Option<(u64, u64)> {
    let len = file.metadata().ok()?.len();
    let from = i64::try_from(from).ok()?;
    let seek = |from: i64, whence: i32| {
        // SAFETY: takes numbers only; the position that it moves is used by nobody.
        let at = unsafe { libc::lseek(file.as_raw_fd(), from, whence) };
        u64::try_from(at).map_err(|_| io::Error::last_os_error())
    };
    match seek(from, libc::SEEK_DATA) {
        Ok(start) => {
            let end = i64::try_from(start).ok().and_then(|at| seek(at, libc::SEEK_HOLE).ok());
            Some((start, end.unwrap_or(len)))
        }
        // There is no data any more.
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => None,
        Err(_) => u64::try_from(from).ok().filter(|from| *from < len).map(|from| (from, len)),
    }
}

/// How many bytes we may still write in the file system of `folder`.
#[must_use]
pub fn room_in(folder: &Path) -> Option<u64> {
    let path = CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut facts = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` ends in a zero byte, `facts` is as large as the call's struct, and all zeroes
    // is a valid value of it.
    let facts = unsafe {
        if libc::statvfs(path.as_ptr(), facts.as_mut_ptr()) != 0 {
            return None;
        }
        facts.assume_init()
    };
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// Gives a file without a name (`O_TMPFILE`) the name `path`, which nothing may have yet.
///
/// # Errors
/// `EEXIST` where something has the name.
pub fn name(file: &File, path: &Path) -> io::Result<()> {
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let to = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both paths end in a zero byte and outlive the call.
    let done = unsafe {
        libc::linkat(
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::AT_SYMLINK_FOLLOW,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Renames `from` to `to`, which nothing may have yet.
///
/// # Errors
/// `EEXIST` where something has the name.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let from = CString::new(from.as_os_str().as_bytes())?;
    let to = CString::new(to.as_os_str().as_bytes())?;
    // SAFETY: both paths end in a zero byte and outlive the call.
    let done = unsafe {
        libc::renameat2(
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
