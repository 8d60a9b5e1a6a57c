//! `memwhy refs TARGET OBJECT -o FILE`: the picture of what refers to what.

use super::failure::Failure;
use super::object::find;
use super::output::{Out, done};
use super::target::Target;
use clap::Args;
use memwhy_reason::Ask;
use memwhy_reason::picture::{Direction, picture};
use memwhy_report::picture::{dot, png, svg};

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Refs {
    #[command(flatten)]
    target: Target,
    /// An address, an expression (`app.cache.LAST['body'][3]`), or a type: then the largest of
    /// its objects
    #[arg(value_name = "OBJECT")]
    object: String,
    /// Draw what refers to the object, not what it refers to
    #[arg(long)]
    back: bool,
    /// How many steps away from the object
    #[arg(long, value_name = "N", default_value_t = 3)]
    depth: usize,
}

impl Refs {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_objects()?;
        out.redirect(&self.target);
        let ask = Ask::new(&case);
        let meant = find(&ask, &self.object)?;
        let largest = |heap: &memwhy_model::HeapGraph| {
            meant.objects().iter().copied().max_by_key(|id| heap.footprint(*id))
        };
        let Some(object) = case.heap.as_ref().and_then(largest) else {
            return done(out, failure);
        };
        let direction = if self.back { Direction::Back } else { Direction::Forward };
        let picture = picture(&ask, object, direction, self.depth);
        let extension = self.target.output.as_ref().and_then(|path| path.extension());
        match extension.and_then(|extension| extension.to_str()) {
            Some("svg") => out.text(&svg(&picture)),
            Some("png") => out.bytes(&png(&picture).map_err(|what| Failure::Other {
                what,
                advice: "write SVG, or fewer steps with --depth".into(),
            })?),
            Some("dot" | "gv") => out.text(&dot(&picture)),
            _ if self.target.json => out.json(&memwhy_report::json::refs(&case, &picture)),
            Some(_) | None => {
                return Err(Failure::Other {
                    what: "a picture needs a file whose name ends in .svg, .png or .dot".into(),
                    advice: "-o refs.svg, or --json".into(),
                });
            }
        }
        done(out, failure)
    }
}
