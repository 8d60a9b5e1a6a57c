//! What does a live process show from outside?

pub mod capture;
pub mod cgroup;
pub mod descriptors;
pub mod file_locks;
pub mod freeze;
pub mod inherited;
pub mod maps;
pub mod now;
pub mod pages;
pub mod process;
pub mod relatives;
mod sleepers;
mod source;
pub mod touched;
pub mod view;
