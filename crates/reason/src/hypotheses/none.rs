//! What remains when every hypothesis is refuted: the process is simply its size.
//!
//! Then the answer is what that size consists of, largest first.

use crate::analyses::Shares;
use crate::{Ask, Finding, Standing, noteworthy, wording};
use memwhy_model::{Bytes, Owner, TargetKind, Trust, Untold};

/// The id of the cause that is none.
pub const ID: &str = "none";

/// How many parts are named: all of them are in the accounting beside it.
const NAMED: usize = 2;

/// Owners whose bytes no hypothesis of this release judges: much of them is not called ordinary.
const NOT_JUDGED: [Owner; 3] = [Owner::OtherAllocator, Owner::FileDirty, Owner::AnonOther];

/// What the size consists of.
#[must_use]
pub fn finding(ask: &Ask<'_>) -> Finding {
    let rss = ask.rss();
    let mut not_judged: Bytes = NOT_JUDGED.iter().map(|owner| ask.resident(*owner)).sum();
    // What libraries have for themselves was judged.
    not_judged = not_judged.minus(super::library_allocator::resident(ask));
    // Who keeps it was not searched.
    if ask.native_memory.is_none() {
        not_judged += ask.resident(Owner::MallocNative);
    }
    let judged = !noteworthy(not_judged, rss);
    let mut parts: Vec<(Bytes, &'static str)> =
        ask.get::<Shares>().iter().map(|one| (one.resident, owner_name(one.owner))).collect();
    parts.push((ask.accounting.unexplained, "unexplained"));
    parts.retain(|(bytes, _)| *bytes > Bytes(0));
    parts.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let named: Vec<String> = parts
        .iter()
        .take(NAMED)
        .map(|(bytes, name)| format!("{name} {}", wording::amount(*bytes, rss)))
        .collect();
    let measure = ask.about.measure();
    let summary = if rss == Bytes(0) {
        "no memory is resident".to_owned()
    } else if judged {
        format!("{rss} {measure} is the ordinary size of this program: mostly {}", named.join(", "))
    } else {
        format!(
            "no cause that this release can judge; {rss} {measure} is mostly {}",
            named.join(", ")
        )
    };
    let mut finding = Finding::refuted(ID, summary);
    finding.standing = Standing::Holds;
    if !judged {
        finding.confidence = finding.confidence.less();
    }
    let counts =
        if ask.about.tells(Untold::Residency) { "the kernel counts" } else { "the core holds" };
    let check = match ask.about.kind {
        TargetKind::Process => format!("grep Rss: /proc/{}/smaps_rollup", ask.about.target()),
        TargetKind::Core | TargetKind::Snapshot => format!("memwhy maps {}", ask.about.target()),
    };
    finding.saw(Trust::Target, format!("owners add up to the {rss} that {counts}"), check);
    finding
}

/// How an owner is called in a sentence.
#[must_use]
pub const fn owner_name(owner: Owner) -> &'static str {
    match owner {
        Owner::PythonObjects => "Python objects",
        Owner::PythonGarbage => "unreachable cycles",
        Owner::PythonOrphans => "orphaned objects",
        Owner::PythonRuntime => "interpreter",
        Owner::PythonFree => "free lists of Python",
        Owner::PymallocFree => "pymalloc free",
        Owner::MimallocFree => "mimalloc free",
        Owner::MallocNative => "malloc in use, native",
        Owner::MallocFree => "malloc free",
        Owner::MallocOverhead => "malloc overhead",
        Owner::OtherAllocator => "other allocator",
        Owner::StackNative => "stacks",
        Owner::FileClean => "files",
        Owner::FileDirty => "files, changed in memory",
        Owner::Shmem => "shared memory",
        Owner::AnonOther => "other anonymous",
    }
}

#[cfg(test)]
mod tests {
    use super::finding;
    use crate::Ask;
    use crate::Confidence;
    use memwhy_model::{Bytes, Case, Owner};

    #[test]
    fn much_that_is_not_judged_is_not_called_ordinary() {
        let mut case = Case::default();
        case.accounting = case.accounting.with(Owner::MallocNative, Bytes::mib(300));
        let finding = finding(&Ask::new(&case));
        assert!(!finding.summary.contains("ordinary"), "{}", finding.summary);
        assert_eq!(finding.confidence, Confidence::Medium);
    }

    #[test]
    fn an_ordinary_size_is_said_part_by_part() {
        let mut case = Case::default();
        case.accounting = case
            .accounting
            .with(Owner::PythonObjects, Bytes::mib(6))
            .with(Owner::FileClean, Bytes::mib(10));
        let summary = finding(&Ask::new(&case)).summary;
        assert!(
            summary.ends_with("files 10.0 MiB (62%), Python objects 6.0 MiB (38%)"),
            "{summary}"
        );
    }
}
