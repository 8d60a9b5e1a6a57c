//! `memwhy PID`: what is the memory, which cause holds, what to do?

use super::EXIT_CAUSE_HOLDS;
use super::failure::Failure;
use super::output::{Out, done};
use super::target::Target;
use clap::Args;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    target: Target,
    /// Exit with 10 when one of these causes holds (ids as in the JSON), for scripts
    #[arg(long, value_name = "CAUSE", value_delimiter = ',', value_parser = cause)]
    fail_on: Vec<String>,
}

impl Explain {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_python()?;
        let verdict = crate::explain(&case);
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::report(&case, &verdict));
        } else {
            out.text(&memwhy_report::text::explain(&case, &verdict, self.target.style()));
        }
        let holds = verdict.findings.iter().filter(|finding| finding.holds());
        if holds.into_iter().any(|finding| self.fail_on.iter().any(|c| c == finding.cause)) {
            out.flush()?;
            return Ok(EXIT_CAUSE_HOLDS);
        }
        done(out, failure)
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
