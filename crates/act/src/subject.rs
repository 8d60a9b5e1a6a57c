//! What has to be known of a process before anything in it is touched?

use crate::Refusal;
use crate::gadgets::Gadgets;
use memwhy_model::{Addr, Problems};
use memwhy_native::Images;
use memwhy_python::find::{self, Interpreter};
use memwhy_target::live::pages;
use memwhy_target::{Fault, FaultKind, Memory, Process, View};

/// A process that may be acted upon.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The process.
    pub(crate) process: Process,
    /// Its mappings and pages as they were when it was looked at.
    pub(crate) view: View,
    /// Its loaded images.
    pub(crate) images: Images,
    /// Pieces of code in it.
    pub(crate) gadgets: Gadgets,
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
        let maps = process.maps()?;
        let pages = pages::present(&process, &maps)?;
        let view = View::live(process.clone(), maps, pages);
        let images = Images::of(&view);
        let gadgets = Gadgets::find(&view).ok_or(Refusal::Lacks(
            "code that returns from signals (a C library of an unknown kind)",
        ))?;
        Ok(Self { process, view, images, gadgets })
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

    /// Its memory as it is now.
    pub(crate) const fn now(&self) -> Now {
        Now(self.process.pid)
    }
}

/// The memory of a process as it is at each read; of use while it stands still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now(u32);

impl Memory for Now {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        match memwhy_target::sys::process_vm::read(self.0, addr.0, buf) {
            Ok(got) if got == buf.len() => Ok(()),
            Ok(_) => Err(Fault::unmapped(addr)),
            Err(error) => Err(Fault {
                at: addr,
                why: match error.raw_os_error() {
                    Some(libc::ESRCH) => FaultKind::Gone,
                    Some(libc::EPERM) => FaultKind::Denied,
                    _ => FaultKind::Unmapped,
                },
            }),
        }
    }
}
