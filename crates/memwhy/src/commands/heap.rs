//! `memwhy heap TARGET`: what are the objects, and who keeps them?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::Target;
use clap::{Args, ValueEnum};
use memwhy_reason::analyses::By;
use memwhy_reason::{Ask, GroupBy, Selection};
use memwhy_report::HeapView;
use std::path::PathBuf;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Heap {
    #[command(flatten)]
    target: Target,
    /// What objects are grouped by
    #[arg(long, value_enum, default_value_t = Grouping::Type)]
    by: Grouping,
    /// Say what would be freed with each row, and put the most first
    #[arg(long)]
    retained: bool,
    /// How many rows to list
    #[arg(long, value_name = "N", default_value_t = 25)]
    top: usize,
    /// What to sort by
    #[arg(long, value_enum, default_value_t = Sort::Footprint)]
    sort: Sort,
    /// Only objects of this type
    #[arg(long = "type", value_name = "TYPE")]
    of_type: Option<String>,
    /// Only the objects of one row of another grouping: owner=app.cache.LAST, module=app.models
    #[arg(long = "in", value_name = "GROUPING=ROW", value_parser = row)]
    row: Option<(GroupBy, String)>,
    /// Only what is more than in this snapshot, row by row
    #[arg(long, value_name = "SNAPSHOT")]
    rel: Option<PathBuf>,
}

/// What objects can be grouped by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Grouping {
    /// Their type
    Type,
    /// The module that defines the type
    Module,
    /// What one of them takes
    Size,
    /// The generation of the collector
    Generation,
    /// The kinds of objects that refer to them
    Referrer,
    /// The name that alone leads to them
    Owner,
    /// The type of the object that alone keeps them
    Dominator,
}

impl Grouping {
    const fn of(self) -> GroupBy {
        match self {
            Self::Type => GroupBy::Type,
            Self::Module => GroupBy::Module,
            Self::Size => GroupBy::Size,
            Self::Generation => GroupBy::Generation,
            Self::Referrer => GroupBy::Referrer,
            Self::Owner => GroupBy::Owner,
            Self::Dominator => GroupBy::Dominator,
        }
    }
}

/// Parses `owner=app.cache.LAST`.
fn row(text: &str) -> Result<(GroupBy, String), String> {
    let unclear = "a row is written GROUPING=ROW: owner=app.cache.LAST";
    let (by, key) = text.split_once('=').ok_or(unclear)?;
    let by = Grouping::from_str(by, false).map_err(|_| unclear)?;
    Ok((by.of(), key.to_owned()))
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
        let (case, failure) = self.target.observe_objects()?;
        out.redirect(&self.target);
        let by = match self.sort {
            Sort::Count => By::Count,
            Sort::Bytes => By::Bytes,
            Sort::Footprint => By::Footprint,
        };
        let selection = Selection {
            by: self.by.of(),
            of_type: self.of_type,
            row: self.row,
            retained: self.retained,
            relative: false,
        };
        let ask = Ask::new(&case);
        let mut view =
            HeapView::new(&ask, selection, by, self.top).map_err(|what| Failure::Other {
                what,
                advice: "without --type and --in all rows are listed, with their names".into(),
            })?;
        if let Some(path) = &self.rel {
            let base = crate::open_snapshot(path)?;
            view = view.since(&Ask::new(&base)).map_err(|what| Failure::Other {
                what: format!("{}: {what}", path.display()),
                advice: "take the base with memwhy snap".into(),
            })?;
        }
        if self.target.json {
            out.json(&memwhy_report::json::heap(&case, &view));
        } else {
            out.text(&memwhy_report::text::heap(&case, &view, self.target.style()));
        }
        done(out, failure)
    }
}
