//! How large may a cache be, how much of its base does a view show, which strings are copies?
//!
//! Source: `Modules/_functoolsmodule.c: lru_cache_object`, `Include/cpython/memoryobject.h`, and
//! `numpy/ndarraytypes.h: PyArrayObject_fields`, which NumPy promises not to change.

use crate::layout::{Layouts, TypeFlags};
use crate::types::TypeInfo;
use memwhy_model::closeups::{Cache, Closeups, Copies, View};
use memwhy_model::{Addr, Bytes, HeapGraph, ObjectId};
use memwhy_target::{Fault, Memory, MemoryExt};
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::Hasher;

/// Views and caches that are read; with more the first tell enough.
const MOST: usize = 200_000;
/// Strings that are compared.
const MOST_STRINGS: usize = 8_000_000;
/// Bytes of a string that are compared; longer ones differ in length or early on.
const COMPARED: u64 = 4096;
/// Texts listed.
const EXAMPLES: usize = 10;
/// Dimensions of an array: `NPY_MAXDIMS`.
const MOST_DIMENSIONS: u64 = 64;

/// Reads what rules about holders ask for.
#[must_use]
pub fn collect(
    memory: &dyn Memory,
    layouts: &Layouts,
    types: &[TypeInfo],
    graph: &HeapGraph,
) -> Closeups {
    let mut closeups = Closeups::default();
    let mut strings = Strings::default();
    for id in graph.ids() {
        let Some(info) = types.get(graph.type_of(id).0 as usize) else { continue };
        let at = graph.addr(id);
        match info.name.as_str() {
            "functools._lru_cache_wrapper" if closeups.caches.len() < MOST => {
                closeups.caches.extend(cache(memory, layouts, id, at).ok().flatten());
            }
            "builtins.memoryview" if closeups.views.len() < MOST => {
                closeups.views.extend(
                    memory_view(memory, layouts, info, at)
                        .ok()
                        .map(|shown| View { object: id, shown: Bytes(shown) }),
                );
            }
            "numpy.ndarray" if closeups.views.len() < MOST => {
                closeups.views.extend(
                    array(memory, layouts, at)
                        .ok()
                        .map(|shown| View { object: id, shown: Bytes(shown) }),
                );
            }
            _ if info.flags & (TypeFlags::UNICODE_SUBCLASS | TypeFlags::BYTES_SUBCLASS) != 0 => {
                strings.add(memory, layouts, graph, info, id);
            }
            _ => {}
        }
    }
    closeups.copies = strings.copies();
    closeups
}

fn cache(
    memory: &dyn Memory,
    layouts: &Layouts,
    object: ObjectId,
    at: Addr,
) -> Result<Option<Cache>, Fault> {
    let Some(fields) = layouts.lru_cache else { return Ok(None) };
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(Some(Cache {
        object,
        limit: u64::try_from(fields.maxsize.read(memory, at)?).ok(),
        hits: count(fields.hits.read(memory, at)?),
        misses: count(fields.misses.read(memory, at)?),
    }))
}

/// `view.len`. In 2.7 the `Py_buffer` follows the base; since 3.3 it comes after the managed
/// buffer, the hash, flags and exports, and the type has items.
fn memory_view(
    memory: &dyn Memory,
    layouts: &Layouts,
    info: &TypeInfo,
    at: Addr,
) -> Result<u64, Fault> {
    let (base, before) =
        if info.itemsize > 0 { (layouts.var_object.size, 48) } else { (layouts.object.size, 24) };
    memory.u64(at.at(base + before))
}

/// From the first to the last element of an array, as its strides say.
fn array(memory: &dyn Memory, layouts: &Layouts, at: Addr) -> Result<u64, Fault> {
    let fields = at.at(layouts.object.size);
    let dimensions = u64::from(memory.u32(fields.at(8))?);
    if dimensions > MOST_DIMENSIONS {
        return Err(Fault::too_long(at));
    }
    let (sizes, strides) = (memory.ptr(fields.at(16))?, memory.ptr(fields.at(24))?);
    let (Some(sizes), Some(strides)) = (sizes, strides) else { return Ok(0) };
    let mut shown = 0u64;
    for n in (0..dimensions * 8).step_by(8) {
        let (size, stride) = (memory.u64(sizes.at(n))?, memory.u64(strides.at(n))?);
        let part = stride.cast_signed().unsigned_abs().saturating_mul(size);
        shown = shown.max(part);
    }
    Ok(shown)
}

/// Strings by what they say.
#[derive(Debug, Default)]
struct Strings {
    seen: u64,
    /// Of each text: one string, how many, the bytes of one.
    known: FxHashMap<u64, (ObjectId, u64, u64)>,
}

impl Strings {
    fn add(
        &mut self,
        memory: &dyn Memory,
        layouts: &Layouts,
        graph: &HeapGraph,
        info: &TypeInfo,
        id: ObjectId,
    ) {
        let size = graph.size(id).0;
        if self.known.len() >= MOST_STRINGS || size > COMPARED {
            return;
        }
        // The hash, which lies between the length and the text, may not be known yet.
        let unicode = info.has(TypeFlags::UNICODE_SUBCLASS);
        let (length, text) = match (unicode, layouts.ascii_object) {
            (true, Some(ascii)) => (ascii.length.offset, ascii.size),
            // 2.7 keeps the text of `unicode` elsewhere.
            (true, None) => return,
            (false, _) => (layouts.var_object.ob_size.offset, layouts.bytes_object.ob_sval.offset),
        };
        let at = graph.addr(id);
        let Ok(length) = memory.u64(at.at(length)) else { return };
        let Ok(bytes) = memory.bytes(at.at(text), size.saturating_sub(text), 8192) else { return };
        let mut hasher = FxHasher::default();
        hasher.write_u64(info.addr.0);
        hasher.write_u64(length);
        hasher.write(&bytes);
        self.seen += 1;
        let entry = self.known.entry(hasher.finish()).or_insert((id, 0, graph.footprint(id).0));
        entry.1 += 1;
    }

    fn copies(self) -> Copies {
        let wasted = |(id, count, size): (ObjectId, u64, u64)| {
            (id, count, Bytes(size.saturating_mul(count.saturating_sub(1))))
        };
        let many = self.known.into_values().filter(|(_, count, _)| *count > 1).map(wasted);
        let mut examples: Vec<(ObjectId, u64, Bytes)> = many.collect();
        let sum = examples.iter().map(|(.., wasted)| *wasted).sum();
        examples.sort_unstable_by_key(|(id, _, wasted)| (std::cmp::Reverse(*wasted), *id));
        examples.truncate(EXAMPLES);
        Copies { strings: self.seen, wasted: sum, examples }
    }
}
