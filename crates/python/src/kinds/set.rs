//! Sets and frozen sets. Source: `Objects/setobject.c`, `set___sizeof__`.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::{Fault, MAX_READ, MemoryExt};

#[derive(Debug)]
pub(super) struct Set;

pub(super) static SET: Set = Set;

impl Kind for Set {
    fn names(&self) -> &'static [&'static str] {
        &["set", "frozenset"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let own = any::shallow(object)?;
        let (table, slots) = table(object)?;
        Ok(if is_inside(object, table) { own } else { own + slots * object.layouts.set_entry.size })
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let (table, slots) = table(object)?;
        if !is_inside(object, table) {
            each(table);
        }
        // Not the small table: where it is not the table any more its entries are stale.
        any::fields(object, object.layouts.set_object.size, object.ty.basicsize, each)?;
        keys(object, table, slots, each)
    }
}

/// Hands out the keys of a table; where one was removed its hash is -1, and the key stands for
/// none. In 2.7 the hash stays, and a string stands for the key.
fn keys(
    object: &Object<'_>,
    table: Addr,
    slots: u64,
    each: &mut dyn FnMut(Addr),
) -> Result<(), Fault> {
    /// Entries read at once.
    const PIECE: u64 = 4096;
    let entry = object.layouts.set_entry;
    let size = usize::try_from(entry.size).unwrap_or(16).max(1);
    let mut done = 0;
    while done < slots {
        let piece = PIECE.min(slots - done);
        let at = table.at(done * entry.size);
        let bytes = object.memory.bytes(at, piece * entry.size, MAX_READ)?;
        for slot in bytes.chunks_exact(size) {
            if let Some(Some(key)) = entry.key.from(slot)
                && entry.hash.from(slot) != Some(-1)
            {
                each(key);
            }
        }
        done += piece;
    }
    Ok(())
}

/// The table and its slots.
fn table(object: &Object<'_>) -> Result<(Addr, u64), Fault> {
    let fields = &object.layouts.set_object;
    let table = Addr(object.word(fields.table.offset)?);
    if table.0 == 0 {
        return Ok((table, 0));
    }
    let slots = object.word(fields.mask.offset)?.checked_add(1);
    let slots = slots.filter(|slots| slots.is_power_of_two() && *slots < 1 << 40);
    Ok((table, slots.ok_or(Fault::too_long(object.addr))?))
}

/// Whether the table is the small one inside the object.
fn is_inside(object: &Object<'_>, table: Addr) -> bool {
    table.0 == 0 || table == object.addr.at(object.layouts.set_object.smalltable.offset)
}
