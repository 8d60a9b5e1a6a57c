//! What does a case say of each type?
//!
//! Besides its name: what runs when one of its objects dies, whether the collector looks through
//! them, and which library's C code defines it. Source: `Include/cpython/object.h: _typeobject`.

use crate::layout::{Layouts, TypeFlags};
use crate::types::TypeInfo;
use memwhy_model::{Addr, Finalizer, TypeRow};
use memwhy_native::Images;
use memwhy_target::{Memory, MemoryExt};

/// The rows of the graph's types, in the order of `types`, their sums still empty.
#[must_use]
pub fn of(
    memory: &dyn Memory,
    layouts: &Layouts,
    images: &Images,
    interpreter: &str,
    types: &[TypeInfo],
) -> Vec<TypeRow> {
    let row = |info: &TypeInfo| TypeRow {
        addr: info.addr,
        name: info.name.clone(),
        finalizer: finalizer(memory, layouts, info),
        collected: info.has(TypeFlags::HAVE_GC),
        library: library(memory, layouts, images, interpreter, info.addr),
        ..TypeRow::default()
    };
    types.iter().map(row).collect()
}

fn finalizer(memory: &dyn Memory, layouts: &Layouts, info: &TypeInfo) -> Option<Finalizer> {
    let fields = &layouts.type_object;
    let set = |at: Addr| memory.u64(at).is_ok_and(|word| word != 0);
    // Generators of 2.7 have it too; the collector asks those that have no `finally` to run.
    if set(fields.tp_del.addr(info.addr)) && info.name != "builtins.generator" {
        return Some(Finalizer::Del);
    }
    fields.tp_finalize.filter(|field| set(field.addr(info.addr))).map(|_| Finalizer::Finalize)
}

/// The image that a static type lies in, or the first other than the interpreter's that a type
/// made at run time has functions in: classes of Python have the interpreter's only.
fn library(
    memory: &dyn Memory,
    layouts: &Layouts,
    images: &Images,
    interpreter: &str,
    ty: Addr,
) -> Option<String> {
    if let Some(image) = images.containing(ty) {
        return Some(image.path.clone());
    }
    let words = memory.words(ty, layouts.type_object.size / 8, 64).ok()?;
    let mut used = words.iter().filter_map(|word| images.containing(Addr(*word)));
    used.find(|image| image.path != interpreter).map(|image| image.path.clone())
}
