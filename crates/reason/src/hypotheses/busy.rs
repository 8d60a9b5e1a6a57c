//! Hypothesis: the process is at work, and its memory is that of the work.
//!
//! The complaint: memory is up, and nothing seems wrong with it.
//!
//! *Speaks for it:* threads on a CPU, or in the collector. *Speaks against it:* all of them wait.
//! It explains no bytes by itself, so any cause that does goes before it.

use super::Hypothesis;
use crate::{Ask, Finding, Standing, wording};
use memwhy_model::{ThreadFacts, ThreadState, Trust};

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
                .undecided("threads were not seen", memwhy_model::Bytes(0));
        }
        let at_work: Vec<&ThreadFacts> = ask.threads.iter().filter(|t| works(t)).collect();
        let summary = format!("{} of {} on a CPU", at_work.len(), wording::count(all, "thread"));
        let mut finding = Finding::refuted(self.id(), summary);
        if at_work.is_empty() {
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
                format!("thread {} ({}) is {doing}{gc}", thread.tid, thread.name),
                format!("memwhy stacks {}", ask.about.pid),
            );
        }
        finding
    }
}

fn works(thread: &ThreadFacts) -> bool {
    match thread.state {
        ThreadState::Running | ThreadState::Gc => true,
        ThreadState::Idle | ThreadState::WaitingGil => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Busy, Hypothesis};
    use crate::{Ask, Finding, Standing};
    use memwhy_model::{Bytes, Case, ThreadFacts, ThreadState};

    fn judge(states: &[ThreadState]) -> Finding {
        let thread = |state: &ThreadState| ThreadFacts { state: *state, ..ThreadFacts::default() };
        let case = Case { threads: states.iter().map(thread).collect(), ..Case::default() };
        Busy.judge(&Ask::new(&case))
    }

    #[test]
    fn a_thread_on_a_cpu_is_work_but_explains_no_bytes() {
        let finding = judge(&[ThreadState::Idle, ThreadState::Running]);
        assert_eq!((finding.standing, finding.explains), (Standing::Holds, Bytes(0)));
        assert_eq!(finding.summary, "1 of 2 threads on a CPU");
    }

    #[test]
    fn waiting_is_not_work() {
        let finding = judge(&[ThreadState::Idle, ThreadState::WaitingGil]);
        assert_eq!(finding.standing, Standing::Refuted);
    }
}
