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
    /// Show who keeps each chunk in use: objects by type, libraries, or nobody
    #[arg(long)]
    held_by: bool,
    /// How many rows to list with --held-by
    #[arg(long, value_name = "N", default_value_t = 20, requires = "held_by")]
    top: usize,
}

impl Malloc {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let whole = self.held_by || self.target.json;
        let (case, failure) =
            if whole { self.target.observe()? } else { self.target.observe_plain()? };
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::malloc(&case));
        } else if self.held_by {
            out.text(&memwhy_report::text::held(&case, self.top, self.target.style()));
        } else {
            out.text(&memwhy_report::text::malloc(&case, self.target.style()));
        }
        done(out, failure)
    }
}
