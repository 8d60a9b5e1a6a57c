//! `memwhy heap PID`: which types have how many objects, and how big are they?

use super::Target;
use super::common::{Failure, Out, done};
use clap::Args;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Heap {
    #[command(flatten)]
    target: Target,
    /// How many types to list
    #[arg(long, value_name = "N", default_value_t = 25)]
    top: usize,
}

impl Heap {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_python()?;
        out.redirect(&self.target);
        if self.target.json {
            out.text(&memwhy_report::json::text(&memwhy_report::json::heap(&case, self.top)));
        } else {
            out.text(&memwhy_report::text::heap(&case, self.top, self.target.style()));
        }
        done(out, failure)
    }
}
