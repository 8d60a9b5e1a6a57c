//! Times of day and dates with times: one without a time zone is allocated without the place for
//! it. Source: `Modules/_datetimemodule.c`, `new_time_ex2`, `Include/datetime.h`.

use super::Kind;
use super::any;
use crate::layout::Layouts;
use crate::object::Object;
use crate::types::TypeInfo;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

#[derive(Debug)]
pub(super) struct DateTime;

pub(super) static DATETIME: DateTime = DateTime;

/// `tzinfo` is the last field.
const TIME_ZONE: u64 = 8;

impl Kind for DateTime {
    fn names(&self) -> &'static [&'static str] {
        &["datetime.time", "datetime.datetime"]
    }

    fn least(&self, _layouts: &Layouts, ty: &TypeInfo) -> u64 {
        ty.basicsize.saturating_sub(TIME_ZONE)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        // `_PyTZINFO_HEAD`: the hash, then whether there is a time zone.
        let flag = object.addr.at(object.layouts.object.size + 8);
        if object.memory.u8(flag)? == 0 {
            return Ok(());
        }
        let end = object.ty.basicsize;
        any::fields(object, end.saturating_sub(TIME_ZONE), end, each)
    }
}
