//! `memwhy tasks TARGET`: which asyncio tasks and greenlets are there, and where does each wait?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::Target;
use clap::Args;
use memwhy_report::text::TasksShown;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Tasks {
    #[command(flatten)]
    target: Target,
    /// List each task, also those that wait at the same place
    #[arg(long)]
    all: bool,
}

impl Tasks {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_objects()?;
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::tasks(&case));
        } else {
            let shown = if self.all { TasksShown::All } else { TasksShown::ByPlace };
            out.text(&memwhy_report::text::tasks(&case, shown, self.target.style()));
        }
        done(out, failure)
    }
}
