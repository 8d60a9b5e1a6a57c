//! Hypothesis: files that the program has mapped are what makes the process big.
//!
//! The complaint: RSS is large after reading a file with `mmap`, and is taken for a leak.
//!
//! *Speaks for it:* pages of data files make up much of RSS. *Speaks against it:* they do not;
//! programs and libraries are counted apart, every process has those. Unchanged pages of files are
//! the page cache's: they count in RSS, and the kernel takes them back whenever it needs them.

use super::Hypothesis;
use crate::analyses::{FileShare, MappedFiles};
use crate::wording::{amount, count, of_all};
use crate::{Ask, Finding, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, Trust};

/// See the [module](self).
#[derive(Debug)]
pub struct FileMappings;

impl Hypothesis for FileMappings {
    fn id(&self) -> &'static str {
        "file-mappings"
    }

    fn claim(&self) -> &'static str {
        "mapped files are what makes the process big"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        let files = ask.get::<MappedFiles>();
        let resident = FileShare::resident(&files.data);
        let summary = format!("mapped data files {}", amount(resident, rss));
        let mut finding = Finding::refuted(self.id(), summary);
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
            "{} is files that the program has mapped, {} besides programs and libraries",
            of_all(resident, ask),
            count(files.data.len() as u64, "file")
        );
        finding.saw(
            Trust::Target,
            FileShare::largest(&files.data),
            format!(
                "grep RssFile /proc/{}/status; memwhy maps {}",
                ask.about.pid,
                ask.about.target()
            ),
        );
        let changed: Bytes = files.data.iter().map(|file| file.changed).sum();
        finding.saw(
            Trust::Target,
            format!(
                "{} of it is as the file has it: page cache, which the kernel takes back when it \
                 needs room; {changed} was changed here and cannot be taken back",
                resident.minus(changed)
            ),
            format!("memwhy maps {}", ask.about.target()),
        );
        finding.remedies = vec![Remedy {
            action:
                "nothing, if it is as the file has it: it is no leak; else close the mapping, or \
                     tell the kernel: mmap.madvise(mmap.MADV_DONTNEED) after reading"
                    .into(),
            expected_rss: Some(rss.minus(resident.minus(changed))),
            note: "the page cache keeps the file, so that reading it again is quick; count \
                   RssAnon, not RSS, to see whether the program grows"
                .into(),
            verify: format!("grep Rss /proc/{}/status", ask.about.running()),
        }];
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::{FileMappings, Hypothesis};
    use crate::{Ask, Standing};
    use memwhy_model::{Addr, AddrRange, Bytes, Case, MappingFacts, Owner};

    fn map(at: u64, name: &str, permissions: &str, mib: u64) -> MappingFacts {
        MappingFacts {
            range: AddrRange::sized(Addr(at << 30), mib << 20),
            permissions: permissions.into(),
            name: name.into(),
            file: true,
            rss: Bytes::mib(mib),
            ..MappingFacts::default()
        }
    }

    #[test]
    fn data_files_are_a_cause_and_libraries_are_not() {
        let mappings = vec![
            map(1, "/usr/lib/libbig.so", "r-xp", 200),
            map(2, "/usr/lib/libbig.so", "r--p", 100),
            map(3, "/data/table.bin", "r--s", 300),
        ];
        let mut case = Case { mappings, ..Case::default() };
        case.accounting = case.accounting.with(Owner::FileClean, Bytes::mib(600));
        let finding = FileMappings.judge(&Ask::new(&case));
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(300)));
        assert!(finding.evidence[0].saw.contains("/data/table.bin 300 MiB"));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(300)));
        case.mappings.pop();
        assert_eq!(FileMappings.judge(&Ask::new(&case)).standing, Standing::Refuted);
    }
}
