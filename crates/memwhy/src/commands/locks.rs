//! `memwhy locks TARGET`: who waits for which lock, and who has it?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::Target;
use clap::Args;
use memwhy_report::text::LocksShown;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Locks {
    #[command(flatten)]
    target: Target,
    /// List the locks, too, that nobody has or waits for
    #[arg(long)]
    all: bool,
}

impl Locks {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_plain()?;
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::locks(&case));
        } else {
            let shown = if self.all { LocksShown::All } else { LocksShown::Busy };
            out.text(&memwhy_report::text::locks(&case, shown, self.target.style()));
        }
        done(out, failure)
    }
}
