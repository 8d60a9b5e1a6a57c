//! Which cure would really help a program? It is run under each, and watched.
//!
//! The programs are ours: started here, ended here. Nothing is written into a process, but for the
//! cure that trims now and then, and that into our own.

mod cures;
mod family;
mod run;

pub use cures::{CURES, Cure, Missing, Ready, ready};
pub use run::{Plan, run};
