//! Dicts. Source: `Objects/dictobject.c`, `_PyDict_SizeOf`.

use super::Kind;
use super::any;
use crate::dict::{Keys, entries, keys_of};
use crate::layout::TypeFlags;
use crate::layout::tables::dict_object::DictStorage;
use crate::layout::tables::dict_values::ValuesHeader;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

/// A dict of more entries than that is not believed: its table alone would be 24 GiB.
const MOST_ENTRIES: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Dict;

pub(super) static DICT: Dict = Dict;

impl Kind for Dict {
    fn names(&self) -> &'static [&'static str] {
        &["dict", "frozendict"]
    }

    fn flag(&self) -> Option<u64> {
        Some(TypeFlags::DICT_SUBCLASS)
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        shallow(object)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        pointers(object, each)
    }
}

pub(super) fn shallow(object: &Object<'_>) -> Result<u64, Fault> {
    let own = any::shallow(object)?;
    match object.layouts.dict_object.storage {
        DictStorage::Keys { ma_keys, ma_values } => {
            let keys = Addr(object.word(ma_keys.offset)?);
            let values = Addr(object.word(ma_values.offset)?);
            let Some(keys) = keys_of(object.memory, object.layouts, keys)? else { return Ok(own) };
            let mut size = own;
            if values.0 != 0 {
                size += keys.room() * 8;
            }
            // A table that is shared is counted with nobody.
            if keys.refcnt == 1 {
                size += keys.size;
            }
            Ok(size)
        }
        DictStorage::Table { ma_mask, ma_table, ma_smalltable, .. } => {
            let table = object.word(ma_table.offset)?;
            if table == object.addr.at(ma_smalltable.offset).0 {
                return Ok(own);
            }
            let slots = object.word(ma_mask.offset)?.checked_add(1);
            let bytes = slots.and_then(|n| n.checked_mul(object.layouts.dict_entry.size));
            Ok(own + bytes.filter(|b| *b < 1 << 47).ok_or(Fault::too_long(object.addr))?)
        }
    }
}

pub(super) fn pointers(object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
    let layouts = object.layouts;
    if object.ty.has(TypeFlags::HEAPTYPE) || object.ty.basicsize > layouts.dict_object.size {
        any::fields(object, layouts.dict_object.size, object.basic_size()?, each)?;
    }
    let mut borrowed = false;
    match layouts.dict_object.storage {
        DictStorage::Keys { ma_keys, ma_values } => {
            let keys = Addr(object.word(ma_keys.offset)?);
            let values = Addr(object.word(ma_values.offset)?);
            if keys_of(object.memory, layouts, keys)?.is_some_and(|keys: Keys| keys.refcnt == 1) {
                each(keys);
            }
            if values.0 != 0 {
                let inside = embedded(object, values)?;
                borrowed = inside && !layouts.pre_header.dict_has_values();
                if !inside {
                    each(values_start(object, values)?);
                }
            }
        }
        DictStorage::Table { ma_table, .. } => each(Addr(object.word(ma_table.offset)?)),
    }
    let most = usize::try_from(MOST_ENTRIES).unwrap_or(usize::MAX);
    for (key, value) in entries(object.memory, layouts, object.addr, most)? {
        each(key);
        // Those that lie inside an instance are the instance's.
        if !borrowed {
            each(value);
        }
    }
    Ok(())
}

/// Whether the values lie inside the instance whose dict it is (3.13).
fn embedded(object: &Object<'_>, values: Addr) -> Result<bool, Fault> {
    match object.layouts.dict_values.map(|fields| fields.header) {
        Some(ValuesHeader::Front { embedded, .. }) => {
            Ok(embedded.read(object.memory, values)? != 0)
        }
        Some(ValuesHeader::Behind) | None => Ok(false),
    }
}

/// Where the block of the values begins: in 3.11 and 3.12 a prefix lies before them, whose size
/// is its last byte.
fn values_start(object: &Object<'_>, values: Addr) -> Result<Addr, Fault> {
    match object.layouts.dict_values.map(|fields| fields.header) {
        Some(ValuesHeader::Behind) => {
            Ok(values.before(u64::from(object.memory.u8(values.before(1))?)))
        }
        Some(ValuesHeader::Front { .. }) | None => Ok(values),
    }
}
