//! `memwhy show TARGET OBJECT`: what is this one object, what holds it, what does it hold?

use super::failure::Failure;
use super::object::find;
use super::output::{Out, done};
use super::target::Target;
use clap::Args;
use memwhy_reason::{Ask, Meant, closeup};

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    target: Target,
    /// An address, or an expression (`app.cache.LAST['body'][3]`); of a type, the largest of its
    /// objects
    #[arg(value_name = "OBJECT")]
    object: String,
    /// How many references to list, each way
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
}

impl Show {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_objects()?;
        out.redirect(&self.target);
        let ask = Ask::new(&case);
        let meant = find(&ask, &self.object)?;
        let largest = || {
            let heap = case.heap.as_ref()?;
            meant.objects().iter().copied().max_by_key(|id| heap.footprint(*id))
        };
        let object = match &meant {
            Meant::Object(object) => Some(*object),
            Meant::OfType(..) => largest(),
        };
        if let Some(object) = object {
            let closeup = closeup(&ask, object, self.top);
            if self.target.json {
                out.json(&memwhy_report::json::show(&case, &closeup));
            } else {
                out.text(&memwhy_report::text::show(&case, &closeup, self.target.style()));
            }
        }
        done(out, failure)
    }
}
