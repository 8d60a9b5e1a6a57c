//! `memwhy malloc PID`: what do malloc and pymalloc keep, and what would a trim return?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::Target;
use clap::Args;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Malloc {
    #[command(flatten)]
    target: Target,
}

impl Malloc {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe()?;
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::malloc(&case));
        } else {
            out.text(&memwhy_report::text::malloc(&case, self.target.style()));
        }
        done(out, failure)
    }
}
