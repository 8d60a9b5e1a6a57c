//! Arrays of numbers. Source: `Modules/arraymodule.c`, `array_array___sizeof___impl`.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

/// `struct arraydescr { char typecode; int itemsize; … }`: the same in every release.
const ITEM_SIZE: u64 = 4;

#[derive(Debug)]
pub(super) struct Array;

pub(super) static ARRAY: Array = Array;

impl Kind for Array {
    fn names(&self) -> &'static [&'static str] {
        &["array.array"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let own = any::shallow(object)?;
        let Some(fields) = object.layouts.array else { return Ok(own) };
        let room = object.word(fields.allocated.offset)?;
        let descriptor = Addr(object.word(fields.ob_descr.offset)?);
        let item = object.memory.u32(descriptor.at(ITEM_SIZE))?;
        let bytes = room.checked_mul(u64::from(item)).filter(|bytes| *bytes < 1 << 47);
        Ok(own + bytes.ok_or(Fault::too_long(object.addr))?)
    }
}
