//! What is in the registers of a stopped thread, and what shall be in them when it goes on?
//!
//! All calls must come from the thread of ours that traces it, while it is stopped.

use std::io;

/// `PTRACE_GETSIGMASK` of `linux/ptrace.h`.
const GETSIGMASK: libc::c_uint = 0x420a;
/// `NT_PRSTATUS`: the general registers.
const GENERAL: usize = 1;
/// `NT_X86_XSTATE`: everything that `XSAVE` saves.
const EXTENDED: usize = 0x202;
/// The extended state is smaller on every processor; with AMX it is 11 KiB.
const LARGEST_EXTENDED: usize = 64 << 10;

/// The general registers.
pub(crate) type Registers = libc::user_regs_struct;

/// Reads the general registers.
///
/// # Errors
/// `ESRCH` if the thread is gone or not stopped.
pub(crate) fn general(tid: u32) -> io::Result<Registers> {
    // SAFETY: a struct of integers, for which zero is a value.
    let mut registers: Registers = unsafe { std::mem::zeroed() };
    let mut piece =
        libc::iovec { iov_base: (&raw mut registers).cast(), iov_len: size_of::<Registers>() };
    request(libc::PTRACE_GETREGSET, tid, GENERAL, &mut piece)?;
    if piece.iov_len == size_of::<Registers>() {
        return Ok(registers);
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Sets the general registers.
///
/// # Errors
/// As [`general`].
pub(crate) fn set_general(tid: u32, registers: &Registers) -> io::Result<()> {
    let mut copy = *registers;
    let mut piece =
        libc::iovec { iov_base: (&raw mut copy).cast(), iov_len: size_of::<Registers>() };
    request(libc::PTRACE_SETREGSET, tid, GENERAL, &mut piece)
}

/// Reads the extended state, as `XSAVE` lays it out.
///
/// # Errors
/// As [`general`]; `ENODEV` on a processor without `XSAVE`.
pub(crate) fn extended(tid: u32) -> io::Result<Vec<u8>> {
    let mut state = vec![0u8; LARGEST_EXTENDED];
    let mut piece = libc::iovec { iov_base: state.as_mut_ptr().cast(), iov_len: state.len() };
    request(libc::PTRACE_GETREGSET, tid, EXTENDED, &mut piece)?;
    state.truncate(piece.iov_len);
    Ok(state)
}

/// Reads which signals the thread blocks.
///
/// # Errors
/// As [`general`].
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

fn request(what: libc::c_uint, tid: u32, set: usize, piece: &mut libc::iovec) -> io::Result<()> {
    let tid = i32::try_from(tid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    let set = std::ptr::without_provenance_mut::<libc::c_void>(set);
    // SAFETY: `piece` covers memory of ours that outlives the call, and the kernel keeps within it.
    let done = unsafe { libc::ptrace(what, tid, set, std::ptr::from_mut(piece)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
