//! Objects of well-known C extensions: `ctypes`, NumPy. Source: `Modules/_ctypes/ctypes.h:
//! CDataObject`, NumPy's `ndarraytypes.h: PyArrayObject_fields, _PyArray_Descr`.

use super::subject::{Subject, c_name, class_attribute};
use super::writer::Writer;
use super::{Family, Write, strings, views};
use crate::text;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

pub(super) static FAMILY: Family = &[
    (&["_ctypes._SimpleCData", "_ctypes.PySimpleCData", "_SimpleCData"], simple as Write),
    (&["_ctypes._CData"], c_data),
    (&["numpy.ndarray"], numpy_array),
];

/// Dimensions are written up to this number; NumPy has 64 at most.
const MOST_DIMENSIONS: u64 = 64;

/// `b_ptr` is the first field of `CDataObject`, `b_size` the fourth.
fn content(writer: &Writer<'_>, addr: Addr) -> Result<(Addr, u64), Fault> {
    let fields = addr.at(writer.layouts.object.size);
    let at = writer.memory.ptr(fields)?.ok_or(Fault::unmapped(addr))?;
    Ok((at, writer.memory.u64(fields.at(24))?))
}

/// `c_int(5)`: the type has the letter that stands for it in `_type_`.
fn simple(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let letter = class_attribute(memory, layouts, subject.ty, None, "_type_")
        .and_then(|letter| text::read(memory, layouts, letter, 2).ok())
        .and_then(|letter| letter.chars().next());
    let (at, size) = content(writer, subject.addr)?;
    let lower = |letter: char| match letter {
        'g' => None,
        other => Some(other),
    };
    let Some(letter) = letter.and_then(lower) else { return c_data(writer, subject) };
    let bytes = memory.bytes(at, size.min(8), 8)?;
    writer.text(&format!("{}(", subject.short_name()));
    match letter {
        'O' => writer.object_or(memory.ptr(at)?, "<NULL>"),
        'z' | 'Z' | 'P' => {
            let target = memory.ptr(at)?;
            match target {
                None => writer.text("None"),
                Some(target) if letter == 'P' => writer.text(&target.0.to_string()),
                Some(_) => writer.leave_out(),
            }
        }
        'c' => {
            if layouts.wording.bytes_prefix {
                writer.text("b");
            }
            let units: Vec<u32> = bytes.iter().take(1).map(|byte| u32::from(*byte)).collect();
            strings::literal(writer, &units, true);
        }
        letter => writer.text(&views::number(letter, &bytes)),
    }
    writer.close(")");
    Ok(())
}

fn c_data(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (_, size) = content(writer, subject.addr)?;
    let name = subject.type_name(writer.memory, writer.layouts);
    writer.text(&format!("<{name} object"));
    writer.at(subject.addr);
    writer.text(&format!(" {size} B"));
    writer.close(">");
    Ok(())
}

/// Fields of `PyArrayObject_fields` behind what every object begins with, the same since 1.7.
mod array_field {
    pub(super) const DIMENSIONS: u64 = 8;
    pub(super) const SHAPE: u64 = 16;
    pub(super) const BASE: u64 = 32;
    pub(super) const DESCRIPTOR: u64 = 40;
}

/// Its shape and type of items, how much memory that is, and whose.
fn numpy_array(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let fields = subject.addr.at(layouts.object.size);
    let dimensions = u64::from(memory.u32(fields.at(array_field::DIMENSIONS))?);
    let dimensions = dimensions.min(MOST_DIMENSIONS);
    let shape = match memory.ptr(fields.at(array_field::SHAPE))? {
        Some(shape) if dimensions > 0 => memory.words(shape, dimensions, 64)?,
        _ => Vec::new(),
    };
    let descriptor = memory.ptr(fields.at(array_field::DESCRIPTOR))?;
    let descriptor = descriptor.ok_or(Fault::unmapped(subject.addr))?;
    // The descriptor begins with the type of a single item, whose name is that of the items.
    let item =
        memory.ptr(descriptor.at(layouts.object.size))?.ok_or(Fault::unmapped(descriptor))?;
    let item = c_name(memory, layouts, item)?;
    let item = item.rsplit('.').next().unwrap_or_default().trim_end_matches('_').to_owned();
    let lengths: Vec<String> = shape.iter().map(u64::to_string).collect();
    let comma = if lengths.len() == 1 { "," } else { "" };
    let name = subject.type_name(memory, layouts);
    writer.text(&format!("<{name} shape=({}{comma}) dtype={item}", lengths.join(", ")));
    let count = shape.iter().try_fold(1u64, |product, length| product.checked_mul(*length));
    if let Some(bytes) = count.zip(item_size(&item)).and_then(|(n, size)| n.checked_mul(size)) {
        writer.text(&format!(" {bytes} B"));
    }
    if let Some(base) = memory.ptr(fields.at(array_field::BASE))? {
        writer.text(" view of ");
        writer.object(base);
    }
    writer.close(">");
    Ok(())
}

/// Bytes of one item of the types whose names have its bits.
fn item_size(name: &str) -> Option<u64> {
    match name {
        "bool" => Some(1),
        "object" | "datetime64" | "timedelta64" | "longlong" | "ulonglong" => Some(8),
        "longdouble" => Some(16),
        "clongdouble" => Some(32),
        other => {
            let bits: u64 =
                other.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()?;
            Some(bits / 8)
        }
    }
}
