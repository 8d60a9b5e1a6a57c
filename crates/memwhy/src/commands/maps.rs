//! `memwhy maps PID`: which mapping is whose, and do they add up to RSS?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::Target;
use clap::Args;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Maps {
    #[command(flatten)]
    target: Target,
    /// List only the mappings with most resident memory
    #[arg(long, value_name = "N")]
    top: Option<usize>,
}

impl Maps {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_plain()?;
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::maps(&case));
        } else {
            out.text(&memwhy_report::text::maps(&case, self.top, self.target.style()));
        }
        done(out, failure)
    }
}
