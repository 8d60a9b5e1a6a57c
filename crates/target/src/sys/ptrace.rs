//! How is a thread stopped such that our death lets it go? `PTRACE_SEIZE` and `PTRACE_INTERRUPT`.
//!
//! No signal is sent: the kernel detaches and resumes every thread when its tracer dies, whatever
//! the tracer dies of. `SIGSTOP` has no such undo, so it is never used. All calls must come from
//! one thread of ours, which the kernel regards as the tracer.

use crate::registers::{Register, Registers, WORDS};
use std::io;

/// What a thread did when we looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It has not stopped yet.
    NotYet,
    /// It stopped because we asked it to.
    Stopped,
    /// It stopped to take this signal, which has to be handed on when it is let go.
    Signal(i32),
    /// It is gone.
    Gone,
}

/// Becomes the tracer of a thread, which goes on running.
///
/// # Errors
/// `EPERM` without permission or if somebody else traces it, `ESRCH` when it is gone.
pub fn seize(tid: u32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0)
}

/// Asks a seized thread to stop.
///
/// # Errors
/// `ESRCH` when it is gone.
pub fn interrupt(tid: u32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0)
}

/// Lets a stopped thread go, with the signal that it stopped for, 0 for none.
///
/// # Errors
/// `ESRCH` when it is gone, or not stopped.
pub fn detach(tid: u32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, tid, signal)
}

/// Looks, without waiting, whether a thread that was asked to stop has done so.
///
/// # Errors
/// As `waitpid(2)`.
pub fn poll(tid: u32) -> io::Result<Waited> {
    let mut status = 0;
    let tid = i32::try_from(tid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: `status` is ours and outlives the call.
    let got = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
    if got < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ECHILD) => Ok(Waited::Gone),
            _ => Err(error),
        };
    }
    if got == 0 {
        return Ok(Waited::NotYet);
    }
    if !libc::WIFSTOPPED(status) {
        return Ok(Waited::Gone);
    }
    // PTRACE_EVENT_STOP in the upper bits marks both our interrupt and a group stop; anything
    // else is the delivery of a signal.
    if status >> 16 == libc::PTRACE_EVENT_STOP {
        return Ok(Waited::Stopped);
    }
    Ok(Waited::Signal(libc::WSTOPSIG(status)))
}

/// The registers of a stopped thread.
///
/// # Errors
/// `ESRCH` when it is gone, or not stopped.
pub fn registers(tid: u32) -> io::Result<Registers> {
    let mut words = [0_u64; WORDS];
    let tid = i32::try_from(tid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    const { assert!(size_of::<libc::user_regs_struct>() == WORDS * 8) };
    // SAFETY: the kernel writes one `user_regs_struct`, which `words` is as large as, aligned like,
    // and which outlives the call; any words are a valid value of it.
    let done = unsafe {
        libc::ptrace(
            libc::PTRACE_GETREGS,
            tid,
            std::ptr::null_mut::<libc::c_void>(),
            words.as_mut_ptr().cast::<libc::c_void>(),
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(Registers::new(words)) }
}

/// Has a stopped thread begin the call again that our stop has cut short with `EINTR`, as the kernel
/// by itself has it begin others: the call's result becomes `ERESTARTNOHAND`. A signal that has a
/// handler still ends the call, as it would have without us.
///
/// # Errors
/// `ESRCH` when it is gone, or not stopped.
pub fn begin_again(tid: u32) -> io::Result<()> {
    const ERESTARTNOHAND: i64 = 514;
    // One word of `struct user`, which begins with `user_regs_struct`.
    let place = std::ptr::without_provenance_mut::<libc::c_void>(Register::Rax as usize * 8);
    let result = (-ERESTARTNOHAND).cast_unsigned();
    let result = usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(libc::EIO))?;
    let tid = i32::try_from(tid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: POKEUSER reads and writes no memory of ours; both pointers are numbers to it.
    let done = unsafe {
        libc::ptrace(
            libc::PTRACE_POKEUSER,
            tid,
            place,
            std::ptr::without_provenance_mut::<libc::c_void>(result),
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A set of registers of a stopped thread, as the notes of cores have it; `kind` is the note's.
///
/// # Errors
/// `ESRCH` when it is gone, or not stopped; `EINVAL` for a set that this processor does not have.
pub fn register_set(tid: u32, kind: u32) -> io::Result<Vec<u8>> {
    // The largest, NT_X86_XSTATE, has 11 KiB where the processor has everything.
    let mut words = vec![0_u64; 4096];
    let tid = i32::try_from(tid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    let mut place =
        libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: size_of_val(&*words) };
    // SAFETY: the kernel writes into `words`, of which `place` has the address and the length, and
    // states in `place` how much it wrote; both are ours and outlive the call.
    let done = unsafe {
        libc::ptrace(
            libc::PTRACE_GETREGSET,
            tid,
            std::ptr::without_provenance_mut::<libc::c_void>(kind as usize),
            (&raw mut place).cast::<libc::c_void>(),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    Ok(bytes.take(place.iov_len).collect())
}

/// Why a stopped thread stopped: `siginfo_t`, as it is in a core.
///
/// # Errors
/// `EINVAL` where it stopped for no signal.
pub fn signal_info(tid: u32) -> io::Result<Vec<u8>> {
    let mut words = [0_u64; 16];
    let tid = i32::try_from(tid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    const { assert!(size_of::<libc::siginfo_t>() == 128) };
    // SAFETY: the kernel writes one `siginfo_t`, which `words` is as large as and aligned like, and
    // which outlives the call.
    let done = unsafe {
        libc::ptrace(
            libc::PTRACE_GETSIGINFO,
            tid,
            std::ptr::null_mut::<libc::c_void>(),
            words.as_mut_ptr().cast::<libc::c_void>(),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn request(what: libc::c_uint, tid: u32, data: i32) -> io::Result<()> {
    let tid = i32::try_from(tid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    let data = usize::try_from(data).unwrap_or(0);
    // SAFETY: none of SEIZE, INTERRUPT and DETACH reads or writes memory of ours; `data` is a
    // number to them, not a pointer.
    let done = unsafe {
        libc::ptrace(
            what,
            tid,
            std::ptr::null_mut::<libc::c_void>(),
            std::ptr::without_provenance_mut::<libc::c_void>(data),
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
