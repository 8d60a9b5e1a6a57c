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
    let (Some(ascii), Some(compact)) = (layouts.ascii_object, layouts.compact_unicode) else {
        return read_2(memory, layouts, addr, limit);
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
    units(memory, data, length, width, limit)
}

/// 2.7: bytes as they are, or an array of `Py_UNICODE`.
fn read_2(
    memory: &dyn Memory,
    layouts: &Layouts,
    addr: Addr,
    limit: usize,
) -> Result<String, Fault> {
    use crate::layout::TypeFlags;
    let fault = Fault::unmapped(addr);
    let ty = layouts.object.ob_type.read(memory, addr)?.ok_or(fault)?;
    let flags = layouts.type_object.tp_flags.read(memory, ty)?;
    if flags & TypeFlags::UNICODE_SUBCLASS != 0
        && let UnicodeText::Units { length, str, .. } = layouts.unicode_object.text
    {
        let data = str.read(memory, addr)?.ok_or(fault)?;
        let unit = layouts.unicode_unit;
        return units(memory, data, length.read(memory, addr)?, unit, limit);
    }
    if flags & TypeFlags::BYTES_SUBCLASS == 0 {
        return Err(fault);
    }
    let length = layouts.var_object.ob_size.read(memory, addr)?;
    units(memory, layouts.bytes_object.ob_sval.addr(addr), length, 1, limit)
}

/// Reads `length` characters of `width` bytes each.
fn units(
    memory: &dyn Memory,
    data: Addr,
    length: i64,
    width: u64,
    limit: usize,
) -> Result<String, Fault> {
    let length = u64::try_from(length).map_err(|_| Fault::too_long(data))?.min(limit as u64);
    let bytes = memory.bytes(data, length.saturating_mul(width), limit.saturating_mul(4))?;
    let shown = |unit: u32| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    Ok(match width {
        1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
        2 => {
            let units = bytes.as_chunks::<2>().0.iter();
            units.map(|unit| shown(u32::from(u16::from_le_bytes(*unit)))).collect()
        }
        4 => {
            let units = bytes.as_chunks::<4>().0.iter();
            units.map(|unit| shown(u32::from_le_bytes(*unit))).collect()
        }
        _ => return Err(Fault::unmapped(data)),
    })
}
