//! Views of memory. Source: `Objects/memoryobject.c`, `memory_traverse`, `mbuf_traverse`.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct MemoryView;
#[derive(Debug)]
pub(super) struct ManagedBuffer;

pub(super) static MEMORY_VIEW: MemoryView = MemoryView;
pub(super) static MANAGED_BUFFER: ManagedBuffer = ManagedBuffer;

/// Words of a `_PyManagedBufferObject` before `master.obj`: two numbers and the memory, which is
/// the object's.
const BEFORE_OBJECT: u64 = 24;

impl Kind for MemoryView {
    fn names(&self) -> &'static [&'static str] {
        &["memoryview"]
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let fields = &object.layouts.memory_view;
        let first = match fields.managed {
            // What it is a view of is the managed buffer's; its own pointer to that is borrowed.
            Some(managed) => return object.scan(managed.offset, managed.offset + 8, each),
            None => object.layouts.object.size,
        };
        object.scan(first, first + 8, each)?;
        any::fields(object, fields.obj.offset, fields.obj.offset + 8, each)
    }
}

impl Kind for ManagedBuffer {
    fn names(&self) -> &'static [&'static str] {
        &["managedbuffer"]
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let at = object.layouts.object.size + BEFORE_OBJECT;
        object.scan(at, at + 8, each)
    }
}
