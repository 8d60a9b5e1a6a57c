//! Sets and frozen sets. Source: `Objects/setobject.c`, `set___sizeof__`.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct Set;

pub(super) static SET: Set = Set;

impl Kind for Set {
    fn names(&self) -> &'static [&'static str] {
        &["set", "frozenset"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let own = any::shallow(object)?;
        Ok(match outside(object)? {
            Some((_, slots)) => own + slots * object.layouts.set_entry.size,
            None => own,
        })
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let start = object.layouts.object.size;
        any::fields(object, start, object.ty.basicsize, each)?;
        match outside(object)? {
            // Hashes lie between the keys; one that is an object's address by chance is rarer
            // than can be seen.
            Some((table, slots)) => object.pointers(table, slots * 2, each),
            None => Ok(()),
        }
    }
}

/// The table and its slots, if it is not the small one inside the object.
fn outside(object: &Object<'_>) -> Result<Option<(Addr, u64)>, Fault> {
    let fields = &object.layouts.set_object;
    let table = Addr(object.word(fields.table.offset)?);
    if table == object.addr.at(fields.smalltable.offset) || table.0 == 0 {
        return Ok(None);
    }
    let slots = object.word(fields.mask.offset)?.checked_add(1);
    let slots = slots.filter(|slots| slots.is_power_of_two() && *slots < 1 << 40);
    Ok(Some((table, slots.ok_or(Fault::too_long(object.addr))?)))
}
