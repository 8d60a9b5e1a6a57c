//! Modules, and the state that C code keeps for each. Source: `Objects/moduleobject.c`.

use super::Kind;
use crate::object::Object;
use memwhy_model::Addr;

#[derive(Debug)]
pub(super) struct Module;

pub(super) static MODULE: Module = Module;

impl Kind for Module {
    fn names(&self) -> &'static [&'static str] {
        &["module"]
    }

    /// Types, constants, and caches.
    fn buffers_hold_references(&self) -> bool {
        true
    }

    fn leads_to_memory(&self) -> bool {
        true
    }

    fn may_keep(&self) -> bool {
        true
    }

    /// The state, which many objects of the module point to.
    fn keeps(&self, object: &Object<'_>) -> Option<Addr> {
        let state = object.word(object.layouts.module.md_state?.offset).ok()?;
        (state != 0).then_some(Addr(state))
    }
}
