//! `memwhy diff BEFORE AFTER`: what has grown between two moments?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::{Place, Target};
use clap::Args;
use memwhy_reason::Hold;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The earlier moment: a snapshot's folder or a core file
    #[arg(value_name = "BEFORE", value_parser = Place::parse)]
    before: Place,
    #[command(flatten)]
    after: Target,
    /// How many types to list
    #[arg(long, value_name = "N", default_value_t = 15)]
    top: usize,
    /// Compare names by what they alone keep, not by what is reachable from them
    #[arg(long)]
    retained: bool,
}

impl Diff {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (before, failure) = self.after.observe_at(&self.before)?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        let (after, failure) = self.after.observe()?;
        out.redirect(&self.after);
        let held = if self.retained { Hold::Retains } else { Hold::Reaches };
        if self.after.json {
            out.json(&memwhy_report::json::diff(&before, &after, held));
        } else {
            let style = self.after.style();
            out.text(&memwhy_report::text::diff(&before, &after, self.top, held, style));
        }
        done(out, failure)
    }
}
