//! What does each thread do: the kernel's, C's and Python's word of it joined.

use memwhy_model::{Addr, NativeFrame, NativeStack, ThreadFacts, ThreadState, Wait, Waited};
use memwhy_native::locks::Sleep;
use memwhy_native::{Images, NativeCall, NativeCalls, Symbols, Unwinder, calls, locks};
use memwhy_python::frames::Loop;
use memwhy_python::merge;
use memwhy_python::threads::PythonThreads;
use memwhy_target::live::descriptors::Descriptors;
use memwhy_target::{MemoryExt as _, Process, Thread, View};
use std::path::PathBuf;

/// From this share of a CPU on a thread is at work; below it it wakes up now and then.
const AT_WORK: f64 = 0.1;
/// C functions of one thread; deeper recursion is cut, and the stack says so.
const MOST_CALLS: usize = 10_000;
/// Among so many of the innermost functions those are that say what a thread waits for.
const TELLING: usize = 10;

/// How much is told of C functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NativeDetail {
    /// Their names.
    #[default]
    Names,
    /// Source lines and inlined functions too, which takes the reading of debug information.
    Lines,
}

/// What is read, and where.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The target's memory.
    pub(crate) view: &'a View,
    /// Its images.
    pub(crate) images: &'a Images,
    /// The process, if it still runs.
    pub(crate) process: Option<&'a Process>,
    /// How much is told of C functions.
    pub(crate) detail: NativeDetail,
}

/// What the kernel alone tells.
pub(crate) fn of_kernel(threads: &[Thread]) -> Vec<ThreadFacts> {
    let facts = threads.iter().map(|thread| ThreadFacts {
        tid: thread.tid,
        name: thread.comm.clone(),
        state: if thread.cpu_share + thread.cpu_wait >= AT_WORK {
            ThreadState::Running
        } else {
            ThreadState::Idle
        },
        cpu_share: thread.cpu_share,
        cpu_wait: thread.cpu_wait,
        ..ThreadFacts::default()
    });
    facts.collect()
}

impl Source<'_> {
    /// Everything of each of `threads`.
    pub(crate) fn join(&self, threads: &[Thread], python: PythonThreads) -> Vec<ThreadFacts> {
        let mut facts = of_kernel(threads);
        let gils = python.gils().to_vec();
        let parking = python.parking();
        let exists = |inner| threads.iter().any(|thread| thread.inner_tid == inner);
        let mut loops = python.join(threads, &mut facts);
        let mut unwinder = Unwinder::new(self.view, self.images);
        let mut symbols = Symbols::new(self.images, self.roots());
        let loop_name = self.loop_name();
        let mut descriptors = self.process.map(Descriptors::new);
        for (thread, facts) in threads.iter().zip(&mut facts) {
            let Some(registers) = thread.registers else { continue };
            let call = registers.call();
            let mut file = |number| descriptors.as_mut()?.name(number);
            facts.call = call.map(|call| calls::describe(self.view, &call, &mut file));
            let loops = loops.remove(&thread.tid).unwrap_or_default();
            let found = unwinder.unwind(&registers, MOST_CALLS);
            facts.native = self.native(&mut symbols, loop_name, found, &loops);
            if facts.state == ThreadState::Gc {
                continue;
            }
            facts.state = match call {
                Some(_) if registers.waits() => ThreadState::Idle,
                _ if registers.are_exact() || thread.state == 'R' => ThreadState::Running,
                _ => facts.state,
            };
            let Some(Sleep::Futex { at, timed, .. }) = locks::sleep(&registers) else { continue };
            if facts.state != ThreadState::Idle {
                continue;
            }
            let wait = |addr, timed| Wait {
                waited: Waited::At { addr, named: None },
                timed,
                asleep_s: thread.asleep_s,
                ..Wait::default()
            };
            let lock = || {
                let parked = parking.at(self.view, at, registers.stack_pointer());
                parked.or_else(|| locks::lock_at(self.view, at, &exists))
            };
            let in_gil = gils.iter().any(|gil| locks::waits_in(self.view, at, *gil));
            match sleeps_for(facts, in_gil) {
                Waits::Gil => {
                    facts.state = ThreadState::WaitingGil;
                    facts.waits = Some(wait(at, false));
                }
                Waits::Lock => {
                    facts.state = ThreadState::WaitingLock;
                    facts.waits = Some(wait(lock().unwrap_or(at), timed));
                }
                // Names say that it is no lock, or there are none.
                Waits::Condition => {}
                Waits::Something => {
                    facts.waits = lock().map(|at| wait(at, timed));
                    if facts.waits.is_some() {
                        facts.state = ThreadState::WaitingLock;
                    }
                }
            }
        }
        facts
    }

    /// Where separate debug files may be: with the target's files, with ours.
    fn roots(&self) -> Vec<PathBuf> {
        self.view.root().into_iter().chain([PathBuf::from("/")]).collect()
    }

    fn native(
        &self,
        symbols: &mut Symbols<'_>,
        loop_name: &str,
        found: NativeCalls,
        loops: &[Loop],
    ) -> NativeStack {
        let mut calls = Vec::new();
        let mut named = Vec::new();
        for (at, call) in found.calls.iter().enumerate() {
            let function = symbols.function(call.inside).map(|(name, at)| (name.to_owned(), at));
            let is_loop = match &function {
                Some((name, _)) => plain(name) == loop_name,
                // The rarely used part of it, which compilers put elsewhere and stripped files do
                // not name; but whoever called it has called it by its beginning.
                None => found
                    .calls
                    .get(at + 1)
                    .and_then(|caller| self.called(caller.address))
                    .and_then(|begin| symbols.function(begin))
                    .is_some_and(|(name, inside)| inside == 0 && name == loop_name),
            };
            calls.push(merge::Call { frame: call.frame, is_loop });
            named.push(function);
        }
        let runs = merge::runs(&calls, found.ended.is_none(), loops);
        let mut frames = Vec::new();
        for ((call, function), runs) in found.calls.iter().zip(named).zip(runs) {
            let mut frame = self.frame(call, function);
            frame.runs = runs;
            if self.detail == NativeDetail::Lines {
                let mut places = symbols.places(call.inside);
                let own = places.pop();
                let inlined = places.into_iter().map(|place| NativeFrame {
                    function: place.function,
                    source: place.line,
                    inlined: true,
                    runs: 0,
                    ..frame.clone()
                });
                frames.extend(inlined);
                frame.source = own.as_ref().and_then(|own| own.line.clone());
                frame.function = frame.function.or(own.and_then(|own| own.function));
            }
            frames.push(frame);
        }
        NativeStack { frames, ended: found.ended }
    }

    /// The function that the call before `return_to` is of: `call rel32`.
    fn called(&self, return_to: Addr) -> Option<Addr> {
        let [opcode, near @ ..] = self.view.array::<5>(return_to.before(5)).ok()?;
        let near = i64::from(i32::from_le_bytes(near));
        (opcode == 0xe8).then(|| Addr(return_to.0.wrapping_add_signed(near)))
    }

    /// What the interpreter's loop is called. What 2.7 calls so is a mere entry where there is the
    /// other; both are exported.
    fn loop_name(&self) -> &'static str {
        let newer = "_PyEval_EvalFrameDefault";
        if self.images.exporter(newer).is_some() { newer } else { "PyEval_EvalFrameEx" }
    }

    fn frame(&self, call: &NativeCall, function: Option<(String, u64)>) -> NativeFrame {
        let image = self.images.containing(call.inside);
        let mapping = || self.view.maps().find(call.inside).map(|m| m.facts.name.clone());
        let in_image = image.map_or(0, |image| call.address.0.wrapping_sub(image.bias));
        let (function, offset) = match function {
            // The offset is that of the address, not of the byte before.
            Some((name, inside)) => (Some(name), inside + (call.address.0 - call.inside.0)),
            None => (None, in_image),
        };
        NativeFrame {
            address: call.address,
            function,
            offset,
            image: image.map(|image| image.path.clone()).or_else(mapping).unwrap_or_default(),
            ..NativeFrame::default()
        }
    }
}

/// What the names of its functions say that a thread sleeps for.
fn sleeps_for(facts: &ThreadFacts, in_gil: bool) -> Waits {
    if in_gil {
        return Waits::Gil;
    }
    // Whatever is beyond the innermost Python frame waits for something else.
    let frames = &facts.native.frames;
    let end = frames.iter().position(|frame| frame.runs > 0).map_or(frames.len(), |at| at + 1);
    let functions = frames.iter().take(end.min(TELLING));
    let functions: Vec<&str> =
        functions.map(|f| f.function.as_deref().unwrap_or_default()).collect();
    Waits::of(&functions)
}

/// The name without what compilers append for parts that they put elsewhere.
fn plain(function: &str) -> &str {
    function.split('.').next().unwrap_or_default()
}

/// What a sleeping thread waits for, as its innermost functions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Gil,
    Lock,
    /// A condition variable of C code.
    Condition,
    Something,
}

impl Waits {
    fn of(functions: &[&str]) -> Self {
        let plain: Vec<&str> = functions.iter().filter_map(|name| name.split('.').next()).collect();
        let has = |wanted: &str| plain.contains(&wanted);
        // 2.7 takes the GIL like any other lock; up to 3.6 what does so may be inlined, or have no
        // name. Between the interpreter's loop and any other lock is the method of that.
        let for_eval = plain.iter().enumerate().any(|(at, inner)| {
            let mut outer = plain.iter().skip(at + 1);
            let outer = match *inner {
                "PyThread_acquire_lock" => outer.next(),
                "pthread_cond_timedwait" | "pthread_cond_wait" => outer.find(|o| !o.is_empty()),
                _ => None,
            };
            outer.is_some_and(|outer| outer.trim_start_matches('_').starts_with("PyEval_"))
        });
        if has("take_gil") || for_eval {
            Self::Gil
        } else if LOCKS.iter().any(|lock| has(lock)) {
            Self::Lock
        } else if plain.iter().any(|name| name.starts_with("pthread_cond_")) {
            Self::Condition
        } else {
            Self::Something
        }
    }
}

/// What sleeps for a lock.
const LOCKS: [&str; 12] = [
    "_PyParkingLot_Park",
    "PyThread_acquire_lock",
    "PyThread_acquire_lock_timed",
    "sem_wait",
    "sem_timedwait",
    "sem_clockwait",
    "pthread_mutex_lock",
    "pthread_mutex_timedlock",
    "pthread_mutex_clocklock",
    "pthread_rwlock_rdlock",
    "pthread_rwlock_wrlock",
    "lll_lock_wait",
];

#[cfg(test)]
mod tests {
    use super::Waits;

    #[test]
    fn what_is_waited_for_is_told_by_who_waits() {
        let of = Waits::of;
        let lock = Waits::Lock;
        assert_eq!(of(&["futex", "sem_wait", "PyThread_acquire_lock_timed", "acquire"]), lock);
        assert_eq!(of(&["sem_wait", "PyThread_acquire_lock", "PyEval_RestoreThread"]), Waits::Gil);
        assert_eq!(of(&["sem_wait", "PyThread_acquire_lock", "lock_acquire"]), lock);
        let taken = ["pthread_cond_timedwait", "take_gil", "PyEval_RestoreThread"];
        assert_eq!(of(&taken), Waits::Gil);
        // Stripped: the method of the lock has no name.
        let unnamed = ["sem_wait", "PyThread_acquire_lock", "", "PyEval_EvalFrameEx"];
        assert_eq!(of(&unnamed), lock);
        assert_eq!(of(&["pthread_cond_wait", "", "PyEval_RestoreThread"]), Waits::Gil);
        let inlined = ["pthread_cond_timedwait", "_PyEval_EvalFrameDefault.cold"];
        assert_eq!(of(&inlined), Waits::Gil);
        let parked = ["sem_wait", "_PySemaphore_Wait", "_PyParkingLot_Park", "lock_acquire"];
        assert_eq!(of(&parked), lock);
        assert_eq!(of(&["pthread_cond_wait", "blas_thread_server"]), Waits::Condition);
        assert_eq!(of(&["syscall", "park"]), Waits::Something);
    }
}
