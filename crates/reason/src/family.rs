//! What do a process and those that it started take together, each page counted once?
//!
//! RSS counts a page once for every process that has it; the sum over workers is then larger than
//! the machine. PSS divides each page by its users, so that sums are right.

use crate::Verdict;
use crate::analyses::SmapsView;
use crate::{Analysis, Ask};
use memwhy_model::{Bytes, Case, Owner};

/// One process of a family, small enough to keep many of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub pid: u32,
    /// The process that started it.
    pub parent: u32,
    /// What it calls itself.
    pub command: Vec<String>,
    /// `3.11.7`; nothing where it is no Python.
    pub python: Option<String>,
    /// Resident, pages of others counted in full.
    pub rss: Bytes,
    /// Resident, each page divided by its users.
    pub pss: Bytes,
    /// Resident, and nobody else's: what would be free without it.
    pub private: Bytes,
    /// Swapped out.
    pub swap: Bytes,
    /// What it has by owner, each page divided by its users; the last one is unexplained.
    pub owners: Vec<(Owner, Bytes)>,
    /// What of its PSS no owner is known of.
    pub unexplained: Bytes,
    /// Its cause, `none`, or nothing where it is undecided.
    pub cause: Option<&'static str>,
    /// How much of RSS the cause explains.
    pub explains: Bytes,
    /// The verdict as a sentence.
    pub summary: String,
}

impl Member {
    /// The member that `case` was observed of.
    #[must_use]
    pub fn of(case: &Case, verdict: &Verdict, parent: u32) -> Self {
        let mut owners: Vec<(Owner, Bytes)> =
            Owner::ALL.into_iter().map(|owner| (owner, Bytes(0))).collect();
        let (mut pss, mut private, mut owned) = (Bytes(0), Bytes(0), Bytes(0));
        for map in &case.mappings {
            pss += map.pss;
            private += map.private();
            // Shared pages and private ones lie mixed; the mapping's mean is taken for each.
            for (owner, bytes) in &map.owners {
                let part = scaled(*bytes, map.pss, map.rss);
                owned += part;
                if let Some(sum) = owners.get_mut(owner.index()) {
                    sum.1 += part;
                }
            }
        }
        owners.retain(|(_, bytes)| *bytes > Bytes(0));
        Self {
            pid: case.about.pid,
            parent,
            command: case.about.command.clone(),
            python: case.about.python.as_ref().map(|python| python.version.clone()),
            rss: case.rss(),
            pss,
            private,
            swap: SmapsView::compute(&Ask::new(case)).swap,
            unexplained: pss.minus(owned),
            owners,
            cause: verdict.cause,
            explains: verdict.explains,
            summary: verdict.summary.clone(),
        }
    }
}

/// `bytes`, as `part` is to `whole`.
fn scaled(bytes: Bytes, part: Bytes, whole: Bytes) -> Bytes {
    let product = u128::from(bytes.0) * u128::from(part.0);
    let scaled = product.checked_div(u128::from(whole.0)).unwrap_or(0);
    Bytes(u64::try_from(scaled).unwrap_or(u64::MAX))
}

/// A process and all that it and its children started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// Each after its parent.
    pub members: Vec<Member>,
    /// Processes that could not be read, and why.
    pub unread: Vec<(u32, String)>,
}

/// One cause over all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseShare {
    /// Which.
    pub cause: &'static str,
    /// Members of which it is the verdict.
    pub members: u64,
    /// What it explains of their RSS, all together.
    pub explains: Bytes,
}

impl Family {
    /// The sum over all members.
    pub fn sum(&self, of: impl Fn(&Member) -> Bytes) -> Bytes {
        self.members.iter().map(of).sum()
    }

    /// Owners of all members together, each page counted once, most first. With
    /// [`Family::unexplained`] they add up to the sum of PSS.
    #[must_use]
    pub fn owners(&self) -> Vec<(Owner, Bytes)> {
        let of = |owner: Owner| -> Bytes {
            let rows = self.members.iter().flat_map(|member| &member.owners);
            rows.filter(|(one, _)| *one == owner).map(|(_, bytes)| *bytes).sum()
        };
        let mut owners: Vec<(Owner, Bytes)> =
            Owner::ALL.into_iter().map(|owner| (owner, of(owner))).collect();
        owners.retain(|(_, bytes)| *bytes > Bytes(0));
        owners.sort_by_key(|(owner, bytes)| (std::cmp::Reverse(*bytes), *owner));
        owners
    }

    /// What no owner is known of.
    #[must_use]
    pub fn unexplained(&self) -> Bytes {
        self.sum(|member| member.unexplained)
    }

    /// Causes, those that explain most first; `none` is none.
    #[must_use]
    pub fn causes(&self) -> Vec<CauseShare> {
        let mut causes: Vec<CauseShare> = Vec::new();
        for member in &self.members {
            let Some(cause) = member.cause.filter(|cause| *cause != "none") else { continue };
            match causes.iter_mut().find(|one| one.cause == cause) {
                Some(one) => {
                    one.members += 1;
                    one.explains += member.explains;
                }
                None => causes.push(CauseShare { cause, members: 1, explains: member.explains }),
            }
        }
        causes.sort_by_key(|one| std::cmp::Reverse(one.explains));
        causes
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, Member};
    use crate::explain;
    use memwhy_model::{About, Addr, AddrRange, Bytes, Case, MappingFacts, Owner};

    /// A process with 100 MiB, of which `shared` are one page of two processes each.
    fn member(pid: u32, shared: u64) -> Member {
        let mapping = MappingFacts {
            range: AddrRange::sized(Addr(0x1000), 100 << 20),
            rss: Bytes::mib(100),
            pss: Bytes::mib(100 - shared / 2),
            private_dirty: Bytes::mib(100 - shared),
            owners: vec![
                (Owner::PythonObjects, Bytes::mib(60)),
                (Owner::MallocFree, Bytes::mib(40)),
            ],
            ..MappingFacts::default()
        };
        let about = About { pid, ..About::default() };
        let case = Case { about, mappings: vec![mapping], ..Case::default() };
        Member::of(&case, &explain(&case), 1)
    }

    #[test]
    fn what_is_shared_is_counted_once() {
        let family = Family { members: vec![member(7, 80), member(8, 80)], unread: Vec::new() };
        assert_eq!(family.sum(|one| one.pss), Bytes::mib(120));
        assert_eq!(family.sum(|one| one.private), Bytes::mib(40));
        let owned: Bytes = family.owners().into_iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(owned + family.unexplained(), Bytes::mib(120));
        assert_eq!(family.owners()[0], (Owner::PythonObjects, Bytes::mib(72)));
    }
}
