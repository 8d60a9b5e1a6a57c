//! What does the collector keep in `gc.garbage`, and what blocks it?

use super::origin::kind;
use super::{Analysis, Origin, RetainedSizes};
use crate::Ask;
use memwhy_model::{Addr, Bytes, Finalizer, HeapGraph, ObjectId, Owner, PreviewLength};
use std::collections::BTreeMap;

/// See the [module](self).
#[derive(Debug)]
pub struct Kept;

/// What is in `gc.garbage`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptGarbage {
    /// Objects in the list.
    pub objects: u64,
    /// What only the list keeps alive, themselves included.
    pub bytes: Bytes,
    /// By class: those that block first, then those of the program, most objects first.
    pub classes: Vec<KeptClass>,
}

/// Objects of one class in `gc.garbage`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptClass {
    /// Its name.
    pub name: String,
    /// How many.
    pub count: u64,
    /// What each alone keeps alive, added up.
    pub bytes: Bytes,
    /// One of them.
    pub first: Addr,
    /// Whether a `__del__` of theirs keeps the collector from freeing them.
    pub blocks: bool,
    /// Where that is written, or the class.
    pub file: Option<String>,
    /// The line there.
    pub line: Option<u32>,
}

impl Analysis for Kept {
    /// Empty where there is no such list.
    type Answer = KeptGarbage;
    const NAME: &'static str = "kept garbage";

    fn compute(ask: &Ask<'_>) -> KeptGarbage {
        let Some(heap) = &ask.heap else { return KeptGarbage::default() };
        let Some(list) = ask.gc.as_ref().and_then(|gc| gc.garbage) else {
            return KeptGarbage::default();
        };
        let kept = heap.references(list);
        // What only the list keeps alive is no more than all data.
        let retained = ask.get::<RetainedSizes>().bytes(list);
        let all = ask.resident(Owner::PythonObjects);
        KeptGarbage {
            objects: kept.len() as u64,
            bytes: if kept.is_empty() { Bytes(0) } else { Bytes(retained.0.min(all.0)) },
            classes: classes(ask, heap, kept),
        }
    }
}

fn classes(ask: &Ask<'_>, heap: &HeapGraph, kept: &[ObjectId]) -> Vec<KeptClass> {
    let origin = ask.get::<Origin>();
    let retained = ask.get::<RetainedSizes>();
    let mut by_class: BTreeMap<ObjectId, (ObjectId, KeptClass)> = BTreeMap::new();
    for id in kept {
        let Some(class) = origin.class_of(heap, *id) else { continue };
        let (_, entry) = by_class.entry(class).or_insert_with(|| {
            let ty = heap.type_row(heap.type_of(*id));
            let blocks = ty.is_some_and(|ty| ty.finalizer == Some(Finalizer::Del));
            let first = heap.addr(*id);
            (
                *id,
                KeptClass {
                    first,
                    blocks,
                    name: name(ask, heap, class, *id),
                    ..KeptClass::default()
                },
            )
        });
        entry.count += 1;
        entry.bytes += retained.bytes(*id);
    }
    let mut classes: Vec<KeptClass> = Vec::new();
    for (class, (first, mut entry)) in by_class {
        // Instances of the old style share one type; their class has the method or has it not.
        let may_block = entry.blocks || kind(heap, first) == "instance";
        let del = may_block.then(|| origin.method(ask, class, "__del__")).flatten();
        entry.blocks |= del.is_some();
        let place = del.and_then(|del| origin.of(ask, del)).or_else(|| origin.of(ask, first));
        entry.file = place.map(|place| place.file.to_owned());
        entry.line = place.and_then(|place| place.line);
        classes.push(entry);
    }
    classes.sort_by(|a, b| {
        let rank = |class: &KeptClass| (!class.blocks, class.file.is_none());
        rank(a).cmp(&rank(b)).then(b.count.cmp(&a.count)).then_with(|| a.name.cmp(&b.name))
    });
    classes
}

/// The name of a class: of an instance of the old style not `instance`.
fn name(ask: &Ask<'_>, heap: &HeapGraph, class: ObjectId, object: ObjectId) -> String {
    let ty = kind(heap, object);
    let told = || {
        // `<class __main__.Node>`, `<class __main__.Node at 0x…>`.
        let preview = ask.details.as_ref()?.preview(heap, class, PreviewLength::Short)?;
        let name = preview.split_whitespace().nth(1)?.trim_matches(['<', '>', '\'']).to_owned();
        Some(name)
    };
    if ty == "instance" { told().unwrap_or_else(|| ty.to_owned()) } else { ty.to_owned() }
}
