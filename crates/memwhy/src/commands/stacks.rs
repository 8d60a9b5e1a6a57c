//! `memwhy stacks PID`: what is every thread doing?

use super::Target;
use super::common::{Failure, Out, done};
use clap::Args;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Stacks {
    #[command(flatten)]
    target: Target,
}

impl Stacks {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_python()?;
        out.redirect(&self.target);
        if self.target.json {
            out.text(&memwhy_report::json::text(&memwhy_report::json::stacks(&case)));
        } else {
            out.text(&memwhy_report::text::stacks(&case, self.target.style()));
        }
        done(out, failure)
    }
}
