//! What do the tests of memwhy stand on?
//!
//! * [`interpreters()`], [`require`]: every CPython of this machine;
//! * [`Workload`]: a Python program that went wrong on purpose, running and waiting;
//! * [`dumped`]: a core of one, written by the kernel;
//! * [`Turn`]: the right to run something heavy, so that few do at once;
//! * [`Truth`]: what objects such a program has by its own account;
//! * [`Mem`], [`Flaky`]: memory without a process, and memory that fails now and then.
//!
//! For tests only: where a tool would return an error, most of this panics with what to look at.
#![forbid(unsafe_code)]

pub mod dumped;
pub mod interpreters;
pub mod mem;
pub mod truth;
pub mod turns;
pub mod workload;

pub use interpreters::{BUILDS, Interpreter, PYTHONS_VARIABLE, interpreters, ordinary, require};
pub use mem::{Flaky, Mem, Mishap};
pub use truth::{Truth, TruthType};
pub use turns::Turn;
pub use workload::{Workload, script};
