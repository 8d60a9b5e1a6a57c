//! Hypothesis: C code has lost the address of memory that it never freed.
//!
//! The complaint: RSS grows with the work done, and Python objects do not explain it.
//!
//! *Speaks for it:* chunks of malloc in use that no word in memory is the address of, over other
//! chunks or not. *Speaks against it:* such a word is anywhere: in objects, variables of libraries,
//! stacks, registers, thread-local storage, memory that nobody manages. What was swapped out or left
//! out of a core could have it; then nothing is decided. Memory that is kept on purpose, and grows,
//! is not lost: that is `native-memory`.

use super::Hypothesis;
use crate::probe::{call_site, requests};
use crate::wording::{amount, content_name, count, digits, of_all, sizes_name};
use crate::{Ask, Finding, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, ContentGroup, NativeMemory, Owner, Pause, Trust};

/// Groups told.
const GROUPS: usize = 3;

/// See the [module](self).
#[derive(Debug)]
pub struct NativeLeak;

impl Hypothesis for NativeLeak {
    fn id(&self) -> &'static str {
        "native-leak"
    }

    fn claim(&self) -> &'static str {
        "C code has lost the address of memory that it never freed"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        let Some(native) = &ask.native_memory else {
            let other = ask.resident(Owner::OtherAllocator);
            let unseen = other + ask.resident(Owner::AnonOther) + ask.accounting.unexplained;
            let why = if other > Bytes(0) {
                "the heap of this malloc is not walked"
            } else {
                "the chunks of malloc are not known"
            };
            let summary = "who holds memory of C was not searched";
            return Finding::refuted(self.id(), summary).undecided(why, unseen);
        };
        let lost = native.lost();
        // Chunks that were never touched are not RSS; what is lost cannot be more than is there.
        let resident = Bytes(lost.bytes.0.min(ask.resident(Owner::MallocNative).0));
        let summary = if resident == Bytes(0) {
            "lost C memory 0".to_owned()
        } else {
            format!("lost C memory {}", amount(resident, rss))
        };
        let mut finding = Finding::refuted(self.id(), summary);
        let walked = ask.malloc.as_ref().is_some_and(|malloc| malloc.walked);
        if !walked && noteworthy(resident, rss) {
            return finding.undecided("malloc's heaps could not be walked to the end", resident);
        }
        if noteworthy(native.unread, rss) && noteworthy(resident, rss) {
            let why = format!(
                "{} that may have the addresses could not be read (swapped out, or not in the core)",
                native.unread
            );
            return finding.undecided(why, resident);
        }
        if !noteworthy(resident, rss) {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = resident;
        let (threads, registers) = native.threads;
        if ask.about.moment.pause == Pause::None || registers < threads || native.unread > Bytes(0)
        {
            finding.confidence = finding.confidence.less();
        }
        weigh(&mut finding, ask, native);
        finding
    }
}

fn weigh(finding: &mut Finding, ask: &Ask<'_>, native: &NativeMemory) {
    let lost = native.lost();
    let target = ask.about.target();
    let groups: Vec<&ContentGroup> = native.lost_groups().collect();
    let most = groups.first().map_or_else(String::new, |group| {
        format!(", most of them {} that {}", sizes_name(group), content_name(&group.content))
    });
    finding.summary = format!(
        "{} is memory of C that nothing leads to any more: {}{most}",
        of_all(finding.explains, ask),
        count(lost.chunks, "chunk"),
    );
    for group in groups.iter().take(GROUPS) {
        let inner = if group.inner > 0 {
            format!("; {} are led to by others that are lost", digits(group.inner))
        } else {
            String::new()
        };
        finding.saw(
            Trust::Heuristic,
            format!(
                "{} of {} ({}), {} in all, that {}{inner}",
                count(group.all.chunks, "chunk"),
                sizes_name(group),
                requests(ask, group.sizes),
                group.all.bytes,
                content_name(&group.content)
            ),
            format!("memwhy malloc {target} --held-by"),
        );
    }
    let (threads, registers) = native.threads;
    finding.saw(
        Trust::Heuristic,
        format!(
            "no address of them is in {} searched: objects, variables of {}, stacks of {} (registers \
             of {}), other memory; one that is tagged or scrambled would not be seen",
            native.searched,
            libraries(native.libraries),
            count(threads, "thread"),
            digits(registers),
        ),
        format!("memwhy malloc {target} --held-by"),
    );
    cures(finding, ask, &groups);
}

fn libraries(number: u64) -> String {
    if number == 1 { "1 library".into() } else { format!("{} libraries", digits(number)) }
}

fn cures(finding: &mut Finding, ask: &Ask<'_>, groups: &[&ContentGroup]) {
    let (target, running) = (ask.about.target(), ask.about.running());
    let expected_rss = Some(ask.rss().minus(finding.explains));
    // Addresses that lead into a library were put there by it, or by one that uses it.
    let library = groups.iter().find_map(|group| group.content.library.clone());
    let suspect = library.or_else(|| extension(ask)).unwrap_or_else(|| "the extension".into());
    finding.remedies.push(Remedy {
        action: format!("fix or upgrade {suspect}: it has to free what it takes"),
        expected_rss,
        note: "memory comes back only with a new process; until then restart it now and then"
            .into(),
        verify: format!(
            "memwhy malloc {running} --held-by, twice under load: the row nobody stays"
        ),
    });
    if let Some(group) = groups.first() {
        let probe = call_site(ask, group.sizes);
        finding.remedies.push(Remedy {
            action: format!("find the call that takes it: {}", probe.command),
            expected_rss: None,
            note: probe.instead,
            verify: format!("memwhy malloc {target} --held-by has the sizes of all that is lost"),
        });
    }
}

/// The extension that came with the program, if there is one only.
fn extension(ask: &Ask<'_>) -> Option<String> {
    let names = ask.mappings.iter().map(|mapping| mapping.name.as_str());
    let mut files: Vec<&str> = names
        .filter(|name| name.contains("-packages/") && name.contains(".so"))
        .map(|name| name.rsplit('/').next().unwrap_or(name))
        .collect();
    files.sort_unstable();
    files.dedup();
    match files.as_slice() {
        [one] => Some((*one).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Hypothesis, NativeLeak};
    use crate::{Ask, Finding, Standing};
    use memwhy_model::{
        Bytes, Case, Content, ContentGroup, ContentKind, HolderKind, Holding, MallocFacts,
        NativeMemory, Owner, Pause, Tally,
    };

    fn case(mib: u64) -> Case {
        let lost = Tally { chunks: 20_000, bytes: Bytes::mib(mib) };
        let content = Content {
            kind: ContentKind::Table,
            symbol: Some("vtable for Widget+16".into()),
            library: Some("libwidget.so".into()),
            text: None,
        };
        let native = NativeMemory {
            searched: Bytes::mib(300),
            threads: (4, 4),
            libraries: 60,
            holders: vec![Holding { kind: HolderKind::Nobody, direct: lost, ..Holding::default() }],
            contents: vec![ContentGroup {
                class: 4096,
                sizes: (4112, 4112),
                content,
                all: lost,
                ..ContentGroup::default()
            }],
            ..NativeMemory::default()
        };
        let malloc = MallocFacts { walked: true, ..MallocFacts::default() };
        let mut case =
            Case { native_memory: Some(native), malloc: Some(malloc), ..Case::default() };
        case.about.moment.pause = Pause::Stop;
        case.accounting = case
            .accounting
            .with(Owner::MallocNative, Bytes::mib(mib + 5))
            .with(Owner::FileClean, Bytes::mib(100 - mib));
        case
    }

    fn judge(case: &Case) -> Finding {
        NativeLeak.judge(&Ask::new(case))
    }

    #[test]
    fn lost_memory_is_told_by_size_and_content_with_the_next_step() {
        let finding = judge(&case(80));
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(80)));
        assert!(finding.summary.contains("20,000 chunks"), "{}", finding.summary);
        assert!(finding.summary.contains("vtable for Widget"), "{}", finding.summary);
        assert!(finding.remedies[0].action.contains("libwidget.so"));
        let probe = &finding.remedies[1].action;
        assert!(probe.contains("arg0 >= 4089 && arg0 <= 4104"), "{probe}");
    }

    #[test]
    fn little_is_ruled_out_with_its_number() {
        let finding = judge(&case(1));
        assert_eq!(finding.standing, Standing::Refuted);
        assert!(finding.summary.ends_with("1.0 MiB (1%)"), "{}", finding.summary);
    }

    #[test]
    fn what_could_not_be_read_may_have_the_addresses() {
        let mut case = case(80);
        if let Some(native) = &mut case.native_memory {
            native.unread = Bytes::mib(40);
        }
        assert!(matches!(judge(&case).standing, Standing::Undecided(_)));
        let mut unwalked = self::case(80);
        unwalked.malloc = None;
        assert!(matches!(judge(&unwalked).standing, Standing::Undecided(_)));
    }
}
