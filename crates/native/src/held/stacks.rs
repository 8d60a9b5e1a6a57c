//! Which parts of stacks are dead: below the stack pointer, where what functions left behind is?
//!
//! What was left there would keep chunks that nobody knows any more. A stack may share its mapping
//! with other memory (glibc 2.42 has no guard page between them), so that its beginning is taken
//! from its `struct pthread`, which has it (`stackblock`, `stackblock_size`,
//! `nptl/allocatestack.c`; of musl see [`pthread::stack`]).

use crate::pthread;
use memwhy_model::{Addr, AddrRange};
use memwhy_target::{MemoryExt, Thread, View};

/// What functions that call no others may use below the pointer: the ABI's red zone.
const RED_ZONE: u64 = 128;
/// `struct pthread` has 2304 bytes on x86-64.
const PTHREAD_WORDS: u64 = 2304 / 8;

/// The stacks of threads.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    /// Dead parts, ascending.
    pub(super) dead: Vec<AddrRange>,
    /// The mappings that stacks and `struct pthread` are in, by their starts, ascending.
    mappings: Vec<Addr>,
    /// Threads whose stack pointer is known.
    pub(super) known: u64,
}

impl Stacks {
    pub(super) fn of(view: &View, threads: &[Thread]) -> Self {
        let mut stacks = Self::default();
        for thread in threads {
            let Some(registers) = thread.registers else { continue };
            let pointers = [registers.stack_pointer(), registers.thread_pointer()];
            let mappings = pointers.into_iter().flatten().filter_map(|at| view.maps().find(at));
            stacks.mappings.extend(mappings.map(|mapping| mapping.range().start));
            let Some(pointer) = registers.stack_pointer() else { continue };
            stacks.known += 1;
            let start = pthread::stack(view, &registers)
                .map(|own| own.start)
                .or_else(|| stack_start(view, registers.thread_pointer()?, pointer))
                .or_else(|| main_stack(view, pointer));
            if let Some(start) = start {
                stacks.dead.push(AddrRange::new(start, pointer.before(RED_ZONE)));
            }
        }
        stacks.dead.retain(|range| range.start < range.end);
        stacks.dead.sort_unstable();
        stacks.mappings.sort_unstable();
        stacks
    }

    /// Whether the mapping that begins at `start` is a thread's.
    pub(super) fn has(&self, start: Addr) -> bool {
        self.mappings.binary_search(&start).is_ok()
    }
}

/// Where the stack begins that `pointer` is on: said by glibc's `struct pthread` at its other end.
fn stack_start(view: &View, thread: Addr, pointer: Addr) -> Option<Addr> {
    let words = view.words(thread, PTHREAD_WORDS, 4096).ok()?;
    let fits = |start: u64, size: u64| {
        start.is_multiple_of(4096)
            && start <= pointer.0
            && pointer < thread
            && start.checked_add(size).is_some_and(|end| thread.0 < end)
            && (4096..=1 << 36).contains(&size)
    };
    let pairs = words.iter().zip(words.iter().skip(1));
    let found =
        pairs.map(|(start, size)| (*start, *size)).find(|(start, size)| fits(*start, *size));
    found.map(|(start, _)| Addr(start))
}

/// The kernel names the stack of the main thread.
fn main_stack(view: &View, pointer: Addr) -> Option<Addr> {
    let mapping = view.maps().find(pointer)?;
    (mapping.facts.name == "[stack]").then(|| mapping.range().start)
}
