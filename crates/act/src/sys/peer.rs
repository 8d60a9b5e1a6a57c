//! Who is at the other end of a socket? `SO_PEERCRED`.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// The process at the other end, by its number in our pid namespace (0 if it has none there).
///
/// # Errors
/// As `getsockopt(2)`.
pub(crate) fn process(stream: &UnixStream) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    // SAFETY: `peer` and `len` are ours, and `len` states how much room `peer` has.
    let done = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut len,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u32::try_from(peer.pid).unwrap_or(0))
}
