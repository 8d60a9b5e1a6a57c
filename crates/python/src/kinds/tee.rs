//! What the iterators of `itertools.tee` share. Source: `Modules/itertoolsmodule.c`,
//! `teedataobject_traverse`.

use super::Kind;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

#[derive(Debug)]
pub(super) struct TeeData;

pub(super) static TEE_DATA: TeeData = TeeData;

/// `LINKCELLS`.
const MOST_VALUES: u32 = 57;

impl Kind for TeeData {
    fn names(&self) -> &'static [&'static str] {
        &["itertools._tee_dataobject", "itertools.tee_dataobject"]
    }

    /// The iterator, how many values were taken from it, the next of the chain, the values: those
    /// that are not there yet are whatever was there before.
    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let start = object.layouts.object.size;
        object.scan(start, start + 8, each)?;
        object.scan(start + 16, start + 24, each)?;
        let taken = object.memory.u32(object.addr.at(start + 8))?.min(MOST_VALUES);
        object.pointers(object.addr.at(start + 24), taken.into(), each)
    }
}
