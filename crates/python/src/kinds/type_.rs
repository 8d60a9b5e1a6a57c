//! Types. Source: `Objects/typeobject.c`, `type___sizeof___impl`.

use super::Kind;
use super::any;
use crate::dict::keys_of;
use crate::layout::{Layouts, TypeFlags};
use crate::object::Object;
use crate::types::TypeInfo;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct Type;

pub(super) static TYPE: Type = Type;

impl Type {
    fn is_heap(object: &Object<'_>) -> Result<bool, Fault> {
        let flags = object.word(object.layouts.type_object.tp_flags.offset)?;
        Ok(flags & TypeFlags::HEAPTYPE != 0)
    }
}

impl Kind for Type {
    fn names(&self) -> &'static [&'static str] {
        &["type"]
    }

    fn flag(&self) -> Option<u64> {
        Some(TypeFlags::TYPE_SUBCLASS)
    }

    fn least(&self, layouts: &Layouts, _ty: &TypeInfo) -> u64 {
        layouts.type_object.size
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let layouts = object.layouts;
        // `type.__sizeof__` came with the keys that instances share.
        let Some(cached) = layouts.heap_type.ht_cached_keys else { return any::shallow(object) };
        if !Self::is_heap(object)? {
            return Ok(layouts.type_object.size);
        }
        let keys = Addr(object.word(cached.offset)?);
        let keys = keys_of(object.memory, layouts, keys)?.map_or(0, |keys| keys.size);
        Ok(layouts.heap_type.size + keys)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let layouts = object.layouts;
        let weak = layouts.type_object.tp_weaklist.offset;
        let start = layouts.object.size;
        object.scan(start, weak, each)?;
        let end = if Self::is_heap(object)? {
            any::fields(object, 0, 0, each)?;
            object.basic_size()?
        } else {
            layouts.type_object.size
        };
        object.scan(weak + 8, end, each)
    }
}
