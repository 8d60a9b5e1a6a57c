//! Hypothesis: shared memory is what makes the process big.
//!
//! The complaint: RSS is large, the heap is small; or a container runs out of memory though its
//! processes end.
//!
//! *Speaks for it:* pages of tmpfs, `memfd`, System V segments or anonymous shared mappings make up
//! much of RSS. *Speaks against it:* they do not. Files in memory outlive who made them: one that
//! was never unlinked stays until the machine is restarted.

use super::Hypothesis;
use crate::analyses::{FileShare, MappedFiles};
use crate::wording::{amount, count, of_all};
use crate::{Ask, Finding, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, Trust};

/// See the [module](self).
#[derive(Debug)]
pub struct SharedMemory;

impl Hypothesis for SharedMemory {
    fn id(&self) -> &'static str {
        "shared-memory"
    }

    fn claim(&self) -> &'static str {
        "shared memory is what makes the process big"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        let files = ask.get::<MappedFiles>();
        let resident = FileShare::resident(&files.shared);
        let mut finding =
            Finding::refuted(self.id(), format!("shared memory {}", amount(resident, rss)));
        finding.could_explain = resident;
        if ask.about.withheld.is_some() {
            return finding.undecided("whose memory it is was not read", resident);
        }
        if !noteworthy(resident, rss) {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = resident;
        finding.summary = format!(
            "{} is shared memory, in {}",
            of_all(resident, ask),
            count(files.shared.len() as u64, "file")
        );
        let alone: Bytes = files.shared.iter().map(|file| file.private).sum();
        finding.saw(
            Trust::Target,
            FileShare::largest(&files.shared),
            format!("grep -E 'shm|memfd|SYSV|zero' /proc/{}/maps", ask.about.pid),
        );
        finding.saw(
            Trust::Target,
            format!(
                "{alone} of it nobody else has mapped, {} others have too",
                resident.minus(alone)
            ),
            format!("memwhy maps {}", ask.about.target()),
        );
        let deleted: Bytes =
            files.shared.iter().filter(|file| file.deleted).map(|file| file.resident).sum();
        if deleted > Bytes(0) {
            finding.saw(
                Trust::Target,
                format!(
                    "{deleted} of it has no name any more and goes with the last mapping of it"
                ),
                format!("ls -l /proc/{}/map_files | grep deleted", ask.about.pid),
            );
        }
        let worst = files.shared.first().map_or("it", |file| file.name.as_str());
        finding.remedies = vec![Remedy {
            action: format!(
                "close what is not needed ({worst}): SharedMemory.close() and unlink(), mmap.close()"
            ),
            expected_rss: Some(rss.minus(resident)),
            note: "if all of it goes; what others have mapped stays in memory until they let go, \
                   what has a name in /dev/shm until it is unlinked"
                .into(),
            verify: format!("memwhy {}: shared memory; ls -l /dev/shm", ask.about.running()),
        }];
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::{Hypothesis, SharedMemory};
    use crate::{Ask, Standing};
    use memwhy_model::{Addr, AddrRange, Bytes, Case, MappingFacts, Owner};

    #[test]
    fn shared_memory_is_told_by_file_and_by_who_else_has_it() {
        let map = |at: u64, name: &str, private: u64| MappingFacts {
            range: AddrRange::sized(Addr(at << 30), 64 << 20),
            name: name.into(),
            shmem: true,
            rss: Bytes::mib(64),
            private_dirty: Bytes::mib(private),
            ..MappingFacts::default()
        };
        let mappings = vec![
            map(1, "/dev/shm/psm_1", 64),
            map(2, "/memfd:buffer (deleted)", 0),
            map(3, "/dev/shm/psm_1", 0),
        ];
        let mut case = Case { mappings, ..Case::default() };
        case.accounting = case
            .accounting
            .with(Owner::Shmem, Bytes::mib(192))
            .with(Owner::PythonObjects, Bytes::mib(20));
        let finding = SharedMemory.judge(&Ask::new(&case));
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(192)));
        assert!(
            finding.evidence[0].saw.starts_with("largest: /dev/shm/psm_1 128 MiB, memfd buffer")
        );
        assert!(finding.evidence[1].saw.starts_with("64.0 MiB of it nobody else"));
        assert!(finding.evidence[2].saw.starts_with("64.0 MiB of it has no name"));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(20)));
    }
}
