//! Byte arrays. Source: `Objects/bytearrayobject.c`, `bytearray_sizeof`.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct ByteArray;

pub(super) static BYTE_ARRAY: ByteArray = ByteArray;

impl Kind for ByteArray {
    fn names(&self) -> &'static [&'static str] {
        &["bytearray"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let layouts = object.layouts;
        let room = object.word(layouts.byte_array.ob_alloc.offset)?;
        if room >= 1 << 47 {
            return Err(Fault::too_long(object.addr));
        }
        // A bytes object has the buffer, whose header and zero are counted too.
        let around = match layouts.byte_array.ob_bytes_object {
            Some(_) if room > 0 => layouts.bytes_object.ob_sval.offset + 1,
            _ => 0,
        };
        Ok(any::shallow(object)? + room + around)
    }
}
