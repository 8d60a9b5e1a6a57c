//! Decimal numbers. Source: `Modules/_decimal/_decimal.c`, `PyDecObject`, `dec___sizeof__`.

use super::Kind;
use super::any;
use super::flat::subclass_fields;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

#[derive(Debug)]
pub(super) struct Decimal;

pub(super) static DECIMAL: Decimal = Decimal;

/// `PyDecObject` behind what every object begins with: the hash, then `mpd_t`, which is flags,
/// exponent, digits, length, room and the words of the number.
const FLAGS: u64 = 8;
const ROOM: u64 = 40;
const WORDS: u64 = 48;
/// `MPD_STATIC_DATA`: the words are those inside the object.
const INSIDE: u8 = 32;

impl Decimal {
    fn is_inside(object: &Object<'_>) -> Result<bool, Fault> {
        let flags = object.addr.at(object.layouts.object.size + FLAGS);
        Ok(object.memory.u8(flags)? & INSIDE != 0)
    }
}

impl Kind for Decimal {
    fn names(&self) -> &'static [&'static str] {
        &["decimal.Decimal"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let own = any::shallow(object)?;
        if Self::is_inside(object)? {
            return Ok(own);
        }
        let room = object.word(object.layouts.object.size + ROOM)?;
        let bytes = room.checked_mul(8).filter(|bytes| *bytes < 1 << 47);
        Ok(own + bytes.ok_or(Fault::too_long(object.addr))?)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        if !Self::is_inside(object)? {
            let at = object.layouts.object.size + WORDS;
            object.scan(at, at + 8, each)?;
        }
        subclass_fields(object, each)
    }
}
