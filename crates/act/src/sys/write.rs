//! How are bytes put into another process? `process_vm_writev(2)`.

use memwhy_model::Addr;
use std::io;

/// Writes all of `pieces` in this order, in one system call, so that our death cannot come between
/// two of them.
///
/// # Errors
/// `EPERM` without permission, `ESRCH` when the process is gone, `EFAULT` where the memory is not
/// mapped or not writable; `WriteZero` if only a part could be written.
pub(crate) fn write(pid: u32, pieces: &[(Addr, &[u8])]) -> io::Result<()> {
    let local: Vec<libc::iovec> = pieces
        .iter()
        .map(|(_, bytes)| libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        })
        .collect();
    let remote: Vec<libc::iovec> = pieces
        .iter()
        .map(|(addr, bytes)| libc::iovec {
            iov_base: addr.0 as *mut libc::c_void,
            iov_len: bytes.len(),
        })
        .collect();
    let pid = i32::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    let count = local.len() as u64;
    // SAFETY: the kernel only reads the pieces, each of which its `iovec` covers exactly and which
    // outlive the call; the remote addresses are not dereferenced by us.
    let put =
        unsafe { libc::process_vm_writev(pid, local.as_ptr(), count, remote.as_ptr(), count, 0) };
    let all: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
    match usize::try_from(put) {
        Ok(put) if put == all => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
