//! `memwhy heap PID`: which types have how many objects, and how big are they?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::Target;
use clap::{Args, ValueEnum};
use memwhy_reason::analyses::By;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Heap {
    #[command(flatten)]
    target: Target,
    /// How many types to list
    #[arg(long, value_name = "N", default_value_t = 25)]
    top: usize,
    /// What to sort by
    #[arg(long, value_enum, default_value_t = Sort::Footprint)]
    sort: Sort,
}

/// The columns that can be sorted by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    /// Number of objects
    Count,
    /// Shallow size, as sys.getsizeof states it
    Bytes,
    /// Memory taken, with buffers and rounding
    Footprint,
}

impl Heap {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_python()?;
        out.redirect(&self.target);
        let by = match self.sort {
            Sort::Count => By::Count,
            Sort::Bytes => By::Bytes,
            Sort::Footprint => By::Footprint,
        };
        if self.target.json {
            out.json(&memwhy_report::json::heap(&case, by, self.top));
        } else {
            out.text(&memwhy_report::text::heap(&case, by, self.top, self.target.style()));
        }
        done(out, failure)
    }
}
