//! Bytes. Source: `Objects/bytesobject.c: PyBytes_Repr`, `Objects/bytearrayobject.c:
//! bytearray_repr`.

use super::subject::Subject;
use super::writer::Writer;
use super::{Family, Write, strings};
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

pub(super) static FAMILY: Family = &[(&["bytes"], bytes as Write), (&["bytearray"], byte_array)];

/// Which quotes are used depends on all of the bytes; so many of them are looked at.
const LOOKED_AT: u64 = 1 << 14;

pub(super) fn bytes(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let layouts = writer.layouts;
    let length = length(writer, subject.addr)?;
    if layouts.wording.bytes_prefix {
        writer.text("b");
    }
    literal(writer, layouts.bytes_object.ob_sval.addr(subject.addr), length, Escapes::Quotes)
}

fn byte_array(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let fields = writer.layouts.byte_array;
    let length = length(writer, subject.addr)?;
    let start = fields.ob_start.unwrap_or(fields.ob_bytes).read(writer.memory, subject.addr)?;
    let name = subject.short_name().to_owned();
    writer.text(&format!("{name}(b"));
    let escapes = if writer.layouts.wording.apostrophes_escaped {
        Escapes::Apostrophes
    } else {
        Escapes::Quotes
    };
    literal(writer, start.unwrap_or_default(), length, escapes)?;
    writer.close(")");
    Ok(())
}

fn length(writer: &Writer<'_>, addr: Addr) -> Result<u64, Fault> {
    let length = writer.layouts.var_object.ob_size.read(writer.memory, addr)?;
    u64::try_from(length).map_err(|_| Fault::too_long(addr))
}

/// Which quotes have a backslash before them: those that are used around, or `'` alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Quotes,
    Apostrophes,
}

fn literal(writer: &mut Writer<'_>, at: Addr, length: u64, escapes: Escapes) -> Result<(), Fault> {
    let looked_at = length.min(LOOKED_AT);
    let bytes =
        if looked_at == 0 { Vec::new() } else { writer.memory.bytes(at, looked_at, 1 << 16)? };
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let written = |byte: &u8| match byte {
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b'\'' if escapes == Escapes::Apostrophes => "\\'".to_owned(),
        byte if char::from(*byte) == quote && escapes == Escapes::Quotes => format!("\\{quote}"),
        b' '..=b'~' => char::from(*byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    strings::quoted(writer, quote, bytes.iter().map(written), looked_at == length);
    Ok(())
}
