//! How many strings are interned, and how many of these can never die?

use super::Analysis;
use crate::Ask;
use memwhy_model::{Bytes, Flags};

/// See the [module](self).
#[derive(Debug)]
pub struct Interned;

/// The strings in the table of interned strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InternedStrings {
    /// How many.
    pub strings: u64,
    /// What they take in memory, those in the data of images included.
    pub bytes: Bytes,
    /// How many are immortal, and what these take.
    pub immortal: (u64, Bytes),
}

impl Analysis for Interned {
    /// Empty where there is no heap.
    type Answer = InternedStrings;
    const NAME: &'static str = "interned strings";

    fn compute(ask: &Ask<'_>) -> InternedStrings {
        let mut sum = InternedStrings::default();
        let Some(heap) = &ask.heap else { return sum };
        for id in heap.ids().filter(|id| heap.flags(*id).has(Flags::INTERNED)) {
            let bytes = heap.footprint(id);
            sum.strings += 1;
            sum.bytes += bytes;
            if heap.flags(id).has(Flags::IMMORTAL) {
                sum.immortal.0 += 1;
                sum.immortal.1 += bytes;
            }
        }
        sum
    }
}
