//! Which attributes does an instance have, and under which names?
//!
//! They are in a dict, or without one: beside or inside the instance, with the names in the key
//! table that its class shares. Source: `Objects/dictobject.c: _PyObject_GetDictPtr`,
//! `Objects/object.c: _PyObject_ComputedDictPointer`.

use crate::dict;
use crate::layout::tables::dict_values::ValuesHeader;
use crate::layout::tables::long_object::LongLength;
use crate::layout::{Layouts, ManagedSlots, TypeFlags};
use crate::text;
use memwhy_model::Addr;
use memwhy_target::{Fault, Memory, MemoryExt};

/// Names are compared up to this length.
const LONGEST_NAME: usize = 256;

/// A class has no more bases below each other.
const MOST_BASES: usize = 64;
/// A class has no more `__slots__`.
const MOST_SLOTS: usize = 4096;

/// Where the attributes of an instance are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    Dict(Addr),
    /// An array of values, in the order of the keys that the class shares.
    Values(Addr),
}

/// Names and values of the attributes of the instance at `object`, at most `limit`.
///
/// # Errors
/// As [`Memory::read`], and for tables that cannot be.
pub fn attributes(
    memory: &dyn Memory,
    layouts: &Layouts,
    object: Addr,
    limit: usize,
) -> Result<Vec<(Addr, Addr)>, Fault> {
    let fault = Fault::unmapped(object);
    let ty = layouts.object.ob_type.read(memory, object)?.ok_or(fault)?;
    let mut found = Vec::new();
    match place(memory, layouts, object, ty)? {
        Place::Nowhere => {}
        Place::Dict(dict) => return dict::entries(memory, layouts, dict, limit),
        Place::Values(values) => {
            let cached = layouts.heap_type.ht_cached_keys.ok_or(fault)?;
            if let Some(table) = cached.read(memory, ty)?
                && let Some(keys) = dict::keys_of(memory, layouts, table)?
            {
                dict::pairs(memory, layouts, &keys, Some(values), limit, &mut found)?;
            }
        }
    }
    Ok(found)
}

/// The value of the attribute `name` of the instance itself.
///
/// # Errors
/// As [`attributes`].
pub fn get(
    memory: &dyn Memory,
    layouts: &Layouts,
    object: Addr,
    name: &str,
) -> Result<Option<Addr>, Fault> {
    let named = |(key, _): &(Addr, Addr)| {
        text::read(memory, layouts, *key, LONGEST_NAME).is_ok_and(|key| key == name)
    };
    let found = attributes(memory, layouts, object, 1 << 16)?;
    Ok(found.into_iter().find(named).map(|(_, value)| value))
}

/// Names and values of what the classes of the instance at `object` have `__slots__` for, at most
/// `limit`, those of the base first; empty ones are left out.
///
/// # Errors
/// As [`Memory::read`].
pub fn slots(
    memory: &dyn Memory,
    layouts: &Layouts,
    object: Addr,
    limit: usize,
) -> Result<Vec<(Addr, Addr)>, Fault> {
    let ty = layouts.object.ob_type.read(memory, object)?.ok_or(Fault::unmapped(object))?;
    let mut found = Vec::new();
    for (offset, name) in slot_places(memory, layouts, ty)?.into_iter().take(limit) {
        if let Some(value) = memory.ptr(object.at(offset))? {
            found.push((name, value));
        }
    }
    Ok(found)
}

/// Where in its instances the type at `ty` and its bases have `__slots__`, and their names, those
/// of the base first: in the order of the names, from where the base ends.
///
/// Source: `Objects/typeobject.c: type_new_slots`, `type_new_descriptors`.
///
/// # Errors
/// As [`Memory::read`].
pub(crate) fn slot_places(
    memory: &dyn Memory,
    layouts: &Layouts,
    ty: Addr,
) -> Result<Vec<(u64, Addr)>, Fault> {
    let fields = &layouts.type_object;
    let (mut found, mut classes) = (Vec::new(), Vec::new());
    let mut at = Some(ty);
    while let Some(class) = at.filter(|_| classes.len() < MOST_BASES) {
        classes.push(class);
        at = fields.tp_base.read(memory, class)?;
    }
    for (class, base) in classes.iter().zip(classes.iter().skip(1)).rev() {
        let at_run_time = fields.tp_flags.read(memory, *class)? & TypeFlags::HEAPTYPE != 0;
        let names = layouts.heap_type.ht_slots;
        let Some(names) = (if at_run_time { names.read(memory, *class)? } else { None }) else {
            continue;
        };
        let count = layouts.var_object.ob_size.read(memory, names)?;
        let count = u64::try_from(count).map_err(|_| Fault::too_long(names))?;
        let names = memory.words(layouts.tuple_object.ob_item.addr(names), count, MOST_SLOTS)?;
        let first = fields.tp_basicsize.read(memory, *base)?.unsigned_abs();
        let offsets = (first..).step_by(8);
        found.extend(offsets.zip(names.into_iter().map(Addr)));
    }
    Ok(found)
}

pub(crate) fn place(
    memory: &dyn Memory,
    layouts: &Layouts,
    object: Addr,
    ty: Addr,
) -> Result<Place, Fault> {
    let fields = &layouts.type_object;
    let flags = fields.tp_flags.read(memory, ty)?;
    let dict_at = |at: Addr| memory.ptr(at).map(|dict| dict.map_or(Place::Nowhere, Place::Dict));
    if !layouts.pre_header.has_managed_dict(flags) {
        let offset = fields.tp_dictoffset.read(memory, ty)?;
        return match u64::try_from(offset) {
            Ok(0) => Ok(Place::Nowhere),
            Ok(offset) => dict_at(object.at(offset)),
            Err(_) => {
                let end = end_of(memory, layouts, object, ty, flags)?;
                dict_at(end.before(offset.unsigned_abs()))
            }
        };
    }
    match layouts.pre_header.managed {
        ManagedSlots::None => Ok(Place::Nowhere),
        ManagedSlots::DictAndValues { dict, values } => {
            let values = memory.ptr(object.before(values))?;
            values.map_or_else(|| dict_at(object.before(dict)), |at| Ok(Place::Values(at)))
        }
        ManagedSlots::DictOrValues { either, .. } => match memory.u64(object.before(either))? {
            0 => Ok(Place::Nowhere),
            word if word & 1 == 1 => Ok(Place::Values(Addr(word).at(1))),
            word => Ok(Place::Dict(Addr(word))),
        },
        ManagedSlots::Dict { dict, .. } => {
            if let Some(values) = layouts.dict_values
                && let ValuesHeader::Front { valid, .. } = values.header
                && layouts.pre_header.has_inline_values(flags)
            {
                let basicsize = fields.tp_basicsize.read(memory, ty)?;
                let basicsize = u64::try_from(basicsize).map_err(|_| Fault::too_long(ty))?;
                let inline = object.at(basicsize);
                if valid.read(memory, inline)? == 1 {
                    return Ok(Place::Values(values.values.addr(inline)));
                }
            }
            dict_at(object.before(dict))
        }
    }
}

/// Where an object with items ends, as `_PyObject_VAR_SIZE` says.
fn end_of(
    memory: &dyn Memory,
    layouts: &Layouts,
    object: Addr,
    ty: Addr,
    flags: u64,
) -> Result<Addr, Fault> {
    let fields = &layouts.type_object;
    let items = match layouts.long_object.length {
        LongLength::Tag(tag) if flags & TypeFlags::LONG_SUBCLASS != 0 => {
            tag.read(memory, object)? >> 3
        }
        LongLength::Tag(_) | LongLength::ObSize => {
            layouts.var_object.ob_size.read(memory, object)?.unsigned_abs()
        }
    };
    let itemsize = fields.tp_itemsize.read(memory, ty)?.unsigned_abs();
    let basicsize = fields.tp_basicsize.read(memory, ty)?.unsigned_abs();
    let size = items.checked_mul(itemsize).and_then(|items| items.checked_add(basicsize));
    let size = size.and_then(|size| size.checked_next_multiple_of(8));
    Ok(object.at(size.ok_or(Fault::too_long(object))?))
}
