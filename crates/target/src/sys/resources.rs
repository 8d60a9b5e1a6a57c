//! Who are we, and what have we used?

use std::time::Duration;

/// Our effective user id.
#[must_use]
pub fn effective_uid() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// Clock ticks per second, the unit of times in `/proc/PID/stat`.
#[must_use]
pub fn clock_ticks_per_second() -> u64 {
    // SAFETY: takes a constant, touches no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}

/// What this process has used so far: CPU time of user and kernel, and its peak RSS in bytes.
#[must_use]
pub fn used_by_us() -> (Duration, u64) {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is as large as the kernel's struct, and all zeroes is a valid value of it.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time = |t: libc::timeval| {
        Duration::from_secs(u64::try_from(t.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(t.tv_usec).unwrap_or(0))
    };
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024);
    (time(usage.ru_utime) + time(usage.ru_stime), peak)
}

/// Has malloc give back large blocks as soon as they are free.
///
/// glibc raises the size from which a block is a mapping of its own with each such block that is
/// freed, up to 32 MiB; the slabs of a copy would then stay with us while all else is built.
pub fn return_large_blocks() {
    /// More than any small object, less than a slab.
    const FROM: libc::c_int = 256 << 10;
    // SAFETY: takes numbers only.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, FROM) };
}

/// The best place in the queue for CPUs that we may have, given back on drop.
///
/// Taken while a target is stopped: every millisecond that we wait for a CPU it waits too. Without
/// the right to it nothing changes.
#[derive(Debug)]
pub struct Hurry {
    before: i32,
}

impl Hurry {
    /// Begins to hurry.
    #[must_use]
    pub fn begin() -> Self {
        // SAFETY: takes numbers only.
        let before = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        // SAFETY: takes numbers only.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
        Self { before }
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        // SAFETY: takes numbers only.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, self.before) };
    }
}

/// Columns of the terminal that standard output is, if it is one.
#[must_use]
pub fn terminal_columns() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request fills in a `winsize`, which `size` is, and which outlives the call.
    let done = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (done == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}
