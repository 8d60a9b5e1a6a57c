//! Lists. Source: `Objects/listobject.c`, `list___sizeof___impl`.

use super::Kind;
use super::any;
use crate::layout::TypeFlags;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct List;

pub(super) static LIST: List = List;

impl Kind for List {
    fn names(&self) -> &'static [&'static str] {
        &["list"]
    }

    fn flag(&self) -> Option<u64> {
        Some(TypeFlags::LIST_SUBCLASS)
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let room = object.word(object.layouts.list_object.allocated.offset)?;
        let bytes = room.checked_mul(8).filter(|bytes| *bytes < 1 << 47);
        Ok(any::shallow(object)? + bytes.ok_or(Fault::too_long(object.addr))?)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let fields = &object.layouts.list_object;
        any::fields(object, fields.ob_item.offset, object.ty.basicsize, each)?;
        let (items, room) = (object.items()?, object.word(fields.allocated.offset)?);
        if items > room {
            return Err(Fault::too_long(object.addr));
        }
        match object.word(fields.ob_item.offset)? {
            0 => Ok(()),
            at => object.pointers(Addr(at), items, each),
        }
    }
}
