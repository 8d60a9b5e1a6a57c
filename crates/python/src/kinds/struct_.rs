//! Compiled formats of `struct`. Source: `Modules/_struct.c`, `s_sizeof`.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

#[derive(Debug)]
pub(super) struct Struct;

pub(super) static STRUCT: Struct = Struct;

/// `PyStructObject` behind what every object begins with: the size, the number of items, the steps.
const STEPS: u64 = 16;
/// A format has no more steps.
const MOST_STEPS: u64 = 1 << 16;

impl Kind for Struct {
    fn names(&self) -> &'static [&'static str] {
        &["_struct.Struct", "Struct"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let step = object.layouts.stated_sizes.format_code;
        let first = Addr(object.word(object.layouts.object.size + STEPS)?);
        let mut size = any::shallow(object)?;
        if first.0 == 0 {
            return Ok(size);
        }
        // The last step has no definition; it is counted too.
        for count in 0..MOST_STEPS {
            size += step;
            if object.memory.u64(first.at(count * step))? == 0 {
                return Ok(size);
            }
        }
        Err(Fault::too_long(object.addr))
    }
}
