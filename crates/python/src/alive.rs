//! Does what looks like an object live?

use crate::layout::tables::object::Refcount;
use crate::layout::{Layouts, TypeFlags};
use crate::types::TypeInfo;
use memwhy_model::Flags;

/// Whether the items of a tuple or of bytes, whose number it states, fit into `room` bytes.
pub(crate) fn items_fit(layouts: &Layouts, info: &TypeInfo, object: &[u8], room: u64) -> bool {
    if info.flags & (TypeFlags::TUPLE_SUBCLASS | TypeFlags::BYTES_SUBCLASS) == 0 {
        return true;
    }
    let items = layouts.var_object.ob_size.from(object).and_then(|n| u64::try_from(n).ok());
    let size = items.and_then(|n| n.checked_mul(info.itemsize)?.checked_add(info.basicsize));
    size.is_some_and(|size| size <= room)
}

/// Whether C code can define an object of a type: not of one that is made at run time, and of the
/// types that the collector cares for only types and tuples, or else it must be immortal.
pub(crate) fn may_be_static(layouts: &Layouts, info: &TypeInfo, flags: Flags) -> bool {
    // Without GIL nothing static is counted.
    if matches!(layouts.object.refcount, Refcount::Shared { .. }) && !flags.has(Flags::IMMORTAL) {
        return false;
    }
    let constant = TypeFlags::TYPE_SUBCLASS | TypeFlags::TUPLE_SUBCLASS;
    let made_by_c = info.flags & TypeFlags::HEAPTYPE == 0;
    let lasts = info.flags & constant != 0 || flags.has(Flags::IMMORTAL);
    made_by_c && (!info.has(TypeFlags::HAVE_GC) || lasts)
}

/// Whether the words before an object, where its attributes and weak references are, may be that:
/// an object whose block went to somebody who wrote text over them is none.
pub(crate) fn are_addresses(words: &[u8]) -> bool {
    /// Where the half of a program ends.
    const END: u64 = 1 << 47;
    let (words, _) = words.as_chunks::<8>();
    words.iter().all(|word| u64::from_le_bytes(*word) < END)
}

/// Whether a reference count is that of a living object, and whether it is immortal.
///
/// Freed objects keep their type in some lists of free ones: their count is 0, or, from 3.14, the
/// word is a pointer.
pub(crate) fn alive(refcount: &Refcount, object: &[u8]) -> Option<Flags> {
    let immortal = |is: bool| if is { Flags::IMMORTAL } else { Flags::default() };
    match refcount {
        Refcount::Plain(count) => {
            let count = count.from(object)?;
            (count > 0 && count < 1 << 32).then(Flags::default)
        }
        Refcount::Split(word) => {
            let word = word.from(object)?;
            let low = word & 0xffff_ffff;
            (low != 0 && word >> 32 <= 1 && word > 0).then(|| immortal(low >= 1 << 31))
        }
        Refcount::Flagged { count, overflow, flags } => {
            let count = count.from(object)?;
            (count != 0 && overflow.from(object)? == 0 && flags.from(object)? < 0x20)
                .then(|| immortal(count >= 1 << 31))
        }
        Refcount::Shared { local, shared, .. } => {
            let (local, shared) = (local.from(object)?, shared.from(object)?);
            // The two lowest bits of the shared count are flags. It may be negative: what one
            // thread took another may give back.
            let count = (shared >> 2).checked_add(local.into())?;
            (local == u32::MAX || count > 0).then(|| immortal(local == u32::MAX))
        }
    }
}
