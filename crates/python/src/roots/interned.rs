//! Which dicts hold interned strings?
//!
//! They do not keep them: a string that nobody else has leaves the dict as it dies
//! (`Objects/unicodeobject.c: unicode_dealloc`). No release says where its dict is, but nothing else
//! is a large dict of strings that are each their own value, known to C alone.

use super::Sources;
use crate::dict;
use crate::layout::TypeFlags;
use memwhy_model::{HeapGraph, ObjectId, Root};
use std::collections::BTreeSet;

/// An interpreter that has just started has more interned strings.
const FEWEST: usize = 500;
/// Entries looked at.
const LOOKED_AT: usize = 2000;

pub(super) fn dicts(sources: &Sources<'_>, graph: &HeapGraph, roots: &[Root]) -> Vec<ObjectId> {
    let of_c = roots.iter().filter(|root| root.kind.keeps() && !root.kind.certain());
    let candidates: BTreeSet<ObjectId> = of_c.map(|root| root.object).collect();
    candidates.into_iter().filter(|dict| is_interned(sources, graph, *dict)).collect()
}

fn is_interned(sources: &Sources<'_>, graph: &HeapGraph, dict: ObjectId) -> bool {
    let ty = sources.heap.types.get(graph.type_of(dict).0 as usize);
    if !ty.is_some_and(|ty| ty.has(TypeFlags::DICT_SUBCLASS)) {
        return false;
    }
    let layouts = &sources.interpreter.layouts;
    let entries = dict::entries(sources.view, layouts, graph.addr(dict), LOOKED_AT);
    entries.is_ok_and(|entries| {
        entries.len() >= FEWEST && entries.iter().all(|(key, value)| key == value)
    })
}
