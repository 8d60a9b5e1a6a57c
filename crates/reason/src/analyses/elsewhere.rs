//! How much of what looks like data is explained by what the kernel did with it?
//!
//! A page of zeroes in a huge page counts as part of the table that it is in, and what a fork
//! inherited as objects; neither is why the process has grown by its data.

use super::Analysis;
use crate::Ask;
use crate::hypotheses::{fork_cow, huge_pages};
use memwhy_model::Bytes;

/// See the [module](self).
#[derive(Debug)]
pub struct Elsewhere;

impl Analysis for Elsewhere {
    type Answer = Bytes;
    const NAME: &'static str = "elsewhere";

    fn compute(ask: &Ask<'_>) -> Bytes {
        huge_pages::explained(ask) + fork_cow::inherited(ask)
    }
}
