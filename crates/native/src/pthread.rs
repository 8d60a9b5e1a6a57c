//! What does the C library write down of a thread: its number, who joins it, its stack?
//!
//! A `pthread_t` points at the thread's descriptor, and so does the thread's own pointer (`fs`). The
//! descriptors of glibc and of musl both point at themselves, in other places.
//!
//! Source: glibc 2.17 to 2.43, `nptl/descr.h`; musl 1.2.2 to 1.2.5, `src/internal/pthread_impl.h`,
//! `src/thread/pthread_{create,join}.c`.

use memwhy_model::{Addr, AddrRange};
use memwhy_target::{Memory, MemoryExt, Registers};

/// Where in glibc's descriptor the thread's number in its own pid namespace is: 0 when it has ended.
/// Who joins it sleeps there.
const TID: u64 = 720;
/// Where it points at itself.
const SELF: u64 = 16;
/// Of musl's, which points at itself with its first word, where it has the one before it and the one
/// after it in the ring of all threads, the number, what who joins it sleeps at, and the mapping of the
/// stack with what is around it (`map_base`, `map_size`); the main thread's has none.
const MUSL_PREV: u64 = 16;
const MUSL_NEXT: u64 = 24;
const MUSL_TID: u64 = 48;
const MUSL_DETACH_STATE: u64 = 56;
const MUSL_MAP: u64 = 72;

/// The number, in its own pid namespace, of the thread whose descriptor is at `descriptor`; 0 if it
/// has ended, `None` if there is no descriptor.
#[must_use]
pub fn thread_at(memory: &dyn Memory, descriptor: Addr) -> Option<u32> {
    // Of a thread that is alone musl's has a pointer to itself where glibc's has one, too.
    of_musl(memory, descriptor).or_else(|| of_glibc(memory, descriptor))
}

fn of_glibc(memory: &dyn Memory, descriptor: Addr) -> Option<u32> {
    let itself = memory.ptr(descriptor.at(SELF)).ok()??;
    (itself == descriptor).then(|| memory.u32(descriptor.at(TID)).ok())?
}

fn of_musl(memory: &dyn Memory, descriptor: Addr) -> Option<u32> {
    let itself = memory.ptr(descriptor).ok()??;
    let next = memory.ptr(descriptor.at(MUSL_NEXT)).ok()??;
    let back = memory.ptr(next.at(MUSL_PREV)).ok()??;
    let both = itself == descriptor && back == descriptor;
    both.then(|| memory.u32(descriptor.at(MUSL_TID)).ok())?
}

/// Of a thread that joins another: whose end it waits for, as that thread's number in its own pid
/// namespace.
#[must_use]
pub fn joined(memory: &dyn Memory, futex: Addr) -> Option<u32> {
    let tid = of_glibc(memory, futex.before(TID))
        .or_else(|| of_musl(memory, futex.before(MUSL_DETACH_STATE)));
    tid.filter(|tid| *tid > 0)
}

/// Of a thread of musl, where its stack, its thread-local storage and its descriptor are, with the guard
/// before them: what the kernel shows as one mapping may go on with memory of others.
#[must_use]
pub fn stack(memory: &dyn Memory, registers: &Registers) -> Option<AddrRange> {
    let descriptor = registers.thread_pointer()?;
    of_musl(memory, descriptor)?;
    let start = memory.ptr(descriptor.at(MUSL_MAP)).ok()??;
    let end = start.checked_add(memory.u64(descriptor.at(MUSL_MAP + 8)).ok()?)?;
    let all = AddrRange::new(start, end);
    // One that the program brought lies elsewhere.
    (all.contains(descriptor) && all.contains(registers.stack_pointer()?)).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::{joined, thread_at};
    use crate::made::Made;
    use memwhy_model::Addr;

    #[test]
    fn a_thread_of_musl_is_told_from_one_of_glibc() {
        let at = |words: &[(usize, u32)]| {
            let mut memory = vec![0; 200];
            for (index, word) in words {
                memory[*index] = *word;
            }
            Made::of(&memory)
        };
        // Alone in its ring: what is before and after it is itself.
        let musl = at(&[(0, 0x1000), (4, 0x1000), (6, 0x1000), (12, 4711), (14, 2)]);
        assert_eq!(thread_at(&musl, Addr(0x1000)), Some(4711));
        assert_eq!(joined(&musl, Addr(0x1000 + 56)), Some(4711));
        let glibc = at(&[(0, 0x1000), (4, 0x1000), (6, 1), (180, 815)]);
        assert_eq!(thread_at(&glibc, Addr(0x1000)), Some(815));
        assert_eq!(joined(&glibc, Addr(0x1000 + 720)), Some(815));
        assert_eq!(joined(&glibc, Addr(0x1000 + 56)), None);
    }
}
