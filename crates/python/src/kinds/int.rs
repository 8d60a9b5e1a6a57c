//! Integers. Source: `Objects/longobject.c`, `int___sizeof___impl`.

use super::Kind;
use super::any;
use super::flat::subclass_fields;
use crate::layout::tables::long_object::LongLength;
use crate::layout::{Layouts, TypeFlags};
use crate::object::Object;
use crate::types::TypeInfo;
use memwhy_model::Addr;
use memwhy_target::Fault;

/// `sizeof(digit)`.
const DIGIT: u64 = 4;

#[derive(Debug)]
pub(super) struct Int;

pub(super) static INT: Int = Int;

/// Whether it is a `long` of 2.7, or an `int` of 3.x: its `int` is one word.
fn has_digits(ty: &TypeInfo) -> bool {
    ty.has(TypeFlags::LONG_SUBCLASS)
}

impl Kind for Int {
    fn names(&self) -> &'static [&'static str] {
        &["int", "bool", "long"]
    }

    fn flag(&self) -> Option<u64> {
        Some(TypeFlags::LONG_SUBCLASS)
    }

    fn least(&self, layouts: &Layouts, ty: &TypeInfo) -> u64 {
        if has_digits(ty) { layouts.long_object.digits.offset } else { ty.basicsize }
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        // Where there are both kinds of integers, what a subclass adds is counted too.
        if object.layouts.int_object.is_some() || !has_digits(object.ty) {
            return any::shallow(object);
        }
        let fields = &object.layouts.long_object;
        let digits = match fields.length {
            LongLength::Tag(tag) => object.word(tag.offset)? >> 3,
            LongLength::ObSize => object.items()?,
        };
        let digits = digits.max(u64::from(object.layouts.stated_sizes.zero_has_digit));
        let size = digits.checked_mul(DIGIT).ok_or(Fault::too_long(object.addr))?;
        Ok(fields.digits.offset.saturating_add(size))
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        subclass_fields(object, each)
    }
}
