//! What do the functions that a thread runs call the lock that it waits for?
//!
//! Only its stack is followed: from the word that the thread sleeps at to a variable of the innermost
//! function that is a lock with this word, and from there outwards through the code that makes
//! conditions, events and queues of locks, until a function of the program names one of those.
//! That needs no heap, and finds no name where the lock came from somewhere else.

use crate::layout::Layouts;
use crate::locks::classes::{Class, class};
use crate::locks::holders::Mentions;
use crate::locks::state;
use crate::locks::world::{Call, Sight};
use crate::types;
use memwhy_model::{Addr, NamedBy};
use memwhy_target::{Memory, MemoryExt as _};
use std::fmt;

/// Calls of one thread, from the innermost on: `queue.Queue.get` is three away from the lock.
const MOST_CALLS: usize = 16;
/// Names of types are read up to this length.
const LONGEST_NAME: usize = 128;

/// The standard library's code that makes other things of locks.
const OF_LOCKS: [&str; 6] =
    ["threading.py", "queue.py", "Queue.py", "_base.py", "synchronize.py", "queues.py"];

/// What `multiprocessing` makes of the lock that is written in C.
const BETWEEN_PROCESSES: &str = "multiprocessing.synchronize.";

/// Looks for names in the stacks of one process.
pub struct Callers<'a>(Sight<'a>);

impl fmt::Debug for Callers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").finish_non_exhaustive()
    }
}

/// What is looked for in the next call.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// The lock that threads want which sleep at this word.
    Word(Addr),
    /// This object.
    Object(Addr),
}

impl<'a> Callers<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(memory: &'a dyn Memory, layouts: &'a Layouts) -> Self {
        Self(Sight::new(memory, layouts))
    }

    /// How the thread whose state is at `thread` names what it sleeps for at `word`; `None` where no
    /// function of the program does.
    #[must_use]
    pub fn name_of(&self, thread: Addr, word: Addr) -> Option<NamedBy> {
        let mut wanted = Wanted::Word(word);
        for call in self.0.calls(thread, MOST_CALLS) {
            let mentions = Mentions::of(&self.0, &call);
            let found = mentions.objects().iter().find(|(object, _)| self.is(*object, wanted));
            let Some((object, name)) = found else { continue };
            if !is_of_locks(&call) {
                let function = call.frame.function.clone();
                return Some(NamedBy {
                    name: name.clone(),
                    type_name: self.type_name(*object)?,
                    function,
                });
            }
            // What it is a part of is known further out.
            wanted = Wanted::Object(call.local("self").unwrap_or(*object));
        }
        None
    }

    fn is(&self, object: Addr, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Object(at) => object == at,
            Wanted::Word(word) => self.word_of(object) == Some(word),
        }
    }

    /// The word that threads sleep at which want this lock.
    fn word_of(&self, object: Addr) -> Option<Addr> {
        let name = self.type_name(object)?;
        let (lock, name) = if name.starts_with(BETWEEN_PROCESSES) {
            // Its `acquire` is that of the lock that is written in C.
            let inner = self.0.attributes(object).get(&["_semlock"])?;
            (inner, self.type_name(inner)?)
        } else {
            (object, name)
        };
        match class(&name)? {
            Class::ThreadHandle => state::end(&self.0, lock).map(|(word, _)| word),
            class => state::of(&self.0, class, lock)?.word,
        }
    }

    fn type_name(&self, object: Addr) -> Option<String> {
        let (memory, layouts) = (self.0.memory, self.0.layouts);
        let ty = layouts.object.ob_type.read(memory, object).ok()??;
        let fields = &layouts.type_object;
        let name = memory.c_string(fields.tp_name.read(memory, ty).ok()??, LONGEST_NAME).ok()?;
        let flags = fields.tp_flags.read(memory, ty).ok()?;
        Some(types::full_name(memory, layouts, ty, &name, flags))
    }
}

fn is_of_locks(call: &Call) -> bool {
    let file = call.frame.file.rsplit('/').next().unwrap_or_default();
    let source = file.strip_suffix('c').unwrap_or(file);
    OF_LOCKS.contains(&source) || file.starts_with("<frozen importlib")
}
