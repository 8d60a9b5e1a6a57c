//! `memwhy paths TARGET OBJECT`: why is it alive?

use super::failure::Failure;
use super::object::find;
use super::output::{Out, done};
use super::target::Target;
use clap::Args;
use memwhy_reason::{Ask, Wanted, ways};

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Paths {
    #[command(flatten)]
    target: Target,
    /// An address, an expression (`app.cache.LAST['body'][3]`), or a type: then all its objects
    #[arg(value_name = "OBJECT")]
    object: String,
    /// Where paths begin: `roots`, or another object, to see how that one leads there
    #[arg(long, value_name = "roots|OBJECT", default_value = "roots")]
    to: String,
    /// Of one object show a path through everything that refers to it
    #[arg(long)]
    all: bool,
    /// How many paths to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
}

impl Paths {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_objects()?;
        out.redirect(&self.target);
        let ask = Ask::new(&case);
        let meant = find(&ask, &self.object)?;
        let from = match self.to.as_str() {
            "roots" => None,
            other => find(&ask, other)?.objects().first().copied(),
        };
        let ways = ways(&ask, &meant, &Wanted { from, all: self.all, top: self.top });
        if self.target.json {
            out.json(&memwhy_report::json::paths(&case, &ways));
        } else {
            out.text(&memwhy_report::text::paths(&case, &ways, self.target.style()));
        }
        done(out, failure)
    }
}
