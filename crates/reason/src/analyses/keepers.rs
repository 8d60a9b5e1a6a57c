//! Which objects keep most alive, and where are they?
//!
//! Modules, classes and functions keep everything; what they keep is followed down the tree of
//! dominators, past objects that have nearly all of it in one part, to where it piles up: the list
//! in the dict of the service, not the service.

use super::program::Program;
use super::{Analysis, RetainedSizes};
use crate::finding::{Hold, Holder};
use crate::{Ask, Paths};
use memwhy_model::{Bytes, HeapGraph, ObjectId};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// A part that has so much of the whole is where to look (the "big drop" of Eclipse MAT).
const NEARLY_ALL: f64 = 0.7;
/// Places listed.
const MOST: usize = 100;
/// What keeps less is not worth a path.
const LEAST: Bytes = Bytes(4096);
/// Steps down the tree: a linked list is a long way.
const DEEPEST: usize = 1000;

/// See the [module](self).
#[derive(Debug)]
pub struct Keepers;

impl Analysis for Keepers {
    /// The places, most retained bytes first.
    type Answer = Vec<Holder>;
    const NAME: &'static str = "keepers";

    fn compute(ask: &Ask<'_>) -> Vec<Holder> {
        let Some(heap) = &ask.case().heap else { return Vec::new() };
        let (kept, program) = (ask.get::<RetainedSizes>(), ask.get::<Program>());
        let below = kept.below();
        // Data that no other data keeps.
        let is_first = |id: &ObjectId| {
            let above = kept.dominator(*id);
            !program.has(*id) && (kept.is_top(*id) || above.is_some_and(|above| program.has(above)))
        };
        let mut firsts: Vec<ObjectId> =
            heap.ids().filter(|id| kept.bytes(*id) >= LEAST).filter(is_first).collect();
        firsts.sort_unstable_by_key(|id| (Reverse(kept.bytes(*id)), *id));
        firsts.truncate(MOST);
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        let paths = Paths::new(ask);
        for first in firsts {
            let mut at = first;
            for _ in 0..DEEPEST {
                let parts = below.row(at).iter().copied();
                let Some(largest) = parts.max_by_key(|id| kept.bytes(*id)) else { break };
                // One large buffer is no place where things pile up.
                let piles_up = !below.row(largest).is_empty();
                if !piles_up || kept.bytes(largest).share_of(kept.bytes(at)) < NEARLY_ALL {
                    break;
                }
                at = largest;
            }
            if seen.insert(at) {
                found.push(holder(heap, &paths, at, kept.bytes(at), kept.objects(at)));
            }
        }
        found.sort_by_key(|holder| Reverse(holder.bytes));
        found
    }
}

fn holder(
    heap: &HeapGraph,
    paths: &Paths<'_>,
    object: ObjectId,
    bytes: Bytes,
    objects: u64,
) -> Holder {
    let path = paths.to(object).unwrap_or_default();
    Holder {
        path: Some(path.text).filter(|text| !text.is_empty()),
        object: heap.addr(object),
        type_name: heap.type_row(heap.type_of(object)).map(|row| row.name.clone()),
        file: path.file,
        line: path.line,
        hold: Hold::Retains,
        objects,
        bytes,
        also_reached_from: 0,
    }
}
