//! Where does an interpreter of 3.14 and later want to be told to run a script (PEP 768)?
//!
//! The offsets are published in `_Py_DebugOffsets` and nowhere else; they are of use only to who
//! writes, which this crate does not.
//!
//! Source: `Include/internal/pycore_debug_offsets.h`, 3.14 (`debugger_support`);
//! `Python/remote_debug.h`; `Python/ceval_gil.c` (`_PyRunRemoteDebugger`).

use super::debug_offsets::generation_at;
use memwhy_model::Addr;
use memwhy_target::memory::{Memory, MemoryExt};

/// Where the six numbers are in `_Py_DebugOffsets` of 3.14 and of 3.15.
const PLACES: [u64; 2] = [712, 840];
/// No struct of a thread or an interpreter is larger.
const LARGEST: u64 = 1 << 20;
/// `_PY_EVAL_PLEASE_STOP_BIT`.
pub const PLEASE_STOP: u64 = 1 << 5;

/// Offsets in the state of a thread, but for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebuggerSupport {
    /// The eval breaker.
    pub eval_breaker: u64,
    /// In the state of the interpreter: 1 where the user allows it (`-X disable-remote-debug`).
    pub enabled: u64,
    /// Set to 1 for a script to be run.
    pub pending_call: u64,
    /// Its path.
    pub script_path: u64,
    /// Bytes for the path, with the last zero.
    pub script_path_size: u64,
}

impl DebuggerSupport {
    /// Reads them at the start of `_PyRuntime`; `None` for a build without, or absurd numbers.
    #[must_use]
    pub fn read(memory: &dyn Memory, runtime: Addr) -> Option<Self> {
        let generation = generation_at(memory, runtime)?;
        let at = *PLACES.get(generation.checked_sub(1)?)?;
        let numbers = memory.words(runtime.at(at), 6, 6).ok()?;
        let [eval_breaker, support, enabled, pending, path, size] =
            numbers.first_chunk().copied()?;
        // Those of the script are inside of a struct of their own.
        let read = Self {
            eval_breaker,
            enabled,
            pending_call: support.checked_add(pending)?,
            script_path: support.checked_add(path)?,
            script_path_size: size,
        };
        let places = [eval_breaker, enabled, read.pending_call, read.script_path];
        (places.iter().all(|place| (1..LARGEST).contains(place)) && (64..=65536).contains(&size))
            .then_some(read)
    }
}
