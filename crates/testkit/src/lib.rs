//! What do the tests of memwhy stand on?
//!
//! * [`interpreters()`], [`require`]: every CPython of this machine;
//! * [`Workload`]: a Python program that went wrong on purpose, running and waiting;
//! * [`dumped`]: a core of one, written by the kernel;
//! * [`Folder`]: a place for files, which goes with its test;
//! * [`tools`]: programs and libraries, told where they are missing;
//! * [`Turn`]: the right to run something heavy, so that few do at once;
//! * [`Truth`]: what objects such a program has by its own account;
//! * [`Mem`], [`Flaky`]: memory without a process, and memory that fails now and then.
//!
//! For tests only: where a tool would return an error, most of this panics with what to look at.
#![forbid(unsafe_code)]

pub mod dumped;
pub mod folder;
pub mod interpreters;
pub mod mem;
pub mod tools;
pub mod truth;
pub mod turns;
pub mod workload;

pub use folder::Folder;
pub use interpreters::{
    BUILDS, Interpreter, ORDINARY, PYTHONS_VARIABLE, interpreters, ordinary, others, require,
};
pub use mem::{Flaky, Mem, Mishap};
pub use truth::{Truth, TruthType};
pub use turns::Turn;
pub use workload::{Workload, script};
