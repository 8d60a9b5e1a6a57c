//! What is one object, ready to be read by its kind?

use crate::layout::tables::dict_values::ValuesHeader;
use crate::layout::{Layouts, ManagedSlots};
use crate::types::TypeInfo;
use memwhy_model::Addr;
use memwhy_target::{Fault, Memory, MemoryExt};

/// No object is scanned further than this: larger ones are arrays of numbers.
const SCANNED: u64 = 64 << 20;

/// An object, and what is needed to read it.
pub struct Object<'a> {
    /// The target.
    pub memory: &'a dyn Memory,
    /// Where things are.
    pub layouts: &'a Layouts,
    /// Its type.
    pub ty: &'a TypeInfo,
    /// Its address.
    pub addr: Addr,
    /// The bytes it begins with: `tp_basicsize` of them, or as many as its type must have.
    pub head: &'a [u8],
}

impl Object<'_> {
    /// The word `offset` bytes into the object.
    ///
    /// # Errors
    /// As [`Memory::read`].
    pub fn word(&self, offset: u64) -> Result<u64, Fault> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        match self.head.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            Some(word) => Ok(u64::from_le_bytes(*word)),
            None => self.memory.u64(self.addr.at(offset)),
        }
    }

    /// `ob_size`, its sign dropped: the number of items of an object that has some.
    ///
    /// # Errors
    /// As [`Memory::read`].
    pub fn items(&self) -> Result<u64, Fault> {
        let size = self.word(self.layouts.var_object.ob_size.offset)?.cast_signed();
        Ok(size.unsigned_abs())
    }

    /// What `object.__sizeof__` states: `tp_basicsize + ob_size * tp_itemsize`.
    ///
    /// # Errors
    /// As [`Memory::read`], and for a length beyond belief.
    pub fn basic_size(&self) -> Result<u64, Fault> {
        if self.ty.itemsize == 0 {
            return Ok(self.ty.basicsize);
        }
        let items = self.items()?.checked_mul(self.ty.itemsize);
        let size = items.and_then(|items| items.checked_add(self.ty.basicsize));
        size.filter(|size| *size < 1 << 47).ok_or(Fault::too_long(self.addr))
    }

    /// Hands out every aligned word from `start` to `end` that may be a pointer.
    ///
    /// # Errors
    /// As [`Memory::read`]; words before the fault have been handed out.
    pub fn scan(&self, start: u64, end: u64, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let mut emit = |bytes: &[u8]| {
            for word in bytes.as_chunks::<8>().0 {
                pointer(u64::from_le_bytes(*word), each);
            }
        };
        let (from, to) = (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0));
        if let Some(bytes) = self.head.get(from..to.max(from)) {
            emit(bytes);
            return Ok(());
        }
        scan_memory(self.memory, self.addr.at(start), end.saturating_sub(start), &mut emit)
    }

    /// Hands out what its attributes refer to that are kept before or inside the object, and the
    /// buffer that keeps them, if it is one of its own.
    ///
    /// # Errors
    /// As [`Memory::read`].
    pub fn managed(&self, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let pre = &self.layouts.pre_header;
        if !pre.has_managed_dict(self.ty.flags) {
            return Ok(());
        }
        let before = |distance| self.memory.u64(self.addr.before(distance));
        match pre.managed {
            ManagedSlots::None => Ok(()),
            ManagedSlots::DictAndValues { dict, values } => {
                pointer(before(dict)?, each);
                self.values(Addr(before(values)?), each)
            }
            ManagedSlots::DictOrValues { either, .. } => {
                let word = before(either)?;
                if word & 1 == 1 {
                    return self.values(Addr(word + 1), each);
                }
                pointer(word, each);
                Ok(())
            }
            ManagedSlots::Dict { dict, .. } => {
                let word = before(dict)?;
                pointer(word & !1, each);
                if word != 0 && pre.dict_has_values() {
                    return Ok(());
                }
                if pre.has_inline_values(self.ty.flags) {
                    return self.inline_values(each);
                }
                Ok(())
            }
        }
    }

    /// Whether a buffer is the one with the values of attributes, 3.11 and 3.12: what it holds has
    /// been handed out, and what else lies there is stale.
    pub(crate) fn is_values(&self, buffer: Addr) -> bool {
        let pre = &self.layouts.pre_header;
        let before = |distance| self.memory.u64(self.addr.before(distance)).unwrap_or(0);
        let values = match pre.managed {
            _ if !pre.has_managed_dict(self.ty.flags) => return false,
            ManagedSlots::None | ManagedSlots::Dict { .. } => return false,
            ManagedSlots::DictAndValues { values, .. } => before(values),
            ManagedSlots::DictOrValues { either, .. } => before(either) + 1,
        };
        // The prefix has a byte for each value, and two more.
        values > buffer.0 && values - buffer.0 <= 264
    }

    /// 3.13: the values lie at `tp_basicsize`, if they are marked valid.
    fn inline_values(&self, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let Some(fields) = self.layouts.dict_values else { return Ok(()) };
        let ValuesHeader::Front { capacity, valid, .. } = fields.header else { return Ok(()) };
        let at = self.addr.at(self.ty.basicsize);
        if valid.read(self.memory, at)? == 0 {
            return Ok(());
        }
        let count = u64::from(capacity.read(self.memory, at)?);
        self.pointers(fields.values.addr(at), count, each)
    }

    /// 3.11 and 3.12: an array of values, with its size in a byte before it.
    fn values(&self, values: Addr, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        if values.0 == 0 {
            return Ok(());
        }
        // `new_values`: the last byte of the prefix is the size of the prefix, the one before it
        // the number of values in use, and before that are their places. Others may not be there.
        let prefix = u64::from(self.memory.u8(values.before(1))?);
        each(values.before(prefix));
        let used = u64::from(self.memory.u8(values.before(2))?);
        let places = self.memory.bytes(values.before(2 + used), used, 256)?;
        let room = places.iter().max().map_or(0, |last| u64::from(*last) + 1);
        let objects = self.memory.words(values, room, 256)?;
        for place in places {
            if let Some(object) = objects.get(usize::from(place)) {
                pointer(*object, each);
            }
        }
        Ok(())
    }

    /// Hands out `count` pointers from `at` on.
    ///
    /// # Errors
    /// As [`Memory::read`]; pointers before the fault have been handed out.
    pub fn pointers(&self, at: Addr, count: u64, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        self.tagged_pointers(at, count, 0, each)
    }

    /// As [`Object::pointers`], of words whose bits in `tags` are no part of the address.
    ///
    /// # Errors
    /// As [`Memory::read`]; pointers before the fault have been handed out.
    pub fn tagged_pointers(
        &self,
        at: Addr,
        count: u64,
        tags: u64,
        each: &mut dyn FnMut(Addr),
    ) -> Result<(), Fault> {
        let len = count.saturating_mul(8);
        scan_memory(self.memory, at, len, &mut |bytes| {
            for word in bytes.as_chunks::<8>().0 {
                pointer(u64::from_le_bytes(*word) & !tags, each);
            }
        })
    }
}

/// Reads memory piece by piece, so that a wrong length costs no memory of ours.
fn scan_memory(
    memory: &dyn Memory,
    start: Addr,
    len: u64,
    each: &mut dyn FnMut(&[u8]),
) -> Result<(), Fault> {
    const PIECE: usize = 4096;
    if len > SCANNED {
        return Err(Fault::too_long(start));
    }
    let mut buf = [0; PIECE];
    let mut done = 0;
    while done < len {
        let piece = usize::try_from((PIECE as u64).min(len - done)).unwrap_or(0);
        let piece = buf.get_mut(..piece).unwrap_or_default();
        memory.read(start.at(done), piece)?;
        each(piece);
        done += PIECE as u64;
    }
    Ok(())
}

/// Whether a word may be the address of an object or of a block, as far as itself tells.
pub(crate) const fn may_be_address(word: u64) -> bool {
    word.is_multiple_of(8) && 0x1_0000 <= word && word < 1 << 47
}

/// Hands out `word` if it can be the address of an object or of a block.
fn pointer(word: u64, each: &mut dyn FnMut(Addr)) {
    if may_be_address(word) {
        each(Addr(word));
    }
}
