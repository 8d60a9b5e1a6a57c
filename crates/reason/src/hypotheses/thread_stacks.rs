//! Hypothesis: the stacks of many threads are what makes the process big.
//!
//! The complaint: RSS follows the number of threads and never falls, though none of them has data.
//!
//! *Speaks for it:* resident memory of stacks makes up much of RSS. *Speaks against it:* it does
//! not, however much address space they reserve. A stack stays as large as its deepest call, and
//! glibc keeps stacks of threads that have ended for those to come (40 MiB of address space).

use super::Hypothesis;
use crate::wording::{amount, count, of_all};
use crate::{Ask, Finding, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, Owner, StackFacts, Trust};

/// Threads named.
const NAMED: usize = 3;

/// See the [module](self).
#[derive(Debug)]
pub struct ThreadStacks;

impl Hypothesis for ThreadStacks {
    fn id(&self) -> &'static str {
        "thread-stacks"
    }

    fn claim(&self) -> &'static str {
        "the stacks of threads are what makes the process big"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        let resident = ask.resident(Owner::StackNative);
        let threads = ask.threads.len() as u64;
        let summary = format!("stacks of {} {}", count(threads, "thread"), amount(resident, rss));
        let mut finding = Finding::refuted(self.id(), summary);
        finding.could_explain = resident;
        if ask.about.withheld.is_some() {
            return finding.undecided("whose stack is where was not read", Bytes(0));
        }
        if !noteworthy(resident, rss) {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = resident;
        finding.summary =
            format!("{} is the stacks of {}", of_all(resident, ask), count(threads, "thread"));
        tell(&mut finding, ask);
        finding.remedies = remedies(ask, resident);
        finding
    }
}

fn tell(finding: &mut Finding, ask: &Ask<'_>) {
    let pid = ask.about.target();
    let (ended, living): (Vec<&StackFacts>, Vec<&StackFacts>) =
        ask.thread_stacks.iter().partition(|stack| stack.tid == 0);
    let sum = |stacks: &[&StackFacts]| -> (Bytes, Bytes) {
        let of = |f: fn(&StackFacts) -> Bytes| stacks.iter().map(|stack| f(stack)).sum();
        (of(|stack| stack.resident), of(|stack| stack.reserved))
    };
    let (resident, reserved) = sum(&living);
    if let Some(middle) = living.get(living.len() / 2) {
        finding.saw(
            Trust::Target,
            format!(
                "{} take {resident} of the {reserved} that they reserve, half of them {} or more \
                 each: that deep a call was made on it once",
                count(living.len() as u64, "stack"),
                middle.resident
            ),
            format!("memwhy maps {pid}"),
        );
    }
    let named: Vec<String> = living
        .iter()
        .take(NAMED)
        .map(|stack| {
            let thread = ask.threads.iter().find(|thread| thread.tid == stack.tid);
            let name = thread.map_or("?", |thread| thread.name.as_str());
            format!("{name} ({}) {}", stack.tid, stack.resident)
        })
        .collect();
    if !named.is_empty() {
        finding.saw(
            Trust::Target,
            format!("largest: {}", named.join(", ")),
            format!("memwhy stacks {pid}"),
        );
    }
    if !ended.is_empty() {
        finding.saw(
            Trust::Heuristic,
            format!(
                "{} of threads that have ended are kept for new ones: {}",
                count(ended.len() as u64, "stack"),
                sum(&ended).0
            ),
            format!("memwhy maps {pid}"),
        );
    }
}

fn remedies(ask: &Ask<'_>, resident: Bytes) -> Vec<Remedy> {
    let idle: Bytes = ask
        .thread_stacks
        .iter()
        .filter(|stack| stack.tid != 0 && stack.tid != ask.about.pid)
        .map(|stack| stack.resident)
        .sum();
    let left = ask.rss().minus(if idle > Bytes(0) { idle } else { resident });
    let running = ask.about.running();
    vec![
        Remedy {
            action:
                "end threads that wait for work (a pool with fewer workers, a bounded executor)"
                    .into(),
            expected_rss: Some(left),
            note: "if all but the main thread end; glibc gives stacks back beyond 40 MiB of them"
                .into(),
            verify: format!("memwhy {running}: stacks"),
        },
        Remedy {
            action: "threading.stack_size(256 * 1024) before threads are made".into(),
            expected_rss: None,
            note: "bounds each stack; deep recursion then fails instead of growing it".into(),
            verify: format!("memwhy {running}: stacks"),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::{Hypothesis, ThreadStacks};
    use crate::{Ask, Finding, Standing};
    use memwhy_model::{Bytes, Case, Owner, StackFacts, ThreadFacts};

    fn judge(kib: u64) -> Finding {
        let stack = |tid| StackFacts { tid, reserved: Bytes::mib(8), resident: Bytes::kib(kib) };
        let thread =
            |tid| ThreadFacts { tid, name: format!("worker-{tid}"), ..ThreadFacts::default() };
        let mut case = Case {
            thread_stacks: (1..=100).map(stack).chain([stack(0)]).collect(),
            threads: (1..=100).map(thread).collect(),
            ..Case::default()
        };
        case.accounting = case
            .accounting
            .with(Owner::StackNative, Bytes::kib(kib * 101))
            .with(Owner::PythonObjects, Bytes::mib(20));
        ThreadStacks.judge(&Ask::new(&case))
    }

    #[test]
    fn many_deep_stacks_are_a_cause_with_names() {
        let finding = judge(1024);
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(101)));
        assert!(finding.evidence[1].saw.contains("worker-1 (1) 1.0 MiB"), "{finding:?}");
        assert!(finding.evidence[2].saw.starts_with("1 stack of threads that have ended"));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(21)));
    }

    #[test]
    fn many_threads_that_never_called_deep_are_none() {
        assert_eq!(judge(16).standing, Standing::Refuted);
    }
}
