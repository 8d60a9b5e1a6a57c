//! Hypothesis: the process is at work, and its memory is that of the work.
//!
//! The complaint: memory is up, and nothing seems wrong with it.
//!
//! *Speaks for it:* threads on a CPU, or in the collector. *Speaks against it:* all of them wait.
//! It explains no bytes by itself, so any cause that does goes before it.

use super::Hypothesis;
use crate::{Ask, Finding, Standing, wording};
use memwhy_model::{Bytes, Place, ThreadFacts, ThreadState, Trust, Untold};

/// Together, threads that use less of a CPU than this wake up now and then and wait.
const AT_WORK: f64 = 0.5;
/// From this share of a CPU on one thread is at work.
const THREAD_AT_WORK: f64 = 0.1;
/// Places named of one thread.
const PLACES: usize = 3;

/// See the [module](self).
#[derive(Debug)]
pub struct Busy;

impl Hypothesis for Busy {
    fn id(&self) -> &'static str {
        "busy"
    }

    fn claim(&self) -> &'static str {
        "the process is at work, and its memory is that of the work"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let all = ask.threads.len() as u64;
        if all == 0 {
            return Finding::refuted(self.id(), "threads were not seen")
                .undecided("threads were not seen", Bytes(0));
        }
        if !ask.about.tells(Untold::CpuUse) {
            let what = "who used a CPU is not told by a core";
            return Finding::refuted(self.id(), what).undecided(what, Bytes(0));
        }
        let used: f64 = ask.threads.iter().map(|thread| thread.cpu_share).sum();
        let mut at_work: Vec<&ThreadFacts> = ask.threads.iter().filter(|t| works(t)).collect();
        at_work.sort_by(|a, b| b.cpu_share.total_cmp(&a.cpu_share));
        // A machine that is short of CPUs makes threads wait that would work.
        let waited: f64 = ask.threads.iter().map(|thread| thread.cpu_wait).sum();
        let short = if waited >= AT_WORK {
            format!(" and waiting {} of the time for one", percent(waited.min(1.0)))
        } else {
            String::new()
        };
        let summary = format!(
            "{} of {} at work, using {} of a CPU{short}",
            at_work.len(),
            wording::count(all, "thread"),
            percent(used)
        );
        let mut finding = Finding::refuted(self.id(), summary);
        if used + waited < AT_WORK {
            return finding;
        }
        finding.standing = Standing::Holds;
        for thread in at_work.iter().take(3) {
            finding.saw(
                Trust::Target,
                format!(
                    "thread {} ({}) used {} of a CPU while looked at for 50 ms, {}",
                    thread.tid,
                    thread.name,
                    percent(thread.cpu_share),
                    doing(thread)
                ),
                format!("memwhy stacks {} --thread {}", ask.about.target(), thread.tid),
            );
        }
        finding
    }
}

/// Where a thread at work was: as often as it was looked at, or when it was stopped.
fn doing(thread: &ThreadFacts) -> String {
    let gc = if thread.state == ThreadState::Gc { ", collecting garbage" } else { "" };
    let looks: u32 = thread.seen.iter().map(|(_, times)| times).sum();
    if looks > 0 {
        let places = thread.seen.iter().take(PLACES);
        let places: Vec<String> =
            places.map(|(place, times)| format!("{times} times {}", at(place))).collect();
        let looks = wording::count(looks.into(), "look");
        return format!("in {looks} (a hint, not a profile) {}{gc}", places.join(", "));
    }
    match thread.frames.first() {
        Some(frame) => {
            let (function, file) = (frame.function.clone(), frame.file.clone());
            format!("then was {}{gc}", at(&Place { function, file, line: frame.line }))
        }
        None => format!("then was outside of Python{gc}"),
    }
}

fn at(place: &Place) -> String {
    let Place { function, file, line } = place;
    match line {
        Some(line) => format!("in {function}() at {file}:{line}"),
        None => format!("in {function}() of {file}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// Whether a thread had enough of a CPU, or would have had, to be called at work. What it did when
/// it was stopped does not tell: threads that share the GIL wait for it most of the time.
fn works(thread: &ThreadFacts) -> bool {
    thread.state == ThreadState::Gc || thread.cpu_share + thread.cpu_wait >= THREAD_AT_WORK
}

#[cfg(test)]
mod tests {
    use super::{Busy, Hypothesis};
    use crate::{Ask, Finding, Standing};
    use memwhy_model::{Bytes, Case, Place, ThreadFacts, ThreadState};

    fn judge(shares: &[f64]) -> Finding {
        let thread = |share: &f64| ThreadFacts {
            state: if *share > 0.0 { ThreadState::Running } else { ThreadState::Idle },
            cpu_share: *share,
            ..ThreadFacts::default()
        };
        let case = Case { threads: shares.iter().map(thread).collect(), ..Case::default() };
        Busy.judge(&Ask::new(&case))
    }

    #[test]
    fn a_thread_on_a_cpu_is_work_but_explains_no_bytes() {
        let finding = judge(&[0.0, 0.9]);
        assert_eq!((finding.standing, finding.explains), (Standing::Holds, Bytes(0)));
        assert_eq!(finding.summary, "1 of 2 threads at work, using 90% of a CPU");
    }

    #[test]
    fn threads_that_share_one_lock_are_work_together() {
        assert_eq!(judge(&[0.25; 4]).standing, Standing::Holds);
    }

    #[test]
    fn waiting_for_a_cpu_is_work_that_does_not_get_done() {
        let mut thread = ThreadFacts { state: ThreadState::Running, ..ThreadFacts::default() };
        (thread.cpu_share, thread.cpu_wait) = (0.13, 0.8);
        let case = Case { threads: vec![thread], ..Case::default() };
        let finding = Busy.judge(&Ask::new(&case));
        assert_eq!(finding.standing, Standing::Holds);
        assert!(finding.summary.ends_with("13% of a CPU and waiting 80% of the time for one"));
    }

    #[test]
    fn what_is_hot_is_told_by_a_few_looks_and_called_so() {
        let place = |line| Place { function: "spin".into(), file: "a.py".into(), line: Some(line) };
        let mut thread = ThreadFacts { cpu_share: 0.9, ..ThreadFacts::default() };
        thread.seen = vec![(place(3), 6), (place(4), 2)];
        let case = Case { threads: vec![thread], ..Case::default() };
        let finding = Busy.judge(&Ask::new(&case));
        let saw = &finding.evidence[0].saw;
        let told = "in 8 looks (a hint, not a profile) 6 times in spin() at a.py:3, 2 times in \
                    spin() at a.py:4";
        assert!(saw.ends_with(told), "{saw}");
    }

    #[test]
    fn waking_up_now_and_then_is_not_work() {
        assert_eq!(judge(&[0.02, 0.03, 0.0]).standing, Standing::Refuted);
    }
}
