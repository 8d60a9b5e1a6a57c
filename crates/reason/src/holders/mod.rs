//! Who typically holds memory, and is it one of those?
//!
//! A rule knows one way in which programs hold on to what they do not need any more: how it looks
//! from outside, what to say about it, and what to do. It names the line of source that can be
//! known: of the function whose results are kept, of the class, of the coroutine that waits. A new
//! rule is one file and one line in [`RULES`].

mod at_exit;
mod callbacks;
mod container;
mod coroutines;
mod dead_threads;
mod duplicate_strings;
mod dynamic_classes;
mod finalize;
mod logging;
mod lru_cache;
mod orm_session;
mod oversized;
mod queue;
mod scene;
#[cfg(test)]
mod stage;
mod stored_traceback;
mod tasks;
mod thread_locals;
mod views;

pub use scene::Scene;

use crate::{Analysis, Ask, Evidence, Finding, Holder, Remedy};
use memwhy_model::{Bytes, Trust};

/// Whoever holds less is not the reason why a process is big.
pub const LEAST: Bytes = Bytes::mib(4);
/// Nor who holds less of all data.
const LEAST_SHARE: f64 = 0.15;

/// Knows one way of holding memory.
pub trait Rule: Sync {
    /// Its id, for programs.
    fn id(&self) -> &'static str;
    /// The holders of its way that hold much.
    fn find(&self, scene: &Scene<'_>) -> Vec<Known>;
}

/// Every rule; [`container`] is what remains where no other one knows more.
const RULES: [&dyn Rule; 17] = [
    &lru_cache::LruCache,
    &logging::Logging,
    &stored_traceback::StoredTraceback,
    &finalize::Finalize,
    &at_exit::AtExit,
    &tasks::Tasks,
    &coroutines::Coroutines,
    &queue::Queue,
    &dead_threads::DeadThreads,
    &thread_locals::ThreadLocals,
    &orm_session::OrmSession,
    &dynamic_classes::DynamicClasses,
    &duplicate_strings::DuplicateStrings,
    &oversized::Oversized,
    &views::Views,
    &callbacks::Callbacks,
    &container::Container,
];

/// A holder that a rule knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The rule.
    pub rule: &'static str,
    /// What is held by whom, as a sentence without its first word in capitals.
    pub sentence: String,
    /// What to do.
    pub cure: String,
    /// The holder, with the line of source to look at.
    pub holder: Holder,
}

/// A holder of less than this share of the largest one is not told beside it.
const NEWS: f64 = 0.1;

/// Sentences about holders in one finding.
const TOLD: usize = 2;

/// Puts what rules know before what is known of any holder.
pub fn tell(finding: &mut Finding, ask: &Ask<'_>) {
    let known = ask.get::<KnownHolders>();
    if known.is_empty() {
        return;
    }
    let (rss, target) = (ask.rss(), ask.about.target());
    let trust = ask.about.python.as_ref().map_or(Trust::Heuristic, |python| python.layout);
    // The types of objects stay; who holds them is known better now.
    finding.evidence.truncate(1);
    finding.remedies.clear();
    finding.holders.retain(|holder| is_news(holder, &known));
    for (at, known) in known.iter().take(TOLD).enumerate() {
        let evidence = Evidence {
            saw: known.sentence.clone(),
            check: format!("memwhy paths {target} {}", known.holder.object),
            trust,
        };
        finding.evidence.insert(at, evidence);
        finding.remedies.push(Remedy {
            action: known.cure.clone(),
            expected_rss: Some(rss.minus(known.holder.bytes)),
            note: "at best: freed pages may be kept by the allocators".into(),
            verify: format!(
                "memwhy {}, twice under the same load: it does not grow",
                ask.about.running()
            ),
        });
    }
    finding.holders.splice(0..0, known.iter().map(|known| known.holder.clone()));
}

/// Whether a holder is none of those that are known, no part of one, and not small beside them.
fn is_news(holder: &Holder, known: &[Known]) -> bool {
    let part_of = |whole: &Holder| match (&holder.path, &whole.path) {
        (Some(path), Some(whole)) => path.starts_with(whole.as_str()),
        (Some(_) | None, Some(_) | None) => false,
    };
    let told = known.iter().map(|known| &known.holder);
    let most = told.clone().map(|told| told.bytes).max().unwrap_or_default();
    holder.bytes.share_of(most) >= NEWS
        && !told.clone().any(|told| told.object == holder.object || part_of(told))
}

/// What classes take that a program makes while it runs.
#[must_use]
pub fn made_classes(ask: &Ask<'_>) -> Bytes {
    let known = ask.get::<KnownHolders>();
    let classes = known.iter().filter(|known| known.rule == dynamic_classes::DynamicClasses.id());
    classes.map(|known| known.holder.bytes).sum()
}

/// See the [module](self).
#[derive(Debug)]
pub struct KnownHolders;

impl Analysis for KnownHolders {
    /// Most telling first: what a special rule knows before what a container does.
    type Answer = Vec<Known>;
    const NAME: &'static str = "known holders";

    fn compute(ask: &Ask<'_>) -> Vec<Known> {
        let Some(scene) = Scene::new(ask) else { return Vec::new() };
        let mut found: Vec<Known> = Vec::new();
        for rule in RULES {
            let mut new = rule.find(&scene);
            new.retain(|known| scene.much(known.holder.bytes));
            // The container that holds what another rule has explained is no news.
            if rule.id() == container::Container.id() && !found.is_empty() {
                new.clear();
            }
            found.append(&mut new);
        }
        found.sort_by_key(|known| std::cmp::Reverse(known.holder.bytes));
        found
    }
}
