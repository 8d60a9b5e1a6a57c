//! Is what the control group is charged for the memory of its processes at all?
//!
//! What `docker stats` and an orchestrator show is the group's use: with page cache, files in
//! tmpfs, and what the kernel keeps. Much of it is often taken for a leak of the program.

use super::Analysis;
use crate::Ask;
use crate::wording::percent;
use memwhy_model::{Bytes, CgroupFacts, Charges};

/// From this part of what the group uses on something else than processes is told.
const MUCH: f64 = 0.4;
/// Below this nobody looks at a group.
const LEAST: Bytes = Bytes::mib(64);

/// See the [module](self).
#[derive(Debug)]
pub struct GroupCharges;

impl Analysis for GroupCharges {
    /// A sentence, where the group is charged for much that is not its processes' memory.
    type Answer = Option<String>;
    const NAME: &'static str = "group-charges";

    fn compute(ask: &Ask<'_>) -> Option<String> {
        let group = ask.about.cgroup.as_ref()?;
        let charged = group.charged?;
        // Shared memory that this process has mapped is in its own RSS and judged there.
        let shmem = charged.shmem.minus(ask.resident(memwhy_model::Owner::Shmem));
        let other = charged.cache + shmem;
        let worth = other >= LEAST && other.share_of(group.used) >= MUCH && other >= ask.rss();
        worth.then(|| sentence(group, charged, ask.rss()))
    }
}

fn sentence(group: &CgroupFacts, charged: Charges, rss: Bytes) -> String {
    let (what, bytes, told) = if charged.cache >= charged.shmem {
        ("page cache", charged.cache, "taken back before a limit is hit, no leak")
    } else {
        ("files in tmpfs (/dev/shm, tmpfs mounts)", charged.shmem, "there until they are deleted")
    };
    format!(
        "{bytes} of the {} ({}) that the control group is charged for is {what}: {told}; processes \
         have {} of it, this one {rss}",
        group.used,
        percent(bytes.share_of(group.used)),
        charged.anon
    )
}

#[cfg(test)]
mod tests {
    use super::GroupCharges;
    use crate::Ask;
    use memwhy_model::{About, Bytes, Case, CgroupFacts, Charges, Owner};

    fn told(cache: u64, shmem: u64) -> Option<String> {
        let charged = Charges {
            version: 2,
            anon: Bytes::mib(100),
            cache: Bytes::mib(cache),
            shmem: Bytes::mib(shmem),
            ..Charges::default()
        };
        let group = CgroupFacts {
            used: Bytes::mib(100 + cache + shmem),
            charged: Some(charged),
            ..CgroupFacts::default()
        };
        let about = About { cgroup: Some(group), ..About::default() };
        let mut case = Case { about, ..Case::default() };
        case.accounting = case.accounting.with(Owner::PythonObjects, Bytes::mib(80));
        (*Ask::new(&case).get::<GroupCharges>()).clone()
    }

    #[test]
    fn page_cache_is_not_taken_for_a_leak() {
        let said = told(900, 0).expect("it is much");
        assert!(said.starts_with("900 MiB of the 1000 MiB (90%)"), "{said}");
        assert!(said.contains("no leak") && said.ends_with("this one 80.0 MiB"), "{said}");
    }

    #[test]
    fn files_in_tmpfs_stay_until_they_are_deleted() {
        assert!(told(10, 900).expect("it is much").contains("there until they are deleted"));
    }

    #[test]
    fn a_group_that_is_its_processes_is_not_worth_a_line() {
        assert_eq!(told(20, 10), None);
    }
}
