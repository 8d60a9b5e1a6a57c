//! `memwhy tasks TARGET`: which asyncio tasks and greenlets are there, and where does each wait?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::{Place, Target};
use clap::Args;
use memwhy_model::Case;
use memwhy_reason::analyses::{Sameness, Stayed};
use memwhy_report::text::TasksShown;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Tasks {
    #[command(flatten)]
    target: Target,
    /// List each task, also those that wait at the same place
    #[arg(long)]
    all: bool,
    /// Say which tasks are where they were then: an earlier snapshot's folder or core of the process
    #[arg(long, value_name = "EARLIER", value_parser = Place::parse)]
    since: Option<Place>,
}

impl Tasks {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let earlier = self.since.as_ref().map(|place| self.earlier(place)).transpose()?;
        let (case, failure) = self.target.observe_objects()?;
        let stayed = earlier.map(|earlier| Stayed::between(&earlier, &case)).transpose();
        let stayed = stayed.map_err(|same| {
            let other = match same {
                Sameness::Same | Sameness::Restarted => "an earlier run of the program",
                Sameness::Other => "another program",
            };
            Failure::Usage(format!("--since: that is of {other}, not of this process"))
        })?;
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::tasks(&case, stayed.as_ref()));
        } else {
            let shown = if self.all { TasksShown::All } else { TasksShown::ByPlace };
            let style = self.target.style();
            out.text(&memwhy_report::text::tasks(&case, shown, stayed.as_ref(), style));
        }
        done(out, failure)
    }

    /// The moment to compare with.
    fn earlier(&self, place: &Place) -> Result<Case, Failure> {
        if matches!(place, Place::Process(_)) {
            let what = "--since: a snapshot or a core of an earlier moment is meant, not a process";
            return Err(Failure::Usage(what.into()));
        }
        match self.target.observe_plain_at(place)? {
            (case, None) => Ok(case),
            (_, Some(failure)) => Err(failure),
        }
    }
}
