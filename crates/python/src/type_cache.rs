//! How full is the cache of what types answered when they were asked for attributes?
//!
//! It keeps the names and no values, and its size never changes. An entry counts once it has a
//! version of its type, and is believed if its name is a text. Source: `Objects/typeobject.c`,
//! `_PyType_Lookup`, `struct type_cache_entry` in `Include/internal/pycore_typeobject.h`.

use crate::find::Interpreter;
use crate::layout::TypeFlags;
use crate::types::TypeInfo;
use memwhy_model::{Addr, Bytes, HeapGraph, ProblemKind, Problems, TypeCacheFacts};
use memwhy_native::Image;
use memwhy_target::{Memory, MemoryExt};

/// `1 << MCACHE_SIZE_EXP`.
const ENTRIES: u64 = 4096;
/// `sizeof(struct type_cache_entry)`: a version, the name and the value.
const ENTRY: u64 = 24;

/// How far from where the table has it the cache is looked for.
const ABOUT: u64 = 256;

/// The cache of the interpreter at `state`; `None` where nothing tells where it is.
pub(crate) fn read(
    memory: &dyn Memory,
    python: &Interpreter,
    image: Option<&Image>,
    state: Addr,
    (graph, types): (&HeapGraph, &[TypeInfo]),
    problems: &mut Problems,
) -> Option<TypeCacheFacts> {
    let field = python.layouts.interpreter_state.type_cache;
    let variable = || image?.local_symbol("typeobject.c", "method_cache");
    let table = field.map_or_else(variable, |field| Some(field.addr(state)))?;
    let is_text = |name: Addr| {
        let info = types.get(graph.type_of(graph.find(name)?).0 as usize)?;
        // Names are bytes in 2.7.
        let text = TypeFlags::UNICODE_SUBCLASS | TypeFlags::BYTES_SUBCLASS;
        Some(info.flags & text != 0)
    };
    // Builds with `Py_DEBUG` have more in an interpreter, before it.
    let places = (0..=ABOUT / 8).flat_map(|n| [table.at(8 * n), table.before(8 * n)]);
    let Some(used) = places.into_iter().find_map(|at| used(memory, at, &is_text)) else {
        problems.note(ProblemKind::CalibrationFailed, || {
            "the cache of types has names that are no text: it is not as the table says".into()
        });
        return None;
    };
    Some(TypeCacheFacts { entries: ENTRIES, used, bytes: Bytes(ENTRIES * ENTRY) })
}

/// How many entries are used of a cache at `at`, `None` if there is none.
fn used(memory: &dyn Memory, at: Addr, is_text: &dyn Fn(Addr) -> Option<bool>) -> Option<u64> {
    let bytes = memory.bytes(at, ENTRIES * ENTRY, 1 << 20).ok()?;
    let (words, _) = bytes.as_chunks::<8>();
    let (entries, _) = words.as_chunks::<3>();
    let mut used = 0;
    for [version, name, _] in entries {
        // Without GIL the upper half counts how often the entry was written.
        if version.starts_with(&[0; 4]) {
            continue;
        }
        if is_text(Addr(u64::from_le_bytes(*name))) != Some(true) {
            return None;
        }
        used += 1;
    }
    Some(used)
}
