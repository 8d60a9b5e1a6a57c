//! `memwhy PID`: what is the memory, which cause holds, what to do?

use super::EXIT_CAUSE_HOLDS;
use super::failure::Failure;
use super::output::{Out, done};
use super::target::{Place, Target};
use crate::Verdict;
use clap::Args;
use memwhy_reason::family::{Family, Member};
use memwhy_target::live::relatives::Relatives;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    target: Target,
    /// Exit with 10 when one of these causes holds (ids as in the JSON), for scripts
    #[arg(long, value_name = "CAUSE", value_delimiter = ',', value_parser = cause)]
    fail_on: Vec<String>,
    /// Explain also every process that it and its children started: one table, pages counted once
    #[arg(long)]
    children: bool,
}

impl Explain {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        if self.children {
            return self.run_family(out);
        }
        let (case, failure) = self.target.observe_python()?;
        let verdict = crate::explain(&case);
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::report(&case, &verdict));
        } else {
            out.text(&memwhy_report::text::explain(&case, &verdict, self.target.style()));
        }
        if self.asked_for(&verdict) {
            out.flush()?;
            return Ok(EXIT_CAUSE_HOLDS);
        }
        done(out, failure)
    }

    /// Whether a cause holds that `--fail-on` names.
    fn asked_for(&self, verdict: &Verdict) -> bool {
        let mut holds = verdict.findings.iter().filter(|finding| finding.holds());
        holds.any(|finding| self.fail_on.iter().any(|cause| cause == finding.cause))
    }

    /// Explains a process and those below it, one after the other.
    fn run_family(&self, out: &mut Out) -> Result<u8, Failure> {
        let Place::Process(root) = self.target.place else {
            return Err(Failure::Other {
                what: format!("{} has no children to look at", self.target.place),
                advice: "--children needs a process that runs".into(),
            });
        };
        let mut family = Family::default();
        let mut fails = false;
        let relatives = Relatives::look();
        for pid in relatives.family(root) {
            match self.target.observe_at(&Place::Process(pid)) {
                Ok((case, _)) => {
                    let verdict = crate::explain(&case);
                    fails |= self.asked_for(&verdict);
                    let parent = relatives.parent(pid).unwrap_or(0);
                    family.members.push(Member::of(&case, &verdict, parent));
                }
                // A worker may end at any time; the one that was asked for may not.
                Err(failure) if pid == root => return Err(failure),
                Err(failure) => family.unread.push((pid, failure.to_string())),
            }
        }
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::family(&family));
        } else {
            out.text(&memwhy_report::text::family(&family, self.target.style()));
        }
        if fails {
            out.flush()?;
            return Ok(EXIT_CAUSE_HOLDS);
        }
        done(out, None)
    }
}

/// Accepts the causes that this release judges.
fn cause(text: &str) -> Result<String, String> {
    let known: Vec<&str> = memwhy_reason::HYPOTHESES.iter().map(|h| h.id()).collect();
    if known.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("causes are: {}", known.join(", ")))
}
