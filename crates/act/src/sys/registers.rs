//! What shall be in the registers of a stopped thread when it goes on, and which signals does it block?
//!
//! All calls must come from the thread of ours that traces it, while it is stopped.

use memwhy_target::Registers;
use memwhy_target::registers::WORDS;
use std::io;

/// `PTRACE_GETSIGMASK` of `linux/ptrace.h`.
const GETSIGMASK: libc::c_uint = 0x420a;
/// `NT_PRSTATUS`: the general registers.
const GENERAL: usize = 1;

/// Sets the general registers, all of them.
///
/// # Errors
/// `ESRCH` if the thread is gone or not stopped; `InvalidInput` if some are not known.
pub(crate) fn set(tid: u32, registers: &Registers) -> io::Result<()> {
    let mut words = registers.words().ok_or(io::ErrorKind::InvalidInput)?;
    let mut piece =
        libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: size_of::<[u64; WORDS]>() };
    let tid = i32::try_from(tid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    let general = std::ptr::without_provenance_mut::<libc::c_void>(GENERAL);
    // SAFETY: `piece` covers `words`, which the kernel only reads and which outlive the call.
    let done = unsafe { libc::ptrace(libc::PTRACE_SETREGSET, tid, general, &raw mut piece) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads which signals the thread blocks.
///
/// # Errors
/// `ESRCH` if the thread is gone or not stopped.
pub(crate) fn signal_mask(tid: u32) -> io::Result<u64> {
    let mut mask = 0u64;
    let tid = i32::try_from(tid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: the kernel writes eight bytes, the size given, into `mask`, which is ours.
    let done = unsafe {
        libc::ptrace(
            GETSIGMASK,
            tid,
            std::ptr::without_provenance_mut::<libc::c_void>(8),
            &raw mut mask,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(mask) }
}
