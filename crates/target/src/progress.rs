//! How far has the work come, for whoever waits for it?
//!
//! Counters of this process, like the CPU time that it has used: whoever works adds to them,
//! whoever draws them reads them, and nothing else depends on them.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Nothing that takes long.
    Nothing,
    /// Copying memory; counted in bytes.
    Copying,
    /// Walking malloc.
    Malloc,
    /// Finding objects; counted in what they lie in.
    Finding,
    /// Reading objects, one by one.
    Reading,
    /// Looking for what keeps them.
    Keeping,
    /// Settling who owns each page.
    Settling,
    /// Working out the answer.
    Answering,
}

impl Step {
    /// Every step, in the order of their numbers.
    const ALL: [Self; 8] = [
        Self::Nothing,
        Self::Copying,
        Self::Malloc,
        Self::Finding,
        Self::Reading,
        Self::Keeping,
        Self::Settling,
        Self::Answering,
    ];

    /// What is said to who waits.
    #[must_use]
    pub const fn said(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Copying => "copying memory",
            Self::Malloc => "walking malloc",
            Self::Finding => "finding objects",
            Self::Reading => "reading objects",
            Self::Keeping => "looking for what keeps them",
            Self::Settling => "settling who owns each page",
            Self::Answering => "working out the answer",
        }
    }
}

static STEP: AtomicU8 = AtomicU8::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);
static ALL: AtomicU64 = AtomicU64::new(0);

/// Begins a step of `all` parts, 0 where nobody knows.
pub fn begin(step: Step, all: u64) {
    DONE.store(0, Ordering::Relaxed);
    ALL.store(all, Ordering::Relaxed);
    STEP.store(step as u8, Ordering::Relaxed);
}

/// So many parts more are done.
pub fn add(parts: u64) {
    DONE.fetch_add(parts, Ordering::Relaxed);
}

/// The step, and how many of its parts are done.
#[must_use]
pub fn now() -> (Step, u64, u64) {
    let step = Step::ALL.get(usize::from(STEP.load(Ordering::Relaxed))).copied();
    let all = ALL.load(Ordering::Relaxed);
    let done = DONE.load(Ordering::Relaxed).min(all);
    (step.unwrap_or(Step::Nothing), done, all)
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn a_step_is_found_by_its_number() {
        for (number, step) in (0u8..).zip(Step::ALL) {
            assert_eq!(step as u8, number);
            assert_eq!(step.said().is_empty(), step == Step::Nothing);
        }
    }
}
