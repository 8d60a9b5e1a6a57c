//! How is a process of ours asked to end? `SIGTERM`.

use std::io;

/// Sends `SIGTERM` to a process that we started.
///
/// # Errors
/// `ESRCH` when it is gone.
pub(crate) fn ask(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: a call with two numbers.
    if unsafe { libc::kill(pid, libc::SIGTERM) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
