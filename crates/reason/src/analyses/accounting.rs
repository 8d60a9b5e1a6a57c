//! What share of RSS does each owner have, and how is that known?

use super::Analysis;
use crate::Ask;
use memwhy_model::{Bytes, Case, MallocFacts, Owner, Trust};

/// See the [module](self).
#[derive(Debug)]
pub struct Shares;

/// One owner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwnerShare {
    /// Who.
    pub owner: Owner,
    /// Of RSS.
    pub resident: Bytes,
    /// Of the address space, where claims rather than pages decide.
    pub claimed: Bytes,
    /// Part of RSS, 0 to 1.
    pub share: f64,
    /// How it is known.
    pub trust: Trust,
}

impl Analysis for Shares {
    /// Owners that have something, in the order of reports.
    type Answer = Vec<OwnerShare>;
    const NAME: &'static str = "accounting";

    fn compute(ask: &Ask<'_>) -> Self::Answer {
        ask.accounting
            .owners()
            .filter(|one| one.resident > Bytes(0) || one.claimed > Bytes(0))
            .map(|one| OwnerShare {
                owner: one.owner,
                resident: one.resident,
                claimed: one.claimed,
                share: one.resident.share_of(ask.rss()),
                trust: trust_in(one.owner, ask),
            })
            .collect()
    }
}

/// Whether the walk of malloc's heaps agrees with malloc's own counters, to the byte.
#[must_use]
pub fn walk_is_exact(malloc: &MallocFacts) -> bool {
    malloc.walked
        && malloc.glibc.as_ref().is_some_and(|glibc| {
            glibc.mmapped == glibc.mmapped_stated
                && glibc.arenas.iter().all(|arena| arena.complete && arena.walked == arena.system)
        })
}

/// How it is known that bytes belong to `owner`.
fn trust_in(owner: Owner, case: &Case) -> Trust {
    let python = case.about.python.as_ref().map_or(Trust::Heuristic, |python| python.layout);
    let other = case.stand_in.as_ref().map(|other| (other.walked, other.off));
    let malloc = match &case.malloc {
        Some(_) if other == Some((true, Bytes(0))) => Trust::Target,
        Some(_) if other.is_some_and(|(walked, _)| walked) => Trust::Table,
        Some(malloc) if walk_is_exact(malloc) => Trust::Target,
        Some(malloc) if malloc.walked => Trust::Table,
        Some(_) | None => Trust::Heuristic,
    };
    match owner {
        Owner::PythonObjects
        | Owner::PythonGarbage
        | Owner::PythonOrphans
        | Owner::PythonRuntime
        | Owner::PythonFree
        | Owner::PymallocFree
        | Owner::MimallocFree => python,
        // What is in use and nobody's depends on having found every object.
        Owner::MallocNative => malloc.min(python),
        Owner::MallocFree | Owner::MallocOverhead => malloc,
        Owner::OtherAllocator => Trust::Heuristic,
        Owner::StackNative
        | Owner::FileClean
        | Owner::FileDirty
        | Owner::Shmem
        | Owner::AnonOther => Trust::Target,
    }
}

#[cfg(test)]
mod tests {
    use super::{Shares, walk_is_exact};
    use crate::Ask;
    use memwhy_model::{ArenaFacts, Bytes, Case, GlibcFacts, MallocFacts, Owner, Trust};

    fn glibc(walked: u64) -> MallocFacts {
        let arena = ArenaFacts {
            system: Bytes(100),
            walked: Bytes(walked),
            complete: true,
            ..ArenaFacts::default()
        };
        let glibc = GlibcFacts { arenas: vec![arena], ..GlibcFacts::default() };
        MallocFacts { name: "glibc 2.36".into(), walked: true, glibc: Some(glibc) }
    }

    #[test]
    fn a_walk_is_exact_only_if_it_agrees_with_the_targets_counters() {
        assert!(walk_is_exact(&glibc(100)));
        assert!(!walk_is_exact(&glibc(84)));
    }

    #[test]
    fn a_walk_that_agrees_makes_free_memory_the_targets_own_statement() {
        let mut case = Case { malloc: Some(glibc(100)), ..Case::default() };
        case.accounting = case.accounting.with(Owner::MallocFree, Bytes::mib(3));
        assert_eq!(Ask::new(&case).get::<Shares>()[0].trust, Trust::Target);
        case.malloc = Some(glibc(84));
        assert_eq!(Ask::new(&case).get::<Shares>()[0].trust, Trust::Table);
    }
}
