//! Which causes are known, and does each hold?
//!
//! One file each: what speaks for it, what against it, what it rests on. A new hypothesis is one
//! file and one line in [`HYPOTHESES`].

pub mod allocator_retention;
pub mod busy;
pub mod deadlock;
pub mod file_mappings;
pub mod fork_cow;
pub mod huge_pages;
pub mod known_bug;
pub mod library_allocator;
pub mod native_leak;
pub mod native_memory;
pub mod none;
pub mod pymalloc_fragmentation;
pub mod python2_free_lists;
pub mod python_objects;
pub mod refcount_leak;
pub mod shared_memory;
mod stand_in;
pub mod thread_stacks;
pub mod uncollectable;
pub mod uncollected_cycles;

use crate::{Ask, Finding};

/// A claim about a process that a case can decide.
pub trait Hypothesis: Sync {
    /// The stable id of the cause.
    fn id(&self) -> &'static str;
    /// The claim as a sentence.
    fn claim(&self) -> &'static str;
    /// Whether it is true of this case. Says so in a summary with a number, also where it is not.
    fn judge(&self, ask: &Ask<'_>) -> Finding;
}

/// Every hypothesis; [`none`] is what remains when they are all refuted.
pub const HYPOTHESES: [&dyn Hypothesis; 18] = [
    &allocator_retention::AllocatorRetention,
    &pymalloc_fragmentation::PymallocFragmentation,
    &python2_free_lists::Python2FreeLists,
    &python_objects::PythonObjects,
    &uncollected_cycles::UncollectedCycles,
    &uncollectable::Uncollectable,
    &refcount_leak::RefcountLeak,
    &native_leak::NativeLeak,
    &native_memory::NativeMemoryHeld,
    &library_allocator::LibraryAllocator,
    &huge_pages::HugePages,
    &fork_cow::ForkCow,
    &shared_memory::SharedMemory,
    &file_mappings::FileMappings,
    &thread_stacks::ThreadStacks,
    &known_bug::KnownBug,
    &deadlock::Deadlock,
    &busy::Busy,
];

#[cfg(test)]
mod tests {
    use super::HYPOTHESES;
    use crate::{Ask, Standing};
    use memwhy_model::{About, Bytes, Case, Owner};
    use std::collections::HashSet;

    #[test]
    fn every_cause_has_one_hypothesis() {
        let ids: HashSet<_> = HYPOTHESES.iter().map(|hypothesis| hypothesis.id()).collect();
        assert_eq!(ids.len(), HYPOTHESES.len());
    }

    #[test]
    fn every_finding_has_a_summary_whatever_was_seen() {
        let empty = Case::default();
        let withheld = About { withheld: Some("not permitted".into()), ..About::default() };
        let withheld = Case { about: withheld, ..Case::default() };
        let mut unread = Case::default();
        unread.accounting = unread.accounting.with(Owner::AnonOther, Bytes::mib(500));
        for case in [empty, withheld, unread] {
            for hypothesis in HYPOTHESES {
                let finding = hypothesis.judge(&Ask::new(&case));
                assert!(!finding.summary.is_empty(), "{}", hypothesis.id());
                assert!(!finding.holds(), "{}", hypothesis.id());
                assert_eq!(finding.cause, hypothesis.id());
            }
        }
    }

    #[test]
    fn nothing_is_refuted_that_could_not_be_read() {
        let about = About { withheld: Some("not permitted".into()), ..About::default() };
        let case = Case { about, ..Case::default() };
        for hypothesis in HYPOTHESES.iter().filter(|hypothesis| hypothesis.id() != "busy") {
            let finding = hypothesis.judge(&Ask::new(&case));
            assert!(matches!(finding.standing, Standing::Undecided(_)), "{}", hypothesis.id());
        }
    }
}
