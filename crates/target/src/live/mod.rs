//! What does a live process show from outside?

pub mod capture;
pub mod descriptors;
pub mod file_locks;
pub mod freeze;
pub mod maps;
pub mod now;
pub mod pages;
pub mod process;
mod sleepers;
pub mod touched;
pub mod view;
