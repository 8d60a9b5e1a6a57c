//! Which number is an integer of the target?

use crate::layout::tables::long_object::LongLength;
use crate::layout::{Layouts, TypeFlags};
use memwhy_model::Addr;
use memwhy_target::{Fault, Memory, MemoryExt};

/// Bits of a digit on every 64-bit platform.
pub(crate) const DIGIT_BITS: u32 = 30;

/// Reads an `int` (in 2.7 also a `long`); `None` for other objects and for more than 64 bits.
///
/// # Errors
/// As [`Memory::read`].
pub fn read(memory: &dyn Memory, layouts: &Layouts, addr: Addr) -> Result<Option<i128>, Fault> {
    let Some(ty) = layouts.object.ob_type.read(memory, addr)? else { return Ok(None) };
    let flags = layouts.type_object.tp_flags.read(memory, ty)?;
    if flags & TypeFlags::LONG_SUBCLASS == 0 {
        let small = layouts.int_object.filter(|_| flags & TypeFlags::INT_SUBCLASS != 0);
        let number = small.map(|fields| fields.ob_ival.read(memory, addr)).transpose()?;
        return Ok(number.map(i128::from));
    }
    let (count, negative) = digit_count(memory, layouts, addr)?;
    // Three digits have room for 90 bits, a word takes 64.
    if count > 3 {
        return Ok(None);
    }
    let digits = digits(memory, layouts, addr, 0, count)?.into_iter();
    let number = digits.zip([0, DIGIT_BITS, 2 * DIGIT_BITS]).map(|(d, by)| i128::from(d) << by);
    let number: i128 = number.sum();
    Ok(Some(if negative { -number } else { number }))
}

/// How many digits of [`DIGIT_BITS`] an `int` (in 2.7 a `long`) has, and whether it is negative.
pub(crate) fn digit_count(
    memory: &dyn Memory,
    layouts: &Layouts,
    addr: Addr,
) -> Result<(u64, bool), Fault> {
    Ok(match layouts.long_object.length {
        LongLength::Tag(tag) => {
            let tag = tag.read(memory, addr)?;
            (tag >> 3, tag & 3 == 2)
        }
        LongLength::ObSize => {
            let size = layouts.var_object.ob_size.read(memory, addr)?;
            (size.unsigned_abs(), size < 0)
        }
    })
}

/// `count` of its digits from number `first` on, the lowest first; no more than a few pages.
pub(crate) fn digits(
    memory: &dyn Memory,
    layouts: &Layouts,
    addr: Addr,
    first: u64,
    count: u64,
) -> Result<Vec<u32>, Fault> {
    const SIZE: u64 = 4;
    let start = layouts.long_object.digits.addr(addr).at(first.saturating_mul(SIZE));
    let bytes = memory.bytes(start, count.saturating_mul(SIZE), 1 << 14)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|digit| u32::from_le_bytes(*digit)).collect())
}
