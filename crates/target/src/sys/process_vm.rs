//! How are bytes copied out of another process? `process_vm_readv(2)`.

use std::io;

/// The kernel takes no more pieces in one call (`UIO_MAXIOV`).
pub const MAX_PIECES: usize = 1024;

/// Copies from `addr` in process `pid` until `buf` is full or a page is missing.
///
/// Returns how many bytes were copied: less than asked for where the target's memory ends.
///
/// # Errors
/// `EPERM` without permission, `ESRCH` when the process is gone, `EFAULT` if the first page is
/// not readable.
pub fn read(pid: u32, addr: u64, buf: &mut [u8]) -> io::Result<usize> {
    read_pieces(pid, &[(addr, buf.len())], buf)
}

/// Copies several pieces, one after another, into `buf` in one call.
///
/// Returns how many bytes were copied in all; the first piece that cannot be read whole ends it.
///
/// # Errors
/// As [`read`], and `EINVAL` for more than [`MAX_PIECES`] or pieces longer than `buf`.
pub fn read_pieces(pid: u32, pieces: &[(u64, usize)], buf: &mut [u8]) -> io::Result<usize> {
    let wanted = pieces.iter().try_fold(0usize, |sum, (_, len)| sum.checked_add(*len));
    if pieces.len() > MAX_PIECES || wanted.is_none_or(|wanted| wanted > buf.len()) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let remote: Vec<libc::iovec> = pieces
        .iter()
        .map(|(addr, len)| libc::iovec { iov_base: *addr as *mut libc::c_void, iov_len: *len })
        .collect();
    let local = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let pid = i32::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: `local` covers exactly `buf`, which we borrow mutably, so the kernel writes only
    // there; the remote addresses are not dereferenced by us.
    let copied = unsafe {
        libc::process_vm_readv(pid, &raw const local, 1, remote.as_ptr(), remote.len() as u64, 0)
    };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}
