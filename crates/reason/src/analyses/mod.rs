//! What can be derived from a case without judging it?

pub mod accounting;
pub mod components;
pub mod cycle_text;
pub mod dominators;
pub mod elsewhere;
pub mod garbage;
pub mod group_charges;
pub mod growth;
pub mod histogram;
pub mod holders;
pub mod immortal;
pub mod interned;
pub mod keepers;
pub mod kept;
pub mod kept_growth;
pub mod locks;
pub mod mapped_files;
pub mod native_growth;
pub mod origin;
pub mod program;
pub mod reachability;
pub mod referrers;
pub mod retained;
pub mod retention;
pub mod smaps_view;
pub mod stayed;
pub mod trend;

pub use accounting::{OwnerShare, Shares};
pub use components::components;
pub use dominators::Dominators;
pub use elsewhere::Elsewhere;
pub use garbage::{Cycles, Garbage, Leak, Unfreed};
pub use group_charges::GroupCharges;
pub use growth::{Change, Grown, Growth, Sameness};
pub use histogram::{By, Histogram, TypeShare, Types};
pub use holders::{HeldBy, Holders};
pub use immortal::{Immortal, Undying};
pub use interned::{Interned, InternedStrings};
pub use keepers::Keepers;
pub use kept::{Kept, KeptClass, KeptGarbage};
pub use kept_growth::KeptGrowth;
pub use locks::{Knot, KnotKind, Locks, Standstill, Step};
pub use mapped_files::{FileShare, Files, MappedFiles};
pub use native_growth::{NativeGrowth, NativeRow};
pub use origin::{Origin, Origins};
pub use program::{Program, ProgramText};
pub use reachability::{Reachability, Reached};
pub use referrers::{ReferredBy, Referrers};
pub use retained::{KeptAlive, RetainedSizes};
pub use retention::{Class, Retained, Retention};
pub use smaps_view::{SmapsTotals, SmapsView};
pub use stayed::Stayed;

use crate::Ask;

/// Something derived from a case, computed once per [`Ask`].
pub trait Analysis: 'static {
    /// What it answers.
    type Answer: 'static;
    /// Its name in timings.
    const NAME: &'static str;
    /// Computes the answer; it may ask for other analyses, never for itself.
    fn compute(ask: &Ask<'_>) -> Self::Answer;
}
