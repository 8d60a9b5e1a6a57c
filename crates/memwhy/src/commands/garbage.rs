//! `memwhy garbage TARGET`: what has the collector not freed, and why?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::Target;
use clap::Args;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Garbage {
    #[command(flatten)]
    target: Target,
    /// How many kinds of cycles, classes and types to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
}

impl Garbage {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_objects()?;
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::garbage(&case, self.top));
        } else {
            out.text(&memwhy_report::text::garbage(&case, self.top, self.target.style()));
        }
        done(out, failure)
    }
}
