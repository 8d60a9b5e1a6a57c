//! Numbers and bytes: objects that point to nothing, however their content looks.

use super::Kind;
use super::any;
use crate::layout::TypeFlags;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct Flat;

pub(super) static FLAT: Flat = Flat;

impl Kind for Flat {
    fn names(&self) -> &'static [&'static str] {
        &["bytes", "float", "complex", "datetime.date", "datetime.timedelta"]
    }

    fn flag(&self) -> Option<u64> {
        Some(TypeFlags::BYTES_SUBCLASS)
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let bytes = object.ty.has(TypeFlags::BYTES_SUBCLASS);
        if bytes && object.layouts.stated_sizes.bytes_as_of_base {
            return Ok(object.layouts.bytes_object.ob_sval.offset + 1 + object.items()?);
        }
        any::shallow(object)
    }

    fn is_interned(&self, object: &Object<'_>) -> bool {
        let state = object
            .layouts
            .bytes_object
            .ob_sstate
            .filter(|_| object.ty.has(TypeFlags::BYTES_SUBCLASS));
        state.and_then(|state| state.from(object.head)).is_some_and(|state| state != 0)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        subclass_fields(object, each)
    }
}

/// What a subclass adds to a flat object: attributes, and a dict at its end.
pub(super) fn subclass_fields(
    object: &Object<'_>,
    each: &mut dyn FnMut(Addr),
) -> Result<(), Fault> {
    if !object.ty.has(TypeFlags::HEAPTYPE) {
        return Ok(());
    }
    any::fields(object, 0, 0, each)?;
    if let Ok(offset) = u64::try_from(object.ty.dict_offset)
        && offset > 0
    {
        object.scan(offset, offset + 8, each)?;
    }
    Ok(())
}
