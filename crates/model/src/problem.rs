//! What could not be read or did not add up, and how often?

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Examples kept of each kind: enough to look one up by hand.
const EXAMPLES: usize = 5;

/// What went wrong. A problem never ends a walk; it is counted, and the screen says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// A pointer led to memory that is not mapped or was not captured.
    UnreadablePointer,
    /// A length or count exceeds what its container can hold.
    AbsurdLength,
    /// A linked list has a loop, a bad back link, or no end.
    BrokenList,
    /// A pymalloc pool's free list and its block count disagree.
    TornPool,
    /// A malloc heap does not walk from its first chunk to its top.
    BrokenMallocHeap,
    /// Memory changed while it was copied from a running target.
    TornRead,
    /// Two claims on the same bytes.
    OwnersConflict,
    /// Our table and what the target says of itself disagree.
    LayoutDisagrees,
    /// An invariant of the interpreter did not hold, so that part is refused.
    CalibrationFailed,
    /// The kernel withheld something (permission, interface not there).
    KernelRefused,
    /// A thread that would not stop, or that went away meanwhile.
    ThreadNotStopped,
    /// Page facts and smaps differ, the residual says by how much.
    ResidencyMismatch,
    /// A core is cut off, or says of itself what cannot be.
    CoreIncomplete,
    /// A file that a core refers to is not there, or is of another build.
    FileNotFound,
}

impl ProblemKind {
    /// Whether it is what a process looks like that was read while it ran: what changes between
    /// two reads leads nowhere, or does not add up.
    #[must_use]
    pub const fn comes_of_tearing(self) -> bool {
        matches!(
            self,
            Self::UnreadablePointer
                | Self::AbsurdLength
                | Self::BrokenList
                | Self::TornPool
                | Self::TornRead
        )
    }

    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::UnreadablePointer => "unreadable-pointer",
            Self::AbsurdLength => "absurd-length",
            Self::BrokenList => "broken-list",
            Self::TornPool => "torn-pool",
            Self::BrokenMallocHeap => "broken-malloc-heap",
            Self::TornRead => "torn-read",
            Self::OwnersConflict => "owners-conflict",
            Self::LayoutDisagrees => "layout-disagrees",
            Self::CalibrationFailed => "calibration-failed",
            Self::KernelRefused => "kernel-refused",
            Self::ThreadNotStopped => "thread-not-stopped",
            Self::ResidencyMismatch => "residency-mismatch",
            Self::CoreIncomplete => "core-incomplete",
            Self::FileNotFound => "file-not-found",
        }
    }
}

/// The counted problems of one capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    seen: BTreeMap<ProblemKind, (u64, Vec<String>)>,
}

impl Problems {
    /// Counts one problem; `example` is only evaluated while examples are still wanted.
    pub fn note(&mut self, kind: ProblemKind, example: impl FnOnce() -> String) {
        let (count, examples) = self.seen.entry(kind).or_default();
        *count = count.saturating_add(1);
        if examples.len() < EXAMPLES {
            examples.push(example());
        }
    }

    /// Adds what another walk noted.
    pub fn absorb(&mut self, other: Self) {
        for (kind, (count, examples)) in other.seen {
            let mine = self.seen.entry(kind).or_default();
            mine.0 = mine.0.saturating_add(count);
            mine.1.extend(examples);
            mine.1.truncate(EXAMPLES);
        }
    }

    /// How often `kind` happened.
    #[must_use]
    pub fn count(&self, kind: ProblemKind) -> u64 {
        self.seen.get(&kind).map_or(0, |(count, _)| *count)
    }

    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Each kind that happened, its count and its first examples.
    pub fn iter(&self) -> impl Iterator<Item = (ProblemKind, u64, &[String])> {
        self.seen.iter().map(|(kind, (count, examples))| (*kind, *count, examples.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::{ProblemKind, Problems};

    #[test]
    fn all_are_counted_but_few_are_kept() {
        let mut problems = Problems::default();
        for n in 0..100 {
            problems.note(ProblemKind::TornPool, || format!("pool {n}"));
        }
        let mut total = Problems::default();
        total.absorb(problems.clone());
        total.absorb(problems);
        assert_eq!(total.count(ProblemKind::TornPool), 200);
        let (_, _, examples) = total.iter().next().expect("one kind");
        assert_eq!(examples.len(), 5);
        assert_eq!(examples[0], "pool 0");
    }
}
