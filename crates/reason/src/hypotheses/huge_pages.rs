//! Hypothesis: huge pages make memory resident that the program never wrote to.
//!
//! The complaint: RSS is several times what the program put into its tables; on another machine,
//! with another kernel setting, it is not.
//!
//! *Speaks for it:* in huge pages there are many small ones of nothing but zeroes: the first write
//! to one made its 511 neighbours resident. *Speaks against it:* few huge pages, or full ones. A
//! page that the program itself filled with zeroes looks the same; the cure then changes nothing.
//!
//! Rests on: `Documentation/admin-guide/mm/transhuge.rst`; measured on 256 MiB that were touched on
//! every thirteenth page: 30 MiB without huge pages, 264 with.

use super::Hypothesis;
use crate::analyses::SmapsView;
use crate::wording::{amount, count, of_all, percent};
use crate::{Ask, Finding, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, HugeFacts, Trust};

/// As of `mm/khugepaged.c`: 512 pages less one may be missing.
const DEFAULT_MAX_PTES_NONE: u64 = 511;

/// See the [module](self).
#[derive(Debug)]
pub struct HugePages;

/// What of RSS this cause explains: nothing where it does not hold.
#[must_use]
pub fn explained(ask: &Ask<'_>) -> Bytes {
    let zero = ask.huge.as_ref().map_or(Bytes(0), |huge| huge.zero);
    if noteworthy(zero, ask.rss()) { zero } else { Bytes(0) }
}

impl Hypothesis for HugePages {
    fn id(&self) -> &'static str {
        "huge-pages"
    }

    fn claim(&self) -> &'static str {
        "huge pages make memory resident that the program never wrote to"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let huge = ask.get::<SmapsView>().huge;
        let Some(facts) = &ask.huge else {
            let finding =
                Finding::refuted(self.id(), format!("huge pages {}", amount(huge, ask.rss())));
            if ask.about.withheld.is_some() {
                return finding.undecided("what is in huge pages was not read", huge);
            }
            return finding;
        };
        let summary = format!("never written in huge pages {}", amount(facts.zero, ask.rss()));
        let mut finding = Finding::refuted(self.id(), summary);
        finding.could_explain = facts.zero;
        let explains = explained(ask);
        if explains == Bytes(0) {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = explains;
        finding.summary = format!(
            "{} was never written to: it is resident because the pages around it are huge",
            of_all(explains, ask)
        );
        if !facts.all {
            finding.confidence = finding.confidence.less();
        }
        tell(&mut finding, ask, facts, huge);
        finding.remedies = remedies(ask, facts);
        finding
    }
}

fn tell(finding: &mut Finding, ask: &Ask<'_>, facts: &HugeFacts, huge: Bytes) {
    let pid = ask.about.target();
    finding.saw(
        Trust::Target,
        format!(
            "{huge} is in huge pages of 2 MiB; of the small pages in {} that were looked into {} \
             hold only zeroes",
            count(facts.pages, "huge page"),
            percent(facts.zero.share_of(huge))
        ),
        format!("grep AnonHugePages /proc/{}/smaps_rollup", ask.about.pid),
    );
    if let Some(worst) = facts.worst.first() {
        finding.saw(
            Trust::Target,
            format!(
                "most of it: {} of zeroes in the {} of huge pages at {}{}",
                worst.zero,
                worst.huge,
                worst.range.start,
                if worst.advised { ", which the program asked for (MADV_HUGEPAGE)" } else { "" }
            ),
            format!("memwhy maps {pid}"),
        );
    }
    let none = facts.max_ptes_none.unwrap_or(DEFAULT_MAX_PTES_NONE);
    finding.saw(
        Trust::Target,
        format!(
            "the kernel makes huge pages {}; khugepaged fills up to {none} of 512 missing pages",
            match facts.enabled.as_str() {
                "always" => "wherever it can",
                "madvise" => "where a program asks for them",
                "never" => "no more (it did)",
                _ => "as it is told, which could not be read",
            }
        ),
        "cat /sys/kernel/mm/transparent_hugepage/{enabled,khugepaged/max_ptes_none}",
    );
}

fn remedies(ask: &Ask<'_>, facts: &HugeFacts) -> Vec<Remedy> {
    let left = ask.rss().minus(facts.zero);
    let verify =
        format!("the same load again, then memwhy {}: RSS near {left}", ask.about.running());
    let remedy = |action: &str, note: &str| Remedy {
        action: action.into(),
        expected_rss: Some(left),
        note: note.into(),
        verify: verify.clone(),
    };
    let advised = facts.worst.iter().any(|one| one.advised && one.zero > Bytes(0));
    let numpy = ask
        .heap
        .as_ref()
        .is_some_and(|heap| heap.types().iter().any(|row| row.name == "numpy.ndarray"));
    let mut remedies = Vec::new();
    if facts.by_glibc {
        remedies.push(remedy(
            "start without GLIBC_TUNABLES=glibc.malloc.hugetlb",
            "glibc asks for huge pages because it was told to; measured on a table touched on every \
             thirteenth page, not on yours: 264 → 30 MiB",
        ));
    } else if advised && numpy {
        remedies.push(remedy(
            "start with NUMPY_MADVISE_HUGEPAGE=0",
            "NumPy asks for huge pages for arrays of 4 MiB and more",
        ));
    } else if advised {
        remedies.push(remedy(
            "do not ask for huge pages (MADV_HUGEPAGE) for memory that is written here and there",
            "the program, or a library or allocator in it, asked for them",
        ));
    }
    if facts.enabled == "always" || !advised {
        remedies.push(remedy(
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, or \
             prctl(PR_SET_THP_DISABLE) in what starts the program",
            "at once for what is touched from then on; pages that are huge stay so",
        ));
    }
    remedies.push(remedy(
        "echo 0 > /sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none",
        "for what khugepaged puts together; from Linux 6.12 on the kernel then also splits huge \
         pages of zeroes when memory is short",
    ));
    remedies
}

#[cfg(test)]
mod tests {
    use super::{HugePages, Hypothesis};
    use crate::{Ask, Finding, Standing};
    use memwhy_model::{Bytes, Case, HugeFacts, HugeMapping, MappingFacts, Owner};

    fn judge(zero: u64, facts: HugeFacts) -> Finding {
        let huge = MappingFacts { anon_huge: Bytes::mib(256), ..MappingFacts::default() };
        let facts = HugeFacts { zero: Bytes::mib(zero), all: true, pages: 128, ..facts };
        let mut case = Case { huge: Some(facts), mappings: vec![huge], ..Case::default() };
        case.accounting = case.accounting.with(Owner::PythonObjects, Bytes::mib(290));
        HugePages.judge(&Ask::new(&case))
    }

    #[test]
    fn zeroes_in_huge_pages_are_what_the_cure_returns() {
        let asked = HugeMapping { advised: true, zero: Bytes::mib(236), ..HugeMapping::default() };
        let facts =
            HugeFacts { enabled: "madvise".into(), worst: vec![asked], ..HugeFacts::default() };
        let finding = judge(236, facts);
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(236)));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(54)));
        assert!(finding.remedies[0].action.contains("MADV_HUGEPAGE"));
    }

    #[test]
    fn who_asked_decides_the_cure() {
        let glibc = HugeFacts { by_glibc: true, enabled: "madvise".into(), ..HugeFacts::default() };
        assert!(judge(236, glibc).remedies[0].action.contains("GLIBC_TUNABLES"));
        let always = HugeFacts { enabled: "always".into(), ..HugeFacts::default() };
        assert!(judge(236, always).remedies[0].action.starts_with("echo madvise"));
    }

    #[test]
    fn full_huge_pages_are_no_cause() {
        let finding = judge(3, HugeFacts::default());
        assert_eq!(finding.standing, Standing::Refuted);
        assert!(finding.summary.starts_with("never written in huge pages 3.0 MiB"));
    }
}
