//! Arrays of NumPy. Source: NumPy's `ndarraytypes.h`, `PyArrayObject_fields`, `_PyArray_Descr`;
//! `methods.c: array_sizeof`.

use super::Kind;
use super::any;
use crate::layout::Layouts;
use crate::object::Object;
use crate::types::TypeInfo;
use crate::{dict, int};
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

#[derive(Debug)]
pub(super) struct Array;

pub(super) static ARRAY: Array = Array;

/// Fields of `PyArrayObject_fields` behind what every object begins with, the same since 1.7.
const DATA: u64 = 0;
const DIMENSIONS: u64 = 8;
const SHAPE: u64 = 16;
const BASE: u64 = 32;
const DESCRIPTOR: u64 = 40;
const FLAGS: u64 = 48;
/// `NPY_ARRAY_OWNDATA`.
const OWNS_DATA: u32 = 4;
/// What the fields take up to the list of weak references.
const LEAST: u64 = 64;
/// NumPy itself allows 64 since 2.0, and 32 before.
const MOST_DIMENSIONS: u64 = 64;
/// The dict of fields in a descriptor, behind what every object begins with: 1.x, 2.x.
const FIELDS_1: u64 = 32;
const FIELDS_2: u64 = 80;
/// Records in records; nobody nests them deeper.
const DEEPEST: u32 = 8;
/// Fields of a record.
const MOST_FIELDS: usize = 10_000;

impl Array {
    /// How many dimensions, and how many items in all.
    fn extent(object: &Object<'_>) -> Result<(u64, u64), Fault> {
        let head = object.layouts.object.size;
        let absurd = Fault::too_long(object.addr);
        let dimensions = object.word(head + DIMENSIONS)? & 0xffff_ffff;
        if dimensions > MOST_DIMENSIONS {
            return Err(absurd);
        }
        let shape = Addr(object.word(head + SHAPE)?);
        let lengths = if dimensions == 0 {
            Vec::new()
        } else {
            object.memory.words(shape, dimensions, 64)?
        };
        let items = lengths.iter().try_fold(1u64, |all, length| all.checked_mul(*length));
        Ok((dimensions, items.ok_or(absurd)?))
    }

    /// Bytes of an item, and whether items are references.
    fn item(object: &Object<'_>) -> Result<(u64, bool), Fault> {
        let head = object.layouts.object.size;
        let descriptor = Addr(object.word(head + DESCRIPTOR)?).at(head);
        let references = object.memory.u8(descriptor.at(9))? == b'O';
        // 1.x has the size and the alignment, which is not zero, where 2.x has a word of flags.
        let word = object.memory.u64(descriptor.at(16))?;
        let size = if word >> 32 == 0 {
            object.memory.u64(descriptor.at(24))?
        } else {
            word & 0xffff_ffff
        };
        Ok((size, references))
    }

    fn owns_data(object: &Object<'_>) -> Result<bool, Fault> {
        let at = object.addr.at(object.layouts.object.size + FLAGS);
        Ok(object.memory.u32(at)? & OWNS_DATA != 0)
    }
}

/// Adds where in one item, which begins `from` bytes into the whole one, there are references: the
/// fields of a record say of what type they are and where.
fn references_of_record(
    object: &Object<'_>,
    descriptor: Addr,
    from: u64,
    deepest: u32,
    places: &mut Vec<u64>,
) -> Result<(), Fault> {
    let (memory, layouts) = (object.memory, object.layouts);
    let head = layouts.object.size;
    let part = descriptor.at(head);
    if memory.u8(part.at(9))? == b'O' {
        places.push(from);
        return Ok(());
    }
    // As for the size of an item.
    let fields = if memory.u64(part.at(16))? >> 32 == 0 { FIELDS_2 } else { FIELDS_1 };
    // Only legacy types have fields in 2.x, and all that are no records have none.
    let is_record = memory.u8(part.at(8))? == b'V';
    let Some(fields) = (if is_record { memory.ptr(part.at(fields))? } else { None }) else {
        return Ok(());
    };
    if deepest == 0 || places.len() > MOST_FIELDS {
        return Err(Fault::too_long(object.addr));
    }
    for (_, field) in dict::entries(memory, layouts, fields, MOST_FIELDS)? {
        let items = layouts.tuple_object.ob_item.addr(field);
        let Some(descriptor) = memory.ptr(items)? else { continue };
        let offset = memory.ptr(items.at(8))?.ok_or(Fault::unmapped(field))?;
        let offset = int::read(memory, layouts, offset)?.and_then(|n| u64::try_from(n).ok());
        let offset = offset.ok_or(Fault::too_long(object.addr))?;
        references_of_record(object, descriptor, from + offset.min(1 << 32), deepest - 1, places)?;
    }
    places.sort_unstable();
    // A field with a title is listed twice.
    places.dedup();
    Ok(())
}

impl Kind for Array {
    fn names(&self) -> &'static [&'static str] {
        &["numpy.ndarray"]
    }

    fn least(&self, layouts: &Layouts, ty: &TypeInfo) -> u64 {
        ty.basicsize.max(layouts.object.size + LEAST)
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let (dimensions, items) = Self::extent(object)?;
        let own = any::shallow(object)? + dimensions * 16;
        if !Self::owns_data(object)? {
            return Ok(own);
        }
        let bytes = items.checked_mul(Self::item(object)?.0).filter(|bytes| *bytes < 1 << 47);
        Ok(own + bytes.ok_or(Fault::too_long(object.addr))?)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let head = object.layouts.object.size;
        let data = Addr(object.word(head + DATA)?);
        let owns = Self::owns_data(object)?;
        if owns {
            each(data);
        }
        object.scan(head + SHAPE, head + SHAPE + 8, each)?;
        object.scan(head + BASE, head + FLAGS, each)?;
        any::fields(object, head + FLAGS, object.basic_size()?, each)?;
        let (size, references) = Self::item(object)?;
        let (_, items) = Self::extent(object)?;
        if owns && references && size == 8 {
            object.pointers(data, items, each)?;
        } else if owns {
            let descriptor = Addr(object.word(head + DESCRIPTOR)?);
            let mut places = Vec::new();
            references_of_record(object, descriptor, 0, DEEPEST, &mut places)?;
            for item in (0..items).filter(|_| !places.is_empty()) {
                for place in &places {
                    // Records are packed: what they refer to need not be aligned.
                    let at = item.checked_mul(size).and_then(|at| at.checked_add(*place));
                    let at = at.ok_or(Fault::too_long(object.addr))?;
                    each(Addr(object.memory.u64(data.at(at))?));
                }
            }
        }
        Ok(())
    }
}
