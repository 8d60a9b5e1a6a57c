//! Objects of types that have no kind of their own: the fields that C declares, word by word.
//!
//! A word that is the address of an object is taken for a reference. That is what `tp_traverse`
//! visits and, rarely, a number that looks so: 2 in 10,000 where it was measured.

use super::Kind;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct Any;

pub(super) static ANY: Any = Any;

impl Kind for Any {
    fn names(&self) -> &'static [&'static str] {
        &[]
    }

    /// An array of NumPy's may be one of objects, a C extension's struct may hold some.
    fn buffers_hold_references(&self) -> bool {
        true
    }

    fn leads_to_memory(&self) -> bool {
        true
    }
}

/// `object.__sizeof__`. Values that lie inside since 3.13 are not in it, though in the block.
pub(super) fn shallow(object: &Object<'_>) -> Result<u64, Fault> {
    object.basic_size()
}

/// The words from `start` to `end`, without the list of weak references, and the attributes that
/// are kept before or inside the object.
pub(super) fn fields(
    object: &Object<'_>,
    start: u64,
    end: u64,
    each: &mut dyn FnMut(Addr),
) -> Result<(), Fault> {
    object.managed(each)?;
    match u64::try_from(object.ty.weaklist_offset) {
        Ok(weak) if weak >= start && weak < end => {
            object.scan(start, weak, each)?;
            object.scan(weak + 8, end, each)?;
        }
        _ => object.scan(start, end, each)?,
    }
    // A negative offset counts from the end of the items; the dict is then the last word.
    if object.ty.dict_offset < 0 {
        let size = object.basic_size()?.next_multiple_of(8);
        let at = size.saturating_sub(object.ty.dict_offset.unsigned_abs());
        object.scan(at, at + 8, each)?;
    }
    Ok(())
}
