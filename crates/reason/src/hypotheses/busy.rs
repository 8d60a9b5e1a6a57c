//! Hypothesis: the process is at work, and its memory is that of the work.
//!
//! The complaint: memory is up, and nothing seems wrong with it.
//!
//! *Speaks for it:* threads on a CPU, or in the collector. *Speaks against it:* all of them wait.
//! It explains no bytes by itself, so any cause that does goes before it.

use super::Hypothesis;
use crate::{Ask, Finding, Standing, wording};
use memwhy_model::{Bytes, ThreadFacts, ThreadState, Trust, Untold};

/// Together, threads that use less of a CPU than this wake up now and then and wait.
const AT_WORK: f64 = 0.5;

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
            let doing = match thread.frames.first() {
                Some(frame) => match frame.line {
                    Some(line) => format!("in {}() at {}:{line}", frame.function, frame.file),
                    None => format!("in {}() of {}", frame.function, frame.file),
                },
                None => "outside of Python".into(),
            };
            let gc = if thread.state == ThreadState::Gc { ", collecting garbage" } else { "" };
            finding.saw(
                Trust::Target,
                format!(
                    "thread {} ({}) used {} of a CPU while looked at for 50 ms, then was \
                     {doing}{gc}",
                    thread.tid,
                    thread.name,
                    percent(thread.cpu_share)
                ),
                format!("memwhy stacks {}", ask.about.target()),
            );
        }
        finding
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn works(thread: &ThreadFacts) -> bool {
    match thread.state {
        ThreadState::Running | ThreadState::Gc => true,
        ThreadState::Idle | ThreadState::WaitingGil | ThreadState::WaitingLock => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Busy, Hypothesis};
    use crate::{Ask, Finding, Standing};
    use memwhy_model::{Bytes, Case, ThreadFacts, ThreadState};

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
    fn waking_up_now_and_then_is_not_work() {
        assert_eq!(judge(&[0.02, 0.03, 0.0]).standing, Standing::Refuted);
    }
}
