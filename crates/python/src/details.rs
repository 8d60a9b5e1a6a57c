//! What does one object look like up close?
//!
//! Answers what [`memwhy_model::Details`] asks from the captured memory, which is kept as long as
//! somebody may ask.

use crate::labels::Names;
use crate::layout::Layouts;
use crate::preview::preview;
use crate::types::TypeInfo;
use memwhy_model::{Addr, HeapGraph, Label, ObjectId, PreviewLength};
use memwhy_target::View;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The memory of a process, ready to be looked at object by object.
#[derive(Debug)]
pub struct Details {
    view: Arc<View>,
    layouts: Layouts,
    types: Vec<TypeInfo>,
    places: FxHashMap<Addr, usize>,
}

impl Details {
    pub(crate) fn new(view: Arc<View>, layouts: &Layouts, types: Vec<TypeInfo>) -> Self {
        let layouts = *layouts;
        let places = types.iter().enumerate().map(|(at, info)| (info.addr, at)).collect();
        Self { view, layouts, types, places }
    }

    fn names(&self) -> Names<'_> {
        Names {
            memory: &*self.view,
            layouts: &self.layouts,
            types: &self.types,
            places: &self.places,
        }
    }

    fn type_of(&self, heap: &HeapGraph, object: ObjectId) -> Option<&TypeInfo> {
        self.types.get(heap.type_of(object).0 as usize)
    }
}

impl memwhy_model::Details for Details {
    fn preview(&self, heap: &HeapGraph, object: ObjectId, length: PreviewLength) -> Option<String> {
        preview(&*self.view, &self.layouts, heap.addr(object), length.characters()).ok()
    }

    fn labels(&self, heap: &HeapGraph, object: ObjectId) -> Vec<Label> {
        let Some(ty) = self.type_of(heap, object) else { return Vec::new() };
        let targets = heap.references(object).iter().map(|to| heap.addr(*to));
        self.names().all(heap.addr(object), ty, &targets.collect::<Vec<_>>())
    }

    fn label(&self, heap: &HeapGraph, object: ObjectId, reference: usize) -> Option<Label> {
        let ty = self.type_of(heap, object)?;
        let references = heap.references(object);
        let target = references.get(reference)?;
        let before = references.iter().take(reference).filter(|to| *to == target).count();
        Some(self.names().one(heap.addr(object), ty, heap.addr(*target), before))
    }

    fn captured(&self, heap: &HeapGraph, function: ObjectId) -> Vec<String> {
        self.names().captured(heap.addr(function))
    }
}
