//! What does a thread sleep at, as its system call says, and who has that?
//!
//! Whoever waits for a lock of user space sleeps in `futex` on one of the lock's words. Whose word
//! it is depends on the address alone, so the structs of glibc and of musl are tried there, each with
//! what has to hold in it.
//!
//! Source: `arch/x86/entry/syscalls/syscall_64.tbl`, `include/uapi/linux/futex.h`; glibc 2.17 to
//! 2.43, `sysdeps/nptl/bits/struct_mutex.h`, `struct_rwlock.h`; musl 1.2.1 to 1.2.5,
//! `src/thread/{sem_timedwait,pthread_mutex_timedlock,pthread_cond_timedwait}.c`.

use memwhy_model::{Addr, AddrRange};
use memwhy_target::{Call, Memory, MemoryExt, Registers};

const FCNTL: u64 = 72;
const FLOCK: u64 = 73;
const FUTEX: u64 = 202;
/// What the kernel runs in place of a call with a timeout that a stop has interrupted; its
/// arguments are still those of the call.
const RESTART: u64 = 219;

const F_SETLKW: u64 = 7;
const F_OFD_SETLKW: u64 = 38;
const LOCK_NB: u64 = 4;

/// Of a lock, what is read before the word that threads sleep at, and from there on.
const BEFORE: usize = 16;
const AFTER: usize = 48;

/// `FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME`.
const FUTEX_FLAGS: u64 = 128 | 256;
const FUTEX_WAIT: u64 = 0;
const FUTEX_LOCK_PI: u64 = 6;
const FUTEX_WAIT_BITSET: u64 = 9;
const FUTEX_WAIT_REQUEUE_PI: u64 = 11;
const FUTEX_LOCK_PI2: u64 = 13;
/// `FUTEX_TID_MASK`: of a lock that inherits priority, the word is its holder.
const FUTEX_TID: u32 = 0x3fff_ffff;

/// musl sets it where somebody waits.
const WAITED_FOR: u32 = 1 << 31;
/// `EBUSY`, which musl's ordinary mutex has while somebody has it.
const BUSY: u32 = 16;
/// How far into its node (`struct waiter`) a thread of musl sleeps that waits for a condition.
const BARRIER: u64 = 20;
/// Threads that wait for one condition.
const MOST_WAITERS: usize = 1 << 16;

/// What a thread sleeps at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// A word of memory.
    Futex {
        /// The word.
        at: Addr,
        /// Whether the thread gives up after some time.
        timed: bool,
        /// Whether the call is known to be `futex`; one that was interrupted may be another.
        certain: bool,
    },
    /// A lock on an open file.
    File {
        /// The descriptor.
        descriptor: u64,
    },
}

/// What a thread with these registers sleeps at, if it is something that others give back.
#[must_use]
pub fn sleep(registers: &Registers) -> Option<Sleep> {
    let call = registers.call()?;
    // A thread that was not asleep any more has the result of the call, not the kernel's note that
    // it is to begin again: ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK; or
    // ENOSYS, with which every call begins.
    if let Some(result) = registers.by_dwarf(0)
        && !matches!(result.cast_signed(), -38 | -514..=-512 | -516)
    {
        return None;
    }
    let [first, second, _, fourth, ..] = call.arguments;
    match call.number {
        FCNTL if matches!(second, F_SETLKW | F_OFD_SETLKW) => {
            Some(Sleep::File { descriptor: first })
        }
        FLOCK if second & LOCK_NB == 0 => Some(Sleep::File { descriptor: first }),
        FUTEX | RESTART => {
            let waits = matches!(
                second & !FUTEX_FLAGS,
                FUTEX_WAIT
                    | FUTEX_LOCK_PI
                    | FUTEX_WAIT_BITSET
                    | FUTEX_WAIT_REQUEUE_PI
                    | FUTEX_LOCK_PI2
            );
            let plausible = waits && Addr(first).is_aligned(4) && first >= 0x1000;
            plausible.then_some(Sleep::Futex {
                at: Addr(first),
                timed: fourth != 0,
                certain: call.number == FUTEX,
            })
        }
        _ => None,
    }
}

/// A lock of the C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PthreadLock {
    /// Where the struct is.
    pub at: Addr,
    /// Who has it, as a number in the process's own pid namespace; of a lock that several read,
    /// nobody in particular, and of an ordinary one of musl nobody is recorded.
    pub owner: Option<u32>,
    /// Whether it is a lock for readers and writers.
    pub shared: bool,
}

/// The lock that `futex` is a word of, if there is one that somebody has. `exists` says whether a
/// number is one of the process's threads.
#[must_use]
pub fn pthread_lock(
    memory: &dyn Memory,
    futex: Addr,
    exists: &dyn Fn(u32) -> bool,
) -> Option<PthreadLock> {
    mutex(memory, futex).or_else(|| musl_mutex(memory, futex, exists)).or_else(|| {
        // A reader sleeps on `__wrphase_futex`, a writer there or on `__writers_futex`.
        [8, 12].into_iter().find_map(|at| read_write(memory, futex.before(at), exists))
    })
}

/// Where the lock is that who sleeps at `word` wants, if what is there is a semaphore or a lock of the
/// C library: what the interpreter and C code make locks of. No name is needed for that.
#[must_use]
pub fn lock_at(memory: &dyn Memory, word: Addr, exists: &dyn Fn(u32) -> bool) -> Option<Addr> {
    if semaphore(memory, word) {
        return Some(word);
    }
    pthread_lock(memory, word, exists).map(|lock| lock.at)
}

/// Reads what [`lock_at`] needs of a thread in `call`, so that it is known later.
pub fn touch(memory: &dyn Memory, call: &Call) {
    let [at, ..] = call.arguments;
    if matches!(call.number, FUTEX | RESTART) {
        // What cannot be read now cannot be read later. A semaphore that processes share begins a
        // page, and nothing may be mapped before it.
        let _ = memory.read(Addr(at), &mut [0; AFTER]);
        let _ = memory.read(Addr(at).before(BEFORE as u64), &mut [0; BEFORE]);
        let _ = first_waiter(memory, Addr(at));
    }
}

/// Whether who sleeps at `word` waits for something that is in `range`: on musl a thread that waits for
/// a condition sleeps on its own stack.
#[must_use]
pub fn waits_in(memory: &dyn Memory, word: Addr, range: AddrRange) -> bool {
    range.contains(word)
        || first_waiter(memory, word).is_some_and(|first| {
            let words = memory.words(range.start, range.len() / 8, 4096);
            words.is_ok_and(|words| words.contains(&first.0))
        })
}

/// Of a thread of musl that waits for a condition, the first node of the row that its own is in: the
/// condition has its address.
fn first_waiter(memory: &dyn Memory, word: Addr) -> Option<Addr> {
    let mut node = Addr(word.0.checked_sub(BARRIER)?);
    for _ in 0..MOST_WAITERS {
        if !node.is_aligned(8) {
            return None;
        }
        let Some(before) = memory.ptr(node).ok()? else { return Some(node) };
        if memory.ptr(before.at(8)).ok()? != Some(node) {
            return None;
        }
        node = before;
    }
    None
}

/// `struct new_sem` of glibc 2.21 and later, that nobody can take and somebody waits for: its value,
/// how many wait, and whether processes share it (`FUTEX_SHARED` is 128). musl's is the same, but that
/// its value is -1 then, from 1.2.4 on the bit for somebody who waits.
fn semaphore(memory: &dyn Memory, at: Addr) -> bool {
    let Some([value, waiting, shared]) = words(memory, at) else { return false };
    let taken = match shared {
        0 => matches!(value, 0 | WAITED_FOR),
        128 => matches!(value, 0 | WAITED_FOR | u32::MAX),
        _ => false,
    };
    at.is_aligned(8) && taken && (1..1 << 20).contains(&waiting)
}

/// musl's `pthread_mutex_t`: its kind, the word that threads sleep at, how many wait.
fn musl_mutex(
    memory: &dyn Memory,
    word: Addr,
    exists: &dyn Fn(u32) -> bool,
) -> Option<PthreadLock> {
    let at = Addr(word.0.checked_sub(4)?);
    let [kind, lock, waiting] = words(memory, at)?;
    let owner = lock & FUTEX_TID;
    // PTHREAD_MUTEX_RECURSIVE and PTHREAD_MUTEX_ERRORCHECK; robust, inherits priority, shared.
    let plausible = kind & !0x8f == 0 && kind & 3 < 3 && lock & WAITED_FOR != 0;
    let ordinary = matches!(kind, 0 | 0x80);
    let held = if ordinary { owner == BUSY } else { exists(owner) };
    let held = held && plausible && at.is_aligned(8) && (1..1 << 20).contains(&waiting);
    held.then_some(PthreadLock { at, owner: (!ordinary).then_some(owner), shared: false })
}

/// `struct __pthread_mutex_s`: lock, count, owner, users, kind.
fn mutex(memory: &dyn Memory, at: Addr) -> Option<PthreadLock> {
    let [lock, count, owner, users, kind] = words(memory, at)?;
    // PTHREAD_MUTEX_KIND_MASK_NP and what may be added: robust, inherits or protects priority,
    // shared between processes, elision.
    let plausible = kind & !0x3f3 == 0 && users < 1 << 20 && count < 1 << 20;
    let inherits = kind & 0x20 != 0;
    let held = if inherits { lock & FUTEX_TID == owner & FUTEX_TID } else { matches!(lock, 1 | 2) };
    let held = held && plausible && owner > 0 && owner < 1 << 22;
    held.then_some(PthreadLock { at, owner: Some(owner), shared: false })
}

/// `struct __pthread_rwlock_arch_t`: readers, writers, two futexes, padding, the writer.
fn read_write(memory: &dyn Memory, at: Addr, exists: &dyn Fn(u32) -> bool) -> Option<PthreadLock> {
    let [readers, writers, phase, waiting, pad3, pad4, writer] = words(memory, at)?;
    // PTHREAD_RWLOCK_FUTEX_USED is 2.
    let plausible = phase <= 3 && waiting <= 3 && pad3 == 0 && pad4 == 0 && writers < 1 << 20;
    if !plausible {
        return None;
    }
    if writer > 0 {
        return exists(writer).then_some(PthreadLock { at, owner: Some(writer), shared: true });
    }
    // PTHREAD_RWLOCK_READER_SHIFT is 3; somebody who waits has set PTHREAD_RWLOCK_WRLOCKED or the
    // used bit of a futex.
    let read = readers >> 3 > 0 && readers >> 3 < 1 << 20 && (phase | waiting) & 2 != 0;
    read.then_some(PthreadLock { at, owner: None, shared: true })
}

fn words<const N: usize>(memory: &dyn Memory, at: Addr) -> Option<[u32; N]> {
    let mut words = [0; N];
    for (word, offset) in words.iter_mut().zip((0_u64..).step_by(4)) {
        *word = memory.u32(at.at(offset)).ok()?;
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::{FUTEX, Sleep, lock_at, pthread_lock, sleep, touch, waits_in};
    use crate::made::Made;
    use memwhy_model::{Addr, AddrRange};
    use memwhy_target::{Call, Fault, Memory, Registers};
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

    fn said(line: &str) -> Option<Sleep> {
        sleep(&Registers::of_syscall_line(line).expect("a line"))
    }

    #[test]
    fn a_wait_is_told_from_a_wake_and_from_other_calls() {
        let (at, timed, certain) = (Addr(0x7f00), false, true);
        let wait = Some(Sleep::Futex { at, timed, certain });
        assert_eq!(said("202 0x7f00 0x189 0x0 0x0 0x0 0xffffffff 0x7ffe0 0x7f12"), wait);
        assert_eq!(said("202 0x7f00 0x81 0x1 0x0 0x0 0x0 0x7ffe0 0x7f12"), None);
        assert_eq!(said("0 0x3 0x7f00 0x100 0x0 0x0 0x0 0x7ffe0 0x7f12"), None);
        let file = Some(Sleep::File { descriptor: 3 });
        assert_eq!(said("73 0x3 0x2 0x0 0x0 0x0 0x0 0x7ffe0 0x7f12"), file);
        assert_eq!(said("73 0x3 0x6 0x0 0x0 0x0 0x0 0x7ffe0 0x7f12"), None);
    }

    /// `sem_open` maps a page of its own.
    #[test]
    fn a_lock_at_the_very_beginning_of_memory_is_touched() {
        struct Heard(AtomicBool);
        impl Memory for Heard {
            fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
                if addr < Addr(0x1000) {
                    return Err(Fault::unmapped(addr));
                }
                self.0.fetch_or(addr == Addr(0x1000) && buf.len() >= 28, Relaxed);
                Ok(())
            }
        }
        let heard = Heard(AtomicBool::new(false));
        touch(&heard, &Call { number: FUTEX, arguments: [0x1000, 0, 0, 0, 0, 0] });
        assert!(heard.0.load(Relaxed));
    }

    #[test]
    fn a_mutex_names_its_owner_and_other_words_are_none() {
        let everybody = |_| true;
        let mutex = Made::of(&[2, 0, 4711, 1, 0, 0, 0, 0, 0, 0]);
        let lock = pthread_lock(&mutex, Addr(0x1000), &everybody).expect("a mutex");
        assert_eq!((lock.at, lock.owner, lock.shared), (Addr(0x1000), Some(4711), false));
        let semaphore = Made::of(&[0, 1, 128, 0, 0x6e69, 0, 0, 0]);
        assert_eq!(pthread_lock(&semaphore, Addr(0x1000), &everybody), None);
    }

    #[test]
    fn a_semaphore_that_somebody_waits_for_is_a_lock() {
        let at = Addr(0x1000);
        let is_lock = |words: &[u32]| lock_at(&Made::of(words), at, &|_| true) == Some(at);
        assert!(is_lock(&[0, 1, 0, 0, 0, 0, 0]) && is_lock(&[0, 3, 128, 0, 0, 0, 0]));
        // One that can be taken, that nobody waits for; a word that is none.
        assert!(!is_lock(&[1, 1, 0, 0, 0, 0, 0]) && !is_lock(&[0, 0, 0, 0, 0, 0, 0]));
        assert!(!is_lock(&[u32::MAX, 1, 0, 0, 0, 0, 0]));
        // musl's, of both ages.
        assert!(is_lock(&[u32::MAX, 1, 128, 0, 0]) && is_lock(&[1 << 31, 1, 0, 0, 0]));
        assert!(!is_lock(&[u32::MAX, 0, 128, 0, 0]));
    }

    #[test]
    fn a_mutex_of_musl_records_its_owner_unless_it_is_an_ordinary_one() {
        let exists = |tid| tid == 0x1267;
        let found = |kind, lock| {
            let words = Made::of(&[kind, lock, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
            pthread_lock(&words, Addr(0x1004), &exists).map(|lock| (lock.at, lock.owner))
        };
        assert_eq!(found(0, 0x8000_0010), Some((Addr(0x1000), None)));
        assert_eq!(found(1, 0x8000_1267), Some((Addr(0x1000), Some(0x1267))));
        assert_eq!(found(1, 0x8000_032f), None);
        assert_eq!(found(0, 16), None);
    }

    #[test]
    fn who_waits_for_a_condition_of_musl_is_known_by_the_row_that_it_is_in() {
        // A condition with the address of the first of two nodes; the second is asleep.
        let mut words = vec![0; 60];
        words[2] = 0x1040;
        words[18] = 0x1080;
        words[32] = 0x1040;
        let memory = Made::of(&words);
        let condition = AddrRange::sized(Addr(0x1000), 48);
        assert!(waits_in(&memory, Addr(0x1080 + 20), condition));
        assert!(waits_in(&memory, Addr(0x1010), condition));
        assert!(!waits_in(&memory, Addr(0x10c0 + 20), condition));
        assert!(!waits_in(&memory, Addr(0x1080 + 20), AddrRange::sized(Addr(0x10a0), 32)));
    }

    #[test]
    fn a_lock_for_readers_names_its_writer() {
        let lock = Made::of(&[3, 0, 3, 1, 0, 0, 4711, 0]);
        let found = pthread_lock(&lock, Addr(0x1008), &|tid| tid == 4711).expect("a lock");
        assert_eq!((found.at, found.owner, found.shared), (Addr(0x1000), Some(4711), true));
        assert_eq!(pthread_lock(&lock, Addr(0x1008), &|_| false), None);
    }
}
