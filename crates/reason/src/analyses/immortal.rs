//! How many strings live only because they can never die?
//!
//! Releases that make interned strings immortal keep those that nobody else refers to.

use super::Analysis;
use super::origin::kind;
use crate::Ask;
use memwhy_model::{Bytes, Flags, HeapGraph};

/// See the [module](self).
#[derive(Debug)]
pub struct Immortal;

/// Strings that are kept by nothing but being immortal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undying {
    /// How many.
    pub strings: u64,
    /// What they take in memory.
    pub bytes: Bytes,
}

impl Analysis for Immortal {
    /// Empty where there is no heap.
    type Answer = Undying;
    const NAME: &'static str = "immortal strings";

    fn compute(ask: &Ask<'_>) -> Undying {
        ask.heap.as_ref().map(of).unwrap_or_default()
    }
}

fn of(heap: &HeapGraph) -> Undying {
    let mut referred = vec![false; heap.len()];
    // The table of interned strings itself keeps them, and only them.
    for id in heap.ids().filter(|id| !heap.flags(*id).has(Flags::WEAK)) {
        for to in heap.references(id) {
            if let Some(mark) = referred.get_mut(to.0 as usize) {
                *mark = true;
            }
        }
    }
    let mut undying = Undying::default();
    for (id, referred) in heap.ids().zip(referred) {
        let flags = heap.flags(id);
        let immortal = flags.has(Flags::IMMORTAL) && !flags.has(Flags::STATIC);
        if immortal && !referred && kind(heap, id) == "str" {
            undying.strings += 1;
            undying.bytes += heap.footprint(id);
        }
    }
    undying
}
