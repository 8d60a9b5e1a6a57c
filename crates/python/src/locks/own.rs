//! Where do threads sleep that wait for the interpreter itself: for the GIL, for imports?
//!
//! | since | the GIL |
//! |-------|---------|
//! | 2.7   | a semaphore, `interpreter_lock` |
//! | 3.6   | static variables: two conditions and two mutexes |
//! | 3.7   | the same in a struct |
//!
//! Source: `Python/ceval.c`, 2.7; `Python/ceval_gil.h` to 3.11, `Python/ceval_gil.c`;
//! `Python/import.c`.

use crate::find::Interpreter;
use crate::runtime::{InterpreterState, gil};
use memwhy_model::{Addr, AddrRange};
use memwhy_native::Image;
use memwhy_native::locks::waits_in;
use memwhy_target::{Memory, MemoryExt};

/// `sizeof(pthread_cond_t)`, `sizeof(pthread_mutex_t)`.
const STATIC_PARTS: [(&str, u64); 4] =
    [("gil_cond", 48), ("gil_mutex", 40), ("switch_cond", 48), ("switch_mutex", 40)];

/// Modules that import each other, one inside of the other.
const DEEPEST_IMPORT: u64 = 1000;

/// Locks that are no objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnLocks {
    /// Each GIL: where threads sleep that want it, and the thread that has it.
    pub(crate) gils: Vec<(Vec<AddrRange>, Option<u32>)>,
    /// The lock of all imports: where threads sleep, and who has it, as `thread_id`.
    pub(crate) import: Option<(Addr, Option<u64>)>,
    /// Where a semaphore is meant that a variable in here points at, though no name says so.
    unnamed: Vec<AddrRange>,
}

impl OwnLocks {
    /// `tid_of` says which thread a thread state is of.
    pub(crate) fn of(
        memory: &dyn Memory,
        python: &Interpreter,
        image: Option<&Image>,
        interpreters: &[InterpreterState],
        tid_of: &dyn Fn(Addr) -> Option<u32>,
    ) -> Self {
        let symbol = |name: &str| image?.symbol(name);
        let holder_in = |state: &InterpreterState| {
            let thread = state.threads.iter().find(|thread| thread.holds_gil)?;
            tid_of(thread.state)
        };
        let mut own = Self { unnamed: Vec::new(), ..Self::default() };
        for state in interpreters {
            let Some(words) = gil(memory, python, state.addr) else { continue };
            let words = vec![words];
            match own.gils.iter_mut().find(|(known, _)| *known == words) {
                Some((_, holder)) => *holder = holder.or(holder_in(state)),
                None => own.gils.push((words, holder_in(state))),
            }
        }
        if own.gils.is_empty() {
            let holder = interpreters.iter().find_map(holder_in);
            let pointed = |name| memory.ptr(symbol(name)?).ok()?;
            let words: Vec<AddrRange> = match pointed("interpreter_lock") {
                Some(semaphore) => vec![AddrRange::sized(semaphore, 4)],
                None => STATIC_PARTS
                    .iter()
                    .filter_map(|(name, size)| Some(AddrRange::sized(symbol(name)?, *size)))
                    .collect(),
            };
            if words.is_empty() {
                own.unnamed.clone_from(&python.data);
            }
            own.gils.push((words, holder));
        }
        own.import = symbol("import_lock").and_then(|at| {
            let semaphore = memory.ptr(at).ok()??;
            let owner = symbol("import_lock_thread").and_then(|at| memory.u64(at).ok());
            // `PYTHREAD_INVALID_THREAD_ID` is -1.
            Some((semaphore, owner.filter(|owner| *owner != u64::MAX && *owner != 0)))
        });
        own
    }

    /// The lock of all imports, if it is that which who sleeps at `word` wants and no symbol says
    /// where it is: the interpreter's data has a pointer to it beside how often it is taken, and
    /// elsewhere who has it. `thread` says which thread an identity is of, `main` the main thread,
    /// whose identity is there anyway: in `Python/ceval.c` and `Modules/signalmodule.c`.
    pub(crate) fn unnamed_import(
        &self,
        memory: &dyn Memory,
        word: Addr,
        thread: &dyn Fn(u64) -> Option<u32>,
        main: u32,
    ) -> Option<u64> {
        let (mut pointed, mut of_main) = (false, Vec::new());
        let mut others: Vec<u64> = Vec::new();
        for range in &self.unnamed {
            let words = memory.words(range.start, range.len() / 8, 8 << 20).unwrap_or_default();
            let taken = |at: Option<usize>| {
                at.and_then(|at| words.get(at)).is_some_and(|n| (1..=DEEPEST_IMPORT).contains(n))
            };
            for (at, value) in words.iter().enumerate() {
                pointed |= *value == word.0 && (taken(at.checked_sub(1)) || taken(Some(at + 1)));
                match thread(*value) {
                    Some(tid) if tid == main => of_main.push(*value),
                    Some(_) => others.push(*value),
                    None => {}
                }
            }
        }
        let holder = match (&others[..], &of_main[..]) {
            ([only], _) => Some(*only),
            ([], [_, _, main, ..]) => Some(*main),
            (_, _) => None,
        };
        holder.filter(|_| pointed)
    }

    /// The GIL that who sleeps at `word` wants: where it begins, and who has it.
    pub(crate) fn gil_at(&self, memory: &dyn Memory, word: Addr) -> Option<(Addr, Option<u32>)> {
        for (words, holder) in &self.gils {
            if words.iter().any(|range| waits_in(memory, word, *range)) {
                return Some((words.first()?.start, *holder));
            }
        }
        // Without symbols: up to 3.6 the interpreter's data has the GIL, or a pointer to it, and
        // of the other locks there none is waited for while somebody has the GIL.
        let (_, holder) = self.gils.first()?;
        let holder = (*holder)?;
        let named = |range: &AddrRange| {
            range.contains(word)
                || memory
                    .words(range.start, range.len() / 8, 8 << 20)
                    .is_ok_and(|words| words.contains(&word.0))
        };
        self.unnamed.iter().any(named).then_some((word, Some(holder)))
    }
}
