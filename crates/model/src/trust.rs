//! How do we know a fact?

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a fact is known, weakest first. Every number shown carries one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// From the layout of an older release, for a release that nobody has checked.
    Extrapolated,
    /// From a rule that has been right in every test but proves nothing by itself.
    Heuristic,
    /// From memwhy's tables, which tests compare with the debug information of each release.
    #[default]
    Table,
    /// The target says so itself: its own counters, its own debug offsets, the kernel.
    Target,
}

impl Trust {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Extrapolated => "extrapolated",
            Self::Heuristic => "heuristic",
            Self::Table => "table",
            Self::Target => "target",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}
