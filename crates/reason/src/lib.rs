//! Why is this process as big as it is, given everything observed about it?
//!
//! Use the `memwhy` crate, not this one: it re-exports what a caller needs.
//!
//! Pure functions: the same [`Case`] always gives the same [`Verdict`]. In reading order:
//!
//! * [`Ask`]: a case, with each [`Analysis`] computed once and on demand;
//! * [`analyses`]: what can be derived without judging (shares, reachability, kinds of retention);
//! * [`Finding`]: what one hypothesis says, with evidence that a reader can check;
//! * [`hypotheses`]: one file each, listed in [`HYPOTHESES`];
//! * [`Verdict`]: the findings ranked, and how sure we are.
#![forbid(unsafe_code)]

pub mod analyses;
pub mod ask;
pub mod closeup;
pub mod expression;
pub mod family;
pub mod finding;
pub mod groups;
pub mod holders;
pub mod hypotheses;
pub mod lock_words;
pub mod paths;
pub mod picture;
pub mod probe;
pub mod trials;
pub mod verdict;
pub mod ways;
pub mod wording;

pub use analyses::Analysis;
pub use ask::Ask;
pub use closeup::{Closeup, Related, closeup};
pub use expression::{Meant, meant};
pub use finding::{Confidence, Evidence, Finding, Hold, Holder, Remedy, Standing};
pub use groups::{Group, GroupBy, Groups, Selection};
pub use hypotheses::{HYPOTHESES, Hypothesis};
pub use paths::{Path, Paths};
pub use verdict::Verdict;
pub use ways::{Wanted, Way, Ways, ways};

use memwhy_model::{Bytes, Case};

/// Below this share of RSS a cause is not worth a verdict: an allocator keeps, an interpreter
/// caches, and both do so in processes that nobody complains about.
pub const NOTEWORTHY_SHARE: f64 = 0.15;

/// Below this a cause is not worth a verdict either, whatever its share: an interpreter that does
/// nothing has an RSS of about 10 MiB, and nobody is paged for less than that.
pub const NOTEWORTHY_BYTES: Bytes = Bytes::mib(8);

/// Whether `part` of an RSS of `rss` is enough to be a cause.
#[must_use]
pub fn noteworthy(part: Bytes, rss: Bytes) -> bool {
    part >= NOTEWORTHY_BYTES && part.share_of(rss) >= NOTEWORTHY_SHARE
}

/// Judges every hypothesis and ranks what they say.
#[must_use]
pub fn explain(case: &Case) -> Verdict {
    Verdict::of(&Ask::new(case))
}
