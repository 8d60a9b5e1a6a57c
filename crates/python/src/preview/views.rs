//! Arrays and views of memory. Source: `Modules/arraymodule.c: array_repr`,
//! `Objects/memoryobject.c: memory_repr`, `Include/cpython/object.h: Py_buffer`.

use super::subject::{Subject, c_name_of};
use super::writer::Writer;
use super::{Family, Write, numbers, strings};
use memwhy_target::{Fault, MemoryExt};

pub(super) static FAMILY: Family =
    &[(&["array.array"], array as Write), (&["memoryview"], memory_view)];

/// `struct arraydescr` begins with the letter that stands for the type of its items.
const ITEM_SIZE: u64 = 4;

fn array(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, addr) = (writer.memory, subject.addr);
    let fields = writer.layouts.array.ok_or(Fault::unmapped(addr))?;
    let descriptor = fields.ob_descr.read(memory, addr)?.ok_or(Fault::unmapped(addr))?;
    let letter = char::from(memory.u8(descriptor)?);
    let width = u64::from(memory.u32(descriptor.at(ITEM_SIZE))?);
    let count = writer.layouts.var_object.ob_size.read(memory, addr)?;
    let count = u64::try_from(count).map_err(|_| Fault::too_long(addr))?;
    writer.text(&format!("{}('{letter}'", subject.short_name()));
    if count > 0 {
        let wanted = count.min(writer.worth_reading() as u64);
        let at = fields.ob_item.read(memory, addr)?.ok_or(Fault::unmapped(addr))?;
        let bytes = memory.bytes(at, wanted.saturating_mul(width), 1 << 16)?;
        let items = bytes.chunks_exact(usize::try_from(width).unwrap_or(1).max(1));
        if letter == 'u' || letter == 'w' || letter == 'c' {
            let units: Vec<u32> =
                items.map(|item| u32::try_from(unsigned(item)).unwrap_or(0)).collect();
            writer.text(", ");
            strings::literal(writer, &units, wanted == count);
        } else {
            writer.text(", [");
            let mut written = 0;
            for item in items {
                if written > 0 {
                    writer.text(", ");
                }
                if writer.full() {
                    break;
                }
                writer.text(&number(letter, item));
                written += 1;
            }
            if written < count {
                writer.leave_out();
            }
            writer.close("]");
        }
    }
    writer.close(")");
    Ok(())
}

fn unsigned(item: &[u8]) -> u64 {
    item.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// One number of C, by the letter that `array`, `struct` and `ctypes` give its type.
pub(super) fn number(letter: char, item: &[u8]) -> String {
    let raw = unsigned(item);
    match letter {
        'f' => {
            let single = f32::from_bits(u32::try_from(raw).unwrap_or(0));
            with_point(numbers::shortest(f64::from(single)))
        }
        'd' => with_point(numbers::shortest(f64::from_bits(raw))),
        '?' => if raw == 0 { "False" } else { "True" }.to_owned(),
        'b' | 'h' | 'i' | 'l' | 'q' => {
            let unused = 64 - 8 * u32::try_from(item.len()).unwrap_or(8).min(8);
            let signed = raw.checked_shl(unused).unwrap_or(0).cast_signed();
            signed.checked_shr(unused).unwrap_or(0).to_string()
        }
        _ => raw.to_string(),
    }
}

fn with_point(text: String) -> String {
    let whole = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if whole { text + ".0" } else { text }
}

/// What is seen follows the address: whose memory, and how much.
fn memory_view(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let view = writer.layouts.memory_view;
    writer.text("<memory");
    writer.at(subject.addr);
    let of = view.obj.read(writer.memory, subject.addr)?;
    let bytes = view.len.read(writer.memory, subject.addr)?;
    writer.text(&format!(" {bytes} B"));
    if let Some(of) = of {
        let name = c_name_of(writer.memory, writer.layouts, of)?;
        writer.text(&format!(" of {name}"));
        writer.at(of);
    }
    writer.close(">");
    Ok(())
}
