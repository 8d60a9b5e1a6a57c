//! How are bytes put into another process? `process_vm_writev(2)`.

use std::io;

/// Writes all of `bytes` to `addr` in process `pid`.
///
/// # Errors
/// `EPERM` without permission, `ESRCH` when the process is gone, `EFAULT` where the memory is not
/// mapped or not writable; `WriteZero` if only a part could be written.
pub(crate) fn write(pid: u32, addr: u64, bytes: &[u8]) -> io::Result<()> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: addr as *mut libc::c_void, iov_len: bytes.len() };
    let pid = i32::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: the kernel only reads `bytes`, which `local` covers exactly; the remote address is not
    // dereferenced by us.
    let put = unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(put) {
        Ok(put) if put == bytes.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
