//! Which sleeping threads must not be woken by a stop, because their call would not begin again?
//!
//! A stop wakes a thread that sleeps in a system call, and when it is let go the kernel begins the
//! call again, as if nothing had been. Some calls it does not begin again: they return `EINTR`, and
//! a program that does not expect that takes it for an error. Python up to 3.4 raises it (PEP 475
//! came with 3.5).
//!
//! Such a thread is left asleep. It changes nothing for as long as it sleeps, and whether it still
//! does is looked at again and again: one that wakes up is stopped then. One that was awake and is
//! caught just when it begins such a call has the call begun again: see
//! [`crate::sys::ptrace::begin_again`].
//!
//! Source: `signal(7)`, "Interruption of system calls and library functions by stop signals";
//! Linux 6.18: `fs/eventpoll.c: ep_poll`, `ipc/sem.c: __do_semtimedop`, `kernel/signal.c:
//! do_sigtimedwait`, `fs/aio.c: do_io_getevents`, `io_uring/io_uring.c: io_run_task_work_sig`,
//! `include/net/sock.h: sock_intr_errno`. That the list is whole is tested with a thread in every
//! call that waits: `workloads/sleepers.py`.

use crate::live::process::Process;
use crate::registers::{Call, Registers};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// No look at the sleepers begins before so many times what the last one took have passed.
const RARELY: u32 = 10;
/// <errno.h>.
const EINTR: i64 = 4;

/// Threads that are asleep, and what tells whether they still are.
#[derive(Debug)]
pub(crate) struct Sleepers {
    /// Registers as far as the kernel tells them, and nanoseconds on a CPU so far.
    asleep: BTreeMap<u32, (Registers, u64)>,
    looked: Instant,
    took: Duration,
}

impl Sleepers {
    pub(crate) fn none() -> Self {
        Self { asleep: BTreeMap::new(), looked: Instant::now(), took: Duration::ZERO }
    }

    /// Whether `tid` is asleep in a call that would not begin again; then it is one of these.
    pub(crate) fn take(&mut self, process: &Process, tid: u32) -> bool {
        // First how long it ran, then where it is: what it does in between shows later.
        let ran = process.ran(tid);
        let Some(registers) = process.told_registers(tid) else { return false };
        let ends = registers.call().is_some_and(|call| would_end(process, &call));
        if ends {
            self.asleep.insert(tid, (registers, ran));
        }
        ends
    }

    pub(crate) fn has(&self, tid: u32) -> bool {
        self.asleep.contains_key(&tid)
    }

    pub(crate) fn tids(&self) -> impl Iterator<Item = u32> + '_ {
        self.asleep.keys().copied()
    }

    pub(crate) fn registers(&self, tid: u32) -> Option<Registers> {
        self.asleep.get(&tid).map(|(registers, _)| *registers)
    }

    /// Forgets the threads that have run since they were taken, and returns them. Does nothing as
    /// long as the last look was too short ago, unless it `must`.
    pub(crate) fn woken(&mut self, process: &Process, must: Must) -> Vec<u32> {
        let begun = Instant::now();
        let soon = begun.duration_since(self.looked) < self.took * RARELY;
        if self.asleep.is_empty() || soon && must == Must::NotAlways {
            return Vec::new();
        }
        let ran = |tid: &u32, before: u64| process.ran(*tid) != before;
        let woken = self.asleep.iter().filter(|(tid, (_, before))| ran(tid, *before));
        let woken: Vec<u32> = woken.map(|(tid, _)| *tid).collect();
        for tid in &woken {
            self.asleep.remove(tid);
        }
        self.looked = Instant::now();
        self.took = self.looked.duration_since(begun);
        woken
    }
}

/// Whether a look may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Must {
    NotAlways,
    Always,
}

/// Whether a stop has ended the call that the thread with these registers was in.
pub(crate) fn was_cut_short(process: &Process, registers: &Registers) -> bool {
    let interrupted = registers.by_dwarf(0) == Some((-EINTR).cast_unsigned());
    interrupted && registers.call().is_some_and(|call| would_end(process, &call))
}

/// Whether the call would return `EINTR` if it were interrupted.
fn would_end(process: &Process, call: &Call) -> bool {
    let is_socket = || {
        let descriptor = call.arguments[0] & 0xffff_ffff;
        let link = std::fs::read_link(process.path("fd").join(descriptor.to_string()));
        link.is_ok_and(|link| link.to_string_lossy().starts_with("socket:"))
    };
    match kind(call.number) {
        Kind::Ends => true,
        Kind::EndsOnSockets => is_socket(),
        Kind::BeginsAgain => false,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ends,
    /// With `SO_RCVTIMEO` or `SO_SNDTIMEO`, which cannot be seen from outside.
    EndsOnSockets,
    BeginsAgain,
}

/// By the numbers of `arch/x86/entry/syscalls/syscall_64.tbl`.
const fn kind(number: u64) -> Kind {
    match number {
        // epoll_wait, epoll_pwait, epoll_pwait2
        232 | 281 | 441
        // semop, semtimedop, rt_sigtimedwait
        | 65 | 220 | 128
        // io_getevents, io_pgetevents, io_uring_enter
        | 208 | 333 | 426
        // connect, accept, accept4, sendto, recvfrom, sendmsg, recvmsg, recvmmsg, sendmmsg
        | 42 | 43 | 288 | 44 | 45 | 46 | 47 | 299 | 307 => Kind::Ends,
        // read, write, readv, writev, sendfile, splice
        0 | 1 | 19 | 20 | 40 | 275 => Kind::EndsOnSockets,
        _ => Kind::BeginsAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Must, Sleepers, kind};
    use crate::live::process::Process;
    use std::time::{Duration, Instant};

    #[test]
    fn calls_that_the_kernel_begins_again_are_no_matter() {
        // futex, poll, select, nanosleep, clock_nanosleep, wait4, flock.
        for number in [202, 7, 23, 35, 230, 61, 73] {
            assert_eq!(kind(number), Kind::BeginsAgain, "{number}");
        }
        assert_eq!(kind(232), Kind::Ends);
        assert_eq!(kind(0), Kind::EndsOnSockets);
    }

    #[test]
    fn a_sleeper_that_wakes_up_is_told() {
        use std::io::{Read as _, Write as _};
        let (mut ours, mut theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let (said, tid) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let link = std::fs::read_link("/proc/thread-self").expect("a link");
            let name = link.file_name().and_then(|name| name.to_str()).expect("a number");
            said.send(name.parse::<u32>().expect("a number")).expect("a listener");
            let mut byte = [0];
            // Twice: woken, it goes to sleep in the same call.
            theirs.read_exact(&mut byte).expect("a byte");
            theirs.read_exact(&mut byte).expect("a byte");
        });
        let (tid, us) = (tid.recv().expect("a number"), Process::open(std::process::id()));
        let us = us.expect("we are alive");
        let mut sleepers = Sleepers::none();
        let patience = Instant::now() + Duration::from_secs(60);
        while !sleepers.take(&us, tid) {
            assert!(Instant::now() < patience, "it does not go to sleep");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(sleepers.woken(&us, Must::Always), [] as [u32; 0]);
        ours.write_all(&[1]).expect("a reader");
        while sleepers.woken(&us, Must::Always).is_empty() {
            assert!(Instant::now() < patience, "it does not wake up");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!sleepers.has(tid));
        ours.write_all(&[1]).expect("a reader");
        thread.join().expect("it ends");
    }
}
