//! Which thread can be borrowed for a call, and how is it given back?
//!
//! Only a thread that stands in a system call which can be made again: there no C code is halfway
//! through anything. While it stands, a frame is written below its stack, where nothing is in use;
//! then its registers are set, and it is let go at once. It makes the call and restores itself
//! ([`crate::frame`]). A thread at a random point is never used: measured elsewhere on gdb's
//! `call`, one in three such calls hangs a busy process or kills it.

use crate::Refusal;
use crate::frame::{Call, Frame, Standing};
use crate::subject::Subject;
use crate::sys::{registers, write};
use memwhy_model::{Addr, Problems};
use memwhy_native::call_names;
use memwhy_target::live::freeze::{Asleep, Freeze};
use memwhy_target::sys::ptrace;
use memwhy_target::{Maps, MemoryExt, Registers};
use std::time::{Duration, Instant};

/// System calls that wait, and that may be made again from the start.
const WAITING: [&str; 16] = [
    "read",
    "poll",
    "select",
    "pause",
    "nanosleep",
    "accept",
    "recvfrom",
    "recvmsg",
    "wait4",
    "clock_nanosleep",
    "epoll_wait",
    "waitid",
    "pselect6",
    "ppoll",
    "epoll_pwait",
    "accept4",
];
/// Waits for a word to change; the last resort.
const FUTEX: &str = "futex";
/// `NT_X86_XSTATE`: everything that `XSAVE` saves.
const EXTENDED: u32 = 0x202;
/// `FUTEX_WAIT` and `FUTEX_WAIT_BITSET`, without the flags.
const FUTEX_WAITS: [u64; 2] = [0, 9];
/// A thread's own stack has to have that much room for the call.
const STACK_ROOM: u64 = 192 << 10;
/// An arena of a thread begins a heap that is so aligned: to glibc's `HEAP_MAX_SIZE` of 64 MiB, but in
/// 2.35 to 2.41 with `glibc.malloc.hugetlb=2` to four huge pages, of 2 MiB or more.
const HEAP: u64 = 8 << 20;
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
    pub(crate) stack: Option<Addr>,
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
        let call = subject.process.told_registers(tid).and_then(|registers| registers.call());
        match call.map(|call| (call.number, call_names::name(call.number))) {
            Some((_, Some(name))) if name == FUTEX || WAITING.contains(&name) => return Ok(()),
            Some((_, Some(name))) => reasons.push(format!("thread {tid} stands in {name}")),
            Some((number, None)) => {
                reasons.push(format!("thread {tid} stands in system call {number}"));
            }
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
    shunned: &Shunned<impl Fn() -> Vec<u32>>,
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
        match borrow(subject, calls, text, shunned) {
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

/// Which threads are not to be taken.
pub(crate) struct Shunned<F> {
    /// Those that hold the GIL, as it is in the stop.
    pub(crate) holders: F,
    /// Those that wait at a futex. Without GIL a thread may do so that has its state at hand (a
    /// `PyMutex` that is waited for without letting go): `PyGILState_Release` would take it away, and
    /// the thread go on without any. Seen on 3.13t as a main thread that crashed.
    pub(crate) futex: bool,
}

/// Lets a thread make `calls` and go on; `text` is written beside them.
///
/// # Errors
/// [`Refusal::NoThread`] if none can be borrowed now, [`Refusal::Lacks`] if none ever can; nothing was
/// changed then.
pub(crate) fn borrow(
    subject: &Subject,
    calls: &[Call],
    text: &[u8],
    shunned: &Shunned<impl Fn() -> Vec<u32>>,
) -> Result<Borrowed, Refusal> {
    let gadgets = subject.gadgets()?;
    let pid = subject.process.pid;
    let begun = Instant::now();
    let mut unheard = Problems::default();
    let freeze = Freeze::stop(&subject.process, PATIENCE, Asleep::Stopped, &mut unheard)?;
    if let Some(why) = subject.malloc_is_locked() {
        return Err(Refusal::NoThread(vec![why]));
    }
    let maps = subject.process.maps()?;
    let holders = (shunned.holders)();
    let mut reasons = Vec::new();
    let mut last_resort = None;
    let mut chosen = None;
    let mut tids: Vec<u32> = freeze.still().collect();
    tids.sort_unstable_by_key(|tid| (*tid != pid, *tid));
    for tid in tids {
        if holders.contains(&tid) {
            reasons.push(format!("thread {tid} holds the GIL"));
            continue;
        }
        let usable = match freeze.registers(tid) {
            Some(registers) => usable(subject, &maps, tid, &registers),
            None => Err(UNREADABLE),
        };
        match usable {
            Ok((_, name)) if name == FUTEX && shunned.futex => {
                reasons.push(format!("thread {tid} waits for a lock, in a build without GIL"));
            }
            Ok((standing, name)) if name == FUTEX => {
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
    let frame = Frame::build(&standing, &gadgets, calls, text)
        .ok_or(Refusal::Lacks("extended state of a known size"))?;
    // First what nobody looks at, below the stack; then, in one step, the registers.
    write::write(pid, &[(frame.at, &frame.bytes)])?;
    registers::set(tid, &frame.registers)?;
    drop(freeze);
    let stack = standing.registers.stack_pointer();
    Ok(Borrowed { tid, waiting_in, paused: begun.elapsed(), stack })
}

const UNREADABLE: &str = "has registers that cannot be read";

/// What a thread stands in, or why it cannot be used.
fn usable(
    subject: &Subject,
    maps: &Maps,
    tid: u32,
    registers: &Registers,
) -> Result<(Standing, &'static str), &'static str> {
    let call = registers.call().filter(|_| registers.waits()).ok_or("is running")?;
    let name = call_names::name(call.number).filter(|name| match *name {
        FUTEX => FUTEX_WAITS.contains(&(call.arguments[1] & 0x7f)),
        name => WAITING.contains(&name),
    });
    let name = name.ok_or("stands in a system call that cannot be made again")?;
    if name == FUTEX && is_needed(subject, Addr(call.arguments[0])) {
        return Err("waits for the GIL or for a lock of a library");
    }
    // A signal mask that the call set for its own time would be taken for the thread's. Nobody who
    // waits so in Python does.
    let [.., fourth, fifth, sixth] = call.arguments;
    let masks = match name {
        "pselect6" => sixth != 0 && subject.now().u64(Addr(sixth)) != Ok(0),
        "ppoll" => fourth != 0,
        "epoll_pwait" => fifth != 0,
        _ => false,
    };
    if masks {
        return Err("waits with a signal mask of its own");
    }
    let (Some(code), Some(stack_pointer)) =
        (registers.instruction_pointer(), registers.stack_pointer())
    else {
        return Err(UNREADABLE);
    };
    let code: [u8; 2] =
        subject.now().array(Addr(code.0.wrapping_sub(2))).map_err(|_| UNREADABLE)?;
    if code != [0x0f, 0x05] {
        return Err("entered the kernel in an unknown way");
    }
    let stack = maps.find(stack_pointer).filter(|m| m.writable() && m.private());
    let stack = stack.ok_or("has no ordinary stack")?;
    let grows = stack.facts.name == "[stack]";
    if !grows && stack_pointer.0.saturating_sub(stack.range().start.0) < STACK_ROOM {
        return Err("has too little room on its stack");
    }
    let extended = ptrace::register_set(tid, EXTENDED).map_err(|_| UNREADABLE)?;
    let mask = registers::signal_mask(tid).map_err(|_| UNREADABLE)?;
    Ok((Standing { registers: *registers, extended, mask }, name))
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
        let process = &subject.process;
        let path = process.path("task").join(self.tid.to_string());
        let until = Instant::now() + patience;
        while Instant::now() < until {
            // A thread that runs has no registers to tell.
            let stack = process.told_registers(self.tid).and_then(|r| r.stack_pointer());
            if stack.is_some() && stack == self.stack {
                return true;
            }
            if !path.exists() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }
}
