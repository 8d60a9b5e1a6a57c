//! What does a string of the target say?

use crate::layout::Layouts;
use crate::layout::tables::unicode_object::UnicodeText;
use memwhy_model::Addr;
use memwhy_target::{Fault, Memory, MemoryExt};

/// Reads a `str` (in 2.7 a `str` or `unicode`) of at most `limit` characters.
///
/// What is no character is replaced; a string that is longer than `limit` is cut there.
///
/// # Errors
/// As [`Memory::read`], and for a length beyond belief.
pub fn read(
    memory: &dyn Memory,
    layouts: &Layouts,
    addr: Addr,
    limit: usize,
) -> Result<String, Fault> {
    let (units, _) = units(memory, layouts, addr, limit)?;
    let shown = |unit: u32| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    Ok(units.into_iter().map(shown).collect())
}

/// The first `limit` characters as they are, lone surrogates among them, and how many there are
/// in all.
///
/// # Errors
/// As [`read`].
pub fn units(
    memory: &dyn Memory,
    layouts: &Layouts,
    addr: Addr,
    limit: usize,
) -> Result<(Vec<u32>, u64), Fault> {
    let (data, length, width) = place(memory, layouts, addr)?;
    let all = u64::try_from(length).map_err(|_| Fault::too_long(data))?;
    let length = all.min(limit as u64);
    let bytes = memory.bytes(data, length.saturating_mul(width), limit.saturating_mul(4))?;
    let units = match width {
        1 => bytes.iter().map(|byte| u32::from(*byte)).collect(),
        2 => {
            let units = bytes.as_chunks::<2>().0.iter();
            units.map(|unit| u32::from(u16::from_le_bytes(*unit))).collect()
        }
        4 => bytes.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect(),
        _ => return Err(Fault::unmapped(data)),
    };
    Ok((units, all))
}

/// Where the characters are, how many, and how many bytes each.
fn place(memory: &dyn Memory, layouts: &Layouts, addr: Addr) -> Result<(Addr, i64, u64), Fault> {
    let (Some(ascii), Some(compact)) = (layouts.ascii_object, layouts.compact_unicode) else {
        return place_2(memory, layouts, addr);
    };
    let head = memory.bytes(addr, ascii.size, 128)?;
    let fault = Fault::unmapped(addr);
    let length = ascii.length.from(&head).ok_or(fault)?;
    let (is_compact, is_ascii) =
        (ascii.compact.from(&head).ok_or(fault)?, ascii.ascii.from(&head).ok_or(fault)?);
    let width = u64::from(ascii.kind.from(&head).ok_or(fault)?);
    let data = match (is_compact, is_ascii, layouts.unicode_object.text) {
        (1, 1, _) => addr.at(ascii.size),
        (1, ..) => addr.at(compact.size),
        (_, _, UnicodeText::Elsewhere(text)) => text.read(memory, addr)?.ok_or(fault)?,
        (_, _, UnicodeText::Units { .. }) => return Err(fault),
    };
    Ok((data, length, width))
}

/// 2.7: bytes as they are, or an array of `Py_UNICODE`.
fn place_2(memory: &dyn Memory, layouts: &Layouts, addr: Addr) -> Result<(Addr, i64, u64), Fault> {
    use crate::layout::TypeFlags;
    let fault = Fault::unmapped(addr);
    let ty = layouts.object.ob_type.read(memory, addr)?.ok_or(fault)?;
    let flags = layouts.type_object.tp_flags.read(memory, ty)?;
    if flags & TypeFlags::UNICODE_SUBCLASS != 0
        && let UnicodeText::Units { length, str, .. } = layouts.unicode_object.text
    {
        let data = str.read(memory, addr)?.ok_or(fault)?;
        return Ok((data, length.read(memory, addr)?, layouts.unicode_unit));
    }
    if flags & TypeFlags::BYTES_SUBCLASS == 0 {
        return Err(fault);
    }
    let length = layouts.var_object.ob_size.read(memory, addr)?;
    Ok((layouts.bytes_object.ob_sval.addr(addr), length, 1))
}
