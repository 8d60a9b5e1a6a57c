//! What has to be known of a process before anything in it is touched?

use crate::Refusal;
use crate::gadgets::Gadgets;
use memwhy_model::{Addr, Problems};
use memwhy_native::Images;
use memwhy_native::alloc::glibc::{self, ArenaLocks};
use memwhy_python::find::{self, Interpreter};
use memwhy_target::live::freeze::Freeze;
use memwhy_target::live::pages;
use memwhy_target::{Now, Process, View};

/// A process that may be acted upon.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The process.
    pub(crate) process: Process,
    /// Its mappings and pages as they were when it was looked at.
    pub(crate) view: View,
    /// Its loaded images.
    pub(crate) images: Images,
    /// Pieces of code in it, if it has them.
    gadgets: Option<Gadgets>,
    /// Where the locks of glibc's malloc are, if it is there.
    malloc: Option<ArenaLocks>,
}

/// Its interpreter, and the three functions that run code in it.
#[derive(Debug)]
pub(crate) struct Python {
    /// The interpreter.
    pub(crate) interpreter: Interpreter,
    /// `PyGILState_Ensure`.
    pub(crate) ensure: Addr,
    /// `PyRun_SimpleString`.
    pub(crate) run: Addr,
    /// `PyGILState_Release`.
    pub(crate) release: Addr,
}

impl Subject {
    /// Looks at a process, which runs on meanwhile.
    pub(crate) fn of(process: Process) -> Result<Self, Refusal> {
        // Thread features: `shstk` is there where user shadow stacks are on (Linux 6.6).
        if process.status("x86_Thread_features").is_some_and(|on| on.contains("shstk")) {
            return Err(Refusal::ShadowStack);
        }
        if process.thread(process.pid).is_some_and(|thread| thread.state == 'T') {
            return Err(Refusal::Stopped);
        }
        let maps = process.maps()?;
        let pages = pages::present(&process, &maps)?;
        let view = View::live(process.clone(), maps, pages);
        let images = Images::of(&view);
        let gadgets = Gadgets::find(&view);
        let malloc = glibc::libc(&images).and_then(|libc| ArenaLocks::find(&view, libc));
        Ok(Self { process, view, images, gadgets, malloc })
    }

    /// Why malloc may not be called now; of use while the process stands still.
    ///
    /// A call would only wait for a thread that is inside of malloc. But one that is gone, or stands
    /// there for good, would keep the borrowed thread too.
    pub(crate) fn malloc_is_locked(&self) -> Option<String> {
        let arena = *self.malloc?.held(&self.now()).first()?;
        Some(format!("malloc's arena at {arena} is locked"))
    }

    /// Pieces of code in it, without which no thread can be borrowed.
    pub(crate) fn gadgets(&self) -> Result<Gadgets, Refusal> {
        self.gadgets.ok_or(Refusal::Lacks(
            "code that returns from signals (its C library is of an unknown kind)",
        ))
    }

    /// Finds the interpreter.
    pub(crate) fn python(&self) -> Result<Python, Refusal> {
        let interpreter = find::find(&self.view, &self.images, &mut Problems::default())
            .map_err(|refusal| Refusal::NotPython(refusal.to_string()))?;
        let function =
            |name, lack| self.images.exporter(name).map(|(_, at)| at).ok_or(Refusal::Lacks(lack));
        Ok(Python {
            interpreter,
            ensure: function("PyGILState_Ensure", "exported PyGILState_Ensure")?,
            run: function("PyRun_SimpleString", "exported PyRun_SimpleString")?,
            release: function("PyGILState_Release", "exported PyGILState_Release")?,
        })
    }

    /// The number of a thread in its own pid namespace, which interpreters know it by.
    pub(crate) fn inner_tid(&self, tid: u32) -> u32 {
        self.process.thread(tid).map_or(tid, |thread| thread.inner_tid)
    }

    /// Its memory as it is now; of use while it stands still.
    pub(crate) const fn now(&self) -> Now<'_> {
        Now(&self.process)
    }
}

/// The threads that are not in a system call: they run, for all that is known bytecode.
pub(crate) fn runners(freeze: &Freeze) -> Vec<u32> {
    let runs = |tid: &u32| freeze.registers(*tid).is_some_and(|registers| !registers.waits());
    freeze.still().filter(runs).collect()
}
