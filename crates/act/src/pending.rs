//! How is the interpreter told to call a function at its next bytecode?
//!
//! As `Py_AddPendingCall` does it: an entry in a ring, and the eval breaker set. All of it is
//! memory, written while every thread stands still; no register is changed and nothing is called.
//! The entry is `PyRun_SimpleString` with the text, which lies where no program has anything: in the
//! last page of a library's data, behind its end.
//!
//! Source: `Python/ceval.c` (`Py_AddPendingCall`, `Py_MakePendingCalls`), 2.7 to 3.11;
//! `Python/ceval_gil.c` (`_push_pending_call`, `make_pending_calls`), 3.12.

use crate::Refusal;
use crate::subject::{Python, Subject, runners};
use crate::sys::write;
use memwhy_model::{Addr, Problems};
use memwhy_native::Image;
use memwhy_python::layout::tables::pending_calls::{Home, RingLock};
use memwhy_python::runtime::{self, InterpreterState};
use memwhy_target::live::freeze::{Asleep, Freeze};
use memwhy_target::{MemoryExt, Now};
use std::time::{Duration, Instant};

/// How long a stop may last.
const PATIENCE: Duration = Duration::from_millis(500);
/// `_PY_CALLS_TO_DO_BIT` of 3.13.
const CALLS_TO_DO: u64 = 1 << 2;
const PAGE: u64 = 4096;
/// What a process lacks in which the text does not fit behind any data.
pub(crate) const ROOM: &str = "unused end of a page of data that is long enough";

/// The ring of one interpreter, with addresses in the target.
#[derive(Debug)]
struct Ring {
    calls: Addr,
    /// How many entries there can be, and how large each is.
    slots: (u32, u64),
    first: Addr,
    next: Addr,
    to_do: Addr,
    /// Whether `to_do` counts entries; otherwise it is a flag.
    counts: bool,
    /// Where it can be seen whether somebody is at it, and what is there if nobody is.
    lock: Option<(Addr, Idle)>,
    /// What to set so that the ring is looked at.
    breakers: Vec<(Addr, Breaker)>,
    /// Whether any thread looks at it, and not the main thread alone.
    any_thread: bool,
}

/// What a lock looks like that nobody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Idle {
    /// A semaphore of glibc that can be taken: its low word is not 0.
    SemaphoreUp,
    /// A byte that is 0.
    ByteZero,
}

/// How a breaker is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaker {
    /// A number of 32 bits, to be this.
    Number(i32),
    /// A word, with this bit.
    Bit(u64),
}

/// Text that was written and has to be wiped.
#[derive(Debug)]
pub(crate) struct Handed {
    at: Addr,
    len: usize,
    /// For how long the process stood still.
    pub(crate) paused: Duration,
}

/// Adds a call of `PyRun_SimpleString(text)`.
///
/// # Errors
/// [`Refusal::NoThread`] if no thread runs that would make the call soon, or the ring is in use at
/// this moment; nothing was changed then.
pub(crate) fn hand_over(
    subject: &Subject,
    python: &Python,
    text: &[u8],
) -> Result<Handed, Refusal> {
    let pid = subject.process.pid;
    let begun = Instant::now();
    let mut unheard = Problems::default();
    let freeze = Freeze::stop(&subject.process, PATIENCE, Asleep::Spared, &mut unheard)?;
    let now = subject.now();
    let interpreters = runtime::interpreters(&now, &python.interpreter, &mut Problems::default());
    let main = interpreters.first().ok_or(Refusal::Lacks("interpreter whose state can be read"))?;
    let ring = Ring::of(subject, python, main).ok_or(Refusal::Lacks(
        "ring of pending calls that is to be found (2.7 and 3.6 keep it in variables, whose names \
         this one is stripped of)",
    ))?;
    let not_now = |why: &str| Err(Refusal::NoThread(vec![why.to_owned()]));
    if !runners(&freeze).iter().any(|tid| ring.any_thread || *tid == pid) {
        return not_now("none runs bytecode that would call it");
    }
    if !ring.idle(now) {
        return not_now("the ring of pending calls is in use");
    }
    let number =
        |at| now.array::<4>(at).ok().and_then(|b| u32::try_from(i32::from_le_bytes(b)).ok());
    let (slots, entry) = ring.slots;
    let (Some(first), Some(next), Some(to_do)) =
        (number(ring.first), number(ring.next), number(ring.to_do))
    else {
        return Err(Refusal::Lacks("ring of pending calls that can be read"));
    };
    let after = (next + 1) % slots;
    if first >= slots || next >= slots || to_do > slots {
        return Err(Refusal::Lacks("ring of pending calls as it should be"));
    }
    if after == first || (ring.counts && to_do >= slots / 2) {
        return not_now("the ring of pending calls is full");
    }
    let at = behind_data(subject, text.len() + 1).ok_or(Refusal::Lacks(ROOM))?;
    let slot = ring.calls.at(u64::from(next) * entry);
    let mut call = Vec::new();
    call.extend_from_slice(&python.run.0.to_le_bytes());
    call.extend_from_slice(&at.0.to_le_bytes());
    call.resize(usize::try_from(entry).unwrap_or(16), 0);
    let to_do = if ring.counts { to_do + 1 } else { 1 };
    let mut breakers = Vec::new();
    for (place, breaker) in &ring.breakers {
        let bytes = match breaker {
            Breaker::Number(number) => number.to_le_bytes().to_vec(),
            Breaker::Bit(bit) => {
                let before = now.u64(*place).map_err(|_| Refusal::Lacks("eval breaker"))?;
                (before | bit).to_le_bytes().to_vec()
            }
        };
        breakers.push((*place, bytes));
    }
    write::write(pid, &[(at, text)])?;
    let (next, to_do) = (after.to_le_bytes(), to_do.to_le_bytes());
    let mut pieces: Vec<(Addr, &[u8])> =
        vec![(slot, &call), (ring.next, &next), (ring.to_do, &to_do)];
    pieces.extend(breakers.iter().map(|(place, bytes)| (*place, bytes.as_slice())));
    write::write(pid, &pieces)?;
    drop(freeze);
    Ok(Handed { at, len: text.len(), paused: begun.elapsed() })
}

impl Handed {
    /// Wipes the text, once it has been run.
    pub(crate) fn wipe(&self, subject: &Subject) {
        // A target that has ended meanwhile has nothing to wipe.
        let _ = write::write(subject.process.pid, &[(self.at, &vec![0; self.len])]);
    }
}

impl Ring {
    fn of(subject: &Subject, python: &Python, main: &InterpreterState) -> Option<Self> {
        let layouts = &python.interpreter.layouts;
        let Some(fields) = layouts.pending_calls else {
            // Which thread calls it is as it was until 3.11.
            return Self::of_variables(subject.images.exporter("PyType_Type")?.0, subject.now());
        };
        let runtime = python.interpreter.runtime;
        let (at, breakers, any_thread) = match fields.home {
            Home::Runtime(pending, breaker) => (
                pending.addr(runtime?),
                vec![(breaker.addr(runtime?), Breaker::Number(1))],
                fields.any_thread,
            ),
            Home::Interpreter(pending, breaker) => (
                pending.addr(main.addr),
                vec![(breaker.addr(main.addr), Breaker::Number(1))],
                fields.any_thread,
            ),
            Home::Threads(pending, breaker) => {
                let threads = main.threads.iter();
                let bit = Breaker::Bit(CALLS_TO_DO);
                let all = threads.map(|thread| (breaker.addr(thread.state), bit)).collect();
                (pending.addr(main.addr), all, fields.any_thread)
            }
        };
        let lock = match fields.lock {
            RingLock::Semaphore(lock) => {
                let semaphore = lock.read(&subject.now(), at).ok()?;
                semaphore.map(|semaphore| (semaphore, Idle::SemaphoreUp))
            }
            RingLock::Mutex(mutex) => Some((mutex.addr(at), Idle::ByteZero)),
        };
        Some(Self {
            calls: fields.calls.addr(at),
            slots: fields.slots,
            first: fields.first.addr(at),
            next: fields.next.addr(at),
            to_do: fields.to_do.addr(at),
            counts: matches!(fields.lock, RingLock::Mutex(_)),
            lock,
            breakers,
            any_thread,
        })
    }

    /// 2.7 and 3.6: variables of one file, which only a build with symbols names.
    fn of_variables(image: &Image, now: Now<'_>) -> Option<Self> {
        let variable = |name| image.symbol(name);
        let lock = now.ptr(variable("pending_lock")?).ok()?;
        // 2.7 looks when its ticker is below 0, which the next tick makes it.
        let breaker = match variable("_Py_Ticker") {
            Some(ticker) => (ticker, Breaker::Number(0)),
            None => (variable("eval_breaker")?, Breaker::Number(1)),
        };
        Some(Self {
            calls: variable("pendingcalls")?,
            slots: (32, 16),
            first: variable("pendingfirst")?,
            next: variable("pendinglast")?,
            to_do: variable("pendingcalls_to_do")?,
            counts: false,
            lock: lock.map(|semaphore| (semaphore, Idle::SemaphoreUp)),
            breakers: vec![breaker],
            any_thread: false,
        })
    }

    /// Whether nobody is adding or taking an entry.
    fn idle(&self, now: Now<'_>) -> bool {
        match self.lock {
            // 2.7 makes the lock with the first thread.
            None => true,
            Some((at, Idle::SemaphoreUp)) => now.array::<4>(at).is_ok_and(|value| value != [0; 4]),
            Some((at, Idle::ByteZero)) => now.array::<1>(at) == Ok([0]),
        }
    }
}

/// Room behind the end of an image's data, in the same page, which is zero.
fn behind_data(subject: &Subject, len: usize) -> Option<Addr> {
    let len = len as u64;
    let now = subject.now();
    subject.images.0.iter().find_map(|image| {
        let end = image.data.iter().map(|data| data.end).max()?.align_up(16);
        let page_end = end.align_up(PAGE);
        let room = page_end.0.saturating_sub(end.0);
        let mapping = subject.view.maps().find(end)?;
        let fits = room >= len && mapping.writable() && mapping.private();
        let zero = || {
            let bytes = now.bytes(end, room, 4096).ok()?;
            bytes.iter().all(|byte| *byte == 0).then_some(end)
        };
        if fits { zero() } else { None }
    })
}
