//! Hypothesis: the process is big because of memory of C that objects or libraries keep.
//!
//! The complaint: RSS grows, Python's objects are few and small, and nothing is lost: documents,
//! contexts, connections and caches of libraries that somebody still has.
//!
//! *Speaks for it:* chunks that objects of a type or the variables of a library lead to take much of
//! RSS. *Speaks against it:* they do not. Buffers that objects have the address of themselves count
//! as Python's data (`python-objects`); this is what lies behind, through several hops.

use super::Hypothesis;
use crate::analyses::{NativeGrowth, native_growth};
use crate::probe::call_site;
use crate::wording::{amount, content_name, count, holder_name, of_all, sizes_name};
use crate::{Ask, Finding, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, HolderKind, Holding, NativeMemory, Owner, Trust};

/// Of a quarter of RSS on, as with Python's data.
const SHARE: f64 = 0.25;
/// Holders told.
const HOLDERS: usize = 3;

/// See the [module](self).
#[derive(Debug)]
pub struct NativeMemoryHeld;

impl Hypothesis for NativeMemoryHeld {
    fn id(&self) -> &'static str {
        "native-memory"
    }

    fn claim(&self) -> &'static str {
        "memory of C that objects or libraries keep is what makes the process big"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        let Some(native) = &ask.native_memory else {
            let unseen = ask.resident(Owner::OtherAllocator) + ask.resident(Owner::AnonOther);
            return Finding::refuted(self.id(), "who holds memory of C was not searched")
                .undecided("the chunks of malloc are not known", unseen);
        };
        let held = held(ask, native);
        let most = native.holders.iter().filter(|of| keeps(of)).max_by_key(|of| foreign(of));
        let most = most.filter(|_| held > Bytes(0));
        let most = most.map_or_else(String::new, |of| format!(", most by {}", holder_name(of)));
        let summary = format!("C memory held {}{most}", amount(held, rss));
        let mut finding = Finding::refuted(self.id(), summary);
        if !noteworthy(held, rss) || held.share_of(rss) < SHARE {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = held;
        weigh(&mut finding, ask, native);
        finding
    }
}

/// What is kept, and belongs to no object directly: the accounting says how much of it is resident.
fn held(ask: &Ask<'_>, native: &NativeMemory) -> Bytes {
    let kept: Bytes = native.holders.iter().filter(|of| keeps(of)).map(foreign).sum();
    let native_resident = ask.resident(Owner::MallocNative).minus(native.lost().bytes);
    Bytes(kept.0.min(native_resident.0))
}

fn keeps(holding: &Holding) -> bool {
    match holding.kind {
        HolderKind::Nobody => false,
        HolderKind::Type
        | HolderKind::Library
        | HolderKind::Threads
        | HolderKind::Memory
        | HolderKind::Interpreter => true,
    }
}

fn foreign(holding: &Holding) -> Bytes {
    holding.direct.plus(holding.through).bytes
}

fn weigh(finding: &mut Finding, ask: &Ask<'_>, native: &NativeMemory) {
    let (rss, target, running) = (ask.rss(), ask.about.target(), ask.about.running());
    let mut holders: Vec<(usize, &Holding)> =
        native.holders.iter().enumerate().filter(|(_, of)| keeps(of)).collect();
    holders.sort_by_key(|(_, of)| std::cmp::Reverse(foreign(of)));
    let Some((_, first)) = holders.first().copied() else { return };
    let name = holder_name(first);
    finding.summary = format!(
        "{} is memory of C in use, {} of it kept by {name}",
        of_all(finding.explains, ask),
        foreign(first),
    );
    let check = format!("memwhy malloc {target} --held-by");
    for (row, holding) in holders.iter().take(HOLDERS).filter(|(_, of)| foreign(of) > Bytes(0)) {
        let group = native.contents.iter().find(|group| group.holder as usize == *row);
        let contents = group.map_or_else(String::new, |group| {
            format!(
                "; most in {} of {} that {}",
                count(group.all.chunks, "chunk"),
                sizes_name(group),
                content_name(&group.content)
            )
        });
        let chunks = holding.direct.plus(holding.through).chunks;
        finding.saw(
            Trust::Heuristic,
            format!(
                "{} in {} are kept by {}{contents}",
                foreign(holding),
                count(chunks, "chunk"),
                holder_name(holding)
            ),
            check.clone(),
        );
    }
    if let Some(grown) = ask.get::<NativeGrowth>().iter().find(|row| row.bytes.growth() > 0) {
        finding.saw(Trust::Heuristic, native_growth::said(grown), check);
    }
    let action = match first.kind {
        HolderKind::Type => format!("close or drop {name}: their memory goes with them"),
        HolderKind::Library => {
            format!("see which caches of {name} can be bounded or cleared: it keeps them itself")
        }
        HolderKind::Threads | HolderKind::Memory | HolderKind::Interpreter | HolderKind::Nobody => {
            format!("see who has {name}")
        }
    };
    finding.remedies.push(Remedy {
        action,
        expected_rss: Some(rss.minus(Bytes(foreign(first).0.min(finding.explains.0)))),
        note: "at best, if all of them go; freed pages may be kept by malloc: then memwhy says so"
            .into(),
        verify: format!("memwhy malloc {running} --held-by, twice under the same load"),
    });
    // Which kind of chunks it is that grows is known of two moments only.
    if let Some(grown) = native_growth::dominant(ask) {
        let probe = call_site(ask, grown.sizes);
        finding.remedies.push(Remedy {
            action: format!("find the call that takes what grew: {}", probe.command),
            expected_rss: None,
            note: probe.instead,
            verify: format!(
                "memwhy diff over the same load: what {} has",
                holder_name(&grown.holder)
            ),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Hypothesis, NativeMemoryHeld};
    use crate::{Ask, Standing};
    use memwhy_model::{Bytes, Case, HolderKind, Holding, NativeMemory, Owner, Tally};

    #[test]
    fn memory_that_a_type_keeps_names_the_type() {
        let through = Tally { chunks: 239_000, bytes: Bytes::mib(60) };
        let document = Holding {
            kind: HolderKind::Type,
            names: vec!["lxml.etree._Document".into()],
            through,
            ..Holding::default()
        };
        let native = NativeMemory { holders: vec![document], ..NativeMemory::default() };
        let mut case = Case { native_memory: Some(native), ..Case::default() };
        case.accounting = case
            .accounting
            .with(Owner::MallocNative, Bytes::mib(58))
            .with(Owner::FileClean, Bytes::mib(42));
        let finding = NativeMemoryHeld.judge(&Ask::new(&case));
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(58)));
        assert!(finding.summary.contains("lxml.etree._Document"), "{}", finding.summary);
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(42)));
    }
}
