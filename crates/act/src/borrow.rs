//! Which thread can be borrowed for a call, and how is it given back?
//!
//! Only a thread that stands in a system call which can be made again: there no C code is halfway
//! through anything. While it stands, a frame is written below its stack, where nothing is in use;
//! then its registers are set, and it is let go at once. It makes the call and restores itself
//! ([`crate::frame`]). A thread at a random point is never used: measured elsewhere on gdb's
//! `call`, one in three such calls hangs a busy process or kills it.

use crate::Refusal;
use crate::frame::{Call, Frame, Standing, in_system_call};
use crate::subject::Subject;
use crate::sys::{registers, write};
use memwhy_model::{Addr, Problems};
use memwhy_target::live::freeze::Freeze;
use memwhy_target::{Maps, MemoryExt};
use std::time::{Duration, Instant};

/// System calls that wait, and that may be made again from the start, with x86-64's numbers.
const WAITING: &[(u64, &str)] = &[
    (0, "read"),
    (7, "poll"),
    (23, "select"),
    (34, "pause"),
    (35, "nanosleep"),
    (43, "accept"),
    (45, "recvfrom"),
    (47, "recvmsg"),
    (61, "wait4"),
    (230, "clock_nanosleep"),
    (232, "epoll_wait"),
    (247, "waitid"),
    (270, "pselect6"),
    (271, "ppoll"),
    (281, "epoll_pwait"),
    (288, "accept4"),
];
const FUTEX: u64 = 202;
/// `FUTEX_WAIT` and `FUTEX_WAIT_BITSET`, without the flags.
const FUTEX_WAITS: [u64; 2] = [0, 9];
/// A thread's own stack has to have that much room for the call.
const STACK_ROOM: u64 = 192 << 10;
/// glibc's `HEAP_MAX_SIZE`: an arena of a thread begins a heap that is so aligned.
const HEAP: u64 = 64 << 20;
/// How long a stop may last.
const PATIENCE: Duration = Duration::from_millis(500);

/// A thread that was borrowed.
#[derive(Clone, Debug)]
pub(crate) struct Borrowed {
    /// Its number in our pid namespace.
    pub(crate) tid: u32,
    /// What it was waiting in.
    pub(crate) waiting_in: &'static str,
    /// For how long the process stood still.
    pub(crate) paused: Duration,
    /// Where its stack was: it is back when it waits there again.
    pub(crate) stack: Addr,
}

/// Between two looks for a thread that can be borrowed.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks, without stopping anything, whether some thread seems to wait where it may be borrowed.
///
/// # Errors
/// What they all do instead.
pub(crate) fn look(subject: &Subject) -> Result<(), Vec<String>> {
    let mut reasons = Vec::new();
    for tid in subject.process.tids() {
        let path = subject.process.path("task").join(tid.to_string()).join("syscall");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let number = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
        match number {
            Some(FUTEX) => return Ok(()),
            Some(number) if WAITING.iter().any(|(waiting, _)| *waiting == number) => return Ok(()),
            Some(number) => reasons.push(format!("thread {tid} stands in system call {number}")),
            None => reasons.push(format!("thread {tid} is running")),
        }
    }
    Err(reasons)
}

/// As [`borrow`], looking again until `until` has come; pauses are added up.
pub(crate) fn patiently(
    subject: &Subject,
    calls: &[Call],
    text: &[u8],
    shunned: impl Fn() -> Vec<u32>,
    until: Instant,
) -> Result<Borrowed, Refusal> {
    let mut paused = Duration::ZERO;
    loop {
        if let Err(reasons) = look(subject) {
            if Instant::now() > until {
                return Err(Refusal::NoThread(reasons));
            }
            std::thread::sleep(PAUSE);
            continue;
        }
        let looked = Instant::now();
        match borrow(subject, calls, text, &shunned) {
            Ok(borrowed) => {
                return Ok(Borrowed { paused: paused + borrowed.paused, ..borrowed });
            }
            Err(Refusal::NoThread(_)) if Instant::now() < until => {
                paused += looked.elapsed();
                std::thread::sleep(PAUSE);
            }
            Err(other) => return Err(other),
        }
    }
}

/// Lets a thread make `calls` and go on; `text` is written beside them. Threads in `shunned` are
/// not taken: those that hold the GIL.
///
/// # Errors
/// [`Refusal::NoThread`] if none can be borrowed now; nothing was changed then.
pub(crate) fn borrow(
    subject: &Subject,
    calls: &[Call],
    text: &[u8],
    shunned: impl Fn() -> Vec<u32>,
) -> Result<Borrowed, Refusal> {
    let pid = subject.process.pid;
    let begun = Instant::now();
    let freeze = Freeze::stop(&subject.process, PATIENCE, &mut Problems::default())?;
    let maps = subject.process.maps()?;
    let shunned = shunned();
    let mut reasons = Vec::new();
    let mut last_resort = None;
    let mut chosen = None;
    let mut tids: Vec<u32> = freeze.still().collect();
    tids.sort_unstable_by_key(|tid| (*tid != pid, *tid));
    for tid in tids {
        if shunned.contains(&tid) {
            reasons.push(format!("thread {tid} holds the GIL"));
            continue;
        }
        match usable(subject, &maps, tid) {
            Ok((standing, name)) if name == "futex" => {
                last_resort.get_or_insert((tid, standing, name));
            }
            Ok((standing, name)) => {
                chosen = Some((tid, standing, name));
                break;
            }
            Err(why) => reasons.push(format!("thread {tid} {why}")),
        }
    }
    let Some((tid, standing, waiting_in)) = chosen.or(last_resort) else {
        return Err(Refusal::NoThread(reasons));
    };
    let frame = Frame::build(&standing, &subject.gadgets, calls, text)
        .ok_or(Refusal::Lacks("extended state of a known size"))?;
    // First what nobody looks at, below the stack; then, in one step, the registers.
    write::write(pid, &[(frame.at, &frame.bytes)])?;
    registers::set_general(tid, &frame.registers)?;
    drop(freeze);
    Ok(Borrowed { tid, waiting_in, paused: begun.elapsed(), stack: Addr(standing.registers.rsp) })
}

/// What a thread stands in, or why it cannot be used.
fn usable(
    subject: &Subject,
    maps: &Maps,
    tid: u32,
) -> Result<(Standing, &'static str), &'static str> {
    let unreadable = "has registers that cannot be read";
    let general = registers::general(tid).map_err(|_| unreadable)?;
    if !in_system_call(&general) {
        return Err("is running");
    }
    let waiting = WAITING.iter().find(|(number, _)| *number == general.orig_rax);
    let name = match waiting {
        Some((_, name)) => *name,
        None if general.orig_rax == FUTEX && FUTEX_WAITS.contains(&(general.rsi & 0x7f)) => {
            if is_needed(subject, Addr(general.rdi)) {
                return Err("waits for the GIL or for a lock of a library");
            }
            "futex"
        }
        None => return Err("stands in a system call that cannot be made again"),
    };
    // A signal mask that the call set for its own time (`ppoll`, `pselect6`) would be taken for the
    // thread's. Nobody who waits so in Python does.
    let masks = match general.orig_rax {
        270 => general.r9 != 0 && subject.now().u64(Addr(general.r9)) != Ok(0),
        271 => general.r10 != 0,
        281 => general.r8 != 0,
        _ => false,
    };
    if masks {
        return Err("waits with a signal mask of its own");
    }
    let code: [u8; 2] =
        subject.now().array(Addr(general.rip.wrapping_sub(2))).map_err(|_| unreadable)?;
    if code != [0x0f, 0x05] {
        return Err("entered the kernel in an unknown way");
    }
    let stack = maps.find(Addr(general.rsp)).filter(|m| m.writable() && m.private());
    let stack = stack.ok_or("has no ordinary stack")?;
    let grows = stack.facts.name == "[stack]";
    if !grows && general.rsp.saturating_sub(stack.range().start.0) < STACK_ROOM {
        return Err("has too little room on its stack");
    }
    let extended = registers::extended(tid).map_err(|_| unreadable)?;
    let mask = registers::signal_mask(tid).map_err(|_| unreadable)?;
    Ok((Standing { registers: general, extended, mask }, name))
}

/// Whether a futex belongs to what the calls themselves need: it is in the data of an image (the GIL
/// in the interpreter's, locks of libc and the loader), or at the head of an arena of malloc.
///
/// A thread that waits for the GIL waits at a condition variable, and a second wait or a signal from
/// inside of the first never ends: glibc's `__condvar_quiesce_and_switch_g1` waits for the first.
/// Seen on 3.10 as a target whose main thread stood still. What Python's own locks wait at are
/// semaphores on the heap, which know nothing of who waits.
fn is_needed(subject: &Subject, futex: Addr) -> bool {
    let data = subject.images.0.iter().any(|image| image.span.contains(futex));
    data || futex.0 % HEAP < 4096
}

impl Borrowed {
    /// Waits until the thread stands where it stood; `false` if it does not within `patience`.
    pub(crate) fn returned(&self, subject: &Subject, patience: Duration) -> bool {
        let path = subject.process.path("task").join(self.tid.to_string()).join("syscall");
        let until = Instant::now() + patience;
        while Instant::now() < until {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            // Number, six arguments, stack pointer, instruction pointer.
            let stack = words.get(7).and_then(|word| word.strip_prefix("0x"));
            if stack.and_then(|word| u64::from_str_radix(word, 16).ok()) == Some(self.stack.0) {
                return true;
            }
            if text.is_empty() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }
}
