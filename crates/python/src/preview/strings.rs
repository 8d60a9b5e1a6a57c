//! Text. Source: `Objects/unicodeobject.c: unicode_repr`.

use super::subject::Subject;
use super::writer::Writer;
use super::{Family, Write, bytes};
use crate::layout::TypeFlags;
use crate::text;
use memwhy_target::Fault;

pub(super) static FAMILY: Family = &[(&["str", "unicode"], string as Write)];

/// Which quotes are used depends on all of the text; so much of it is looked at.
const LOOKED_AT: usize = 1 << 14;

fn string(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    if subject.flags & TypeFlags::UNICODE_SUBCLASS == 0 {
        return bytes::bytes(writer, subject);
    }
    if writer.layouts.wording.unicode_prefix {
        writer.text("u");
    }
    let (units, all) = text::units(writer.memory, writer.layouts, subject.addr, LOOKED_AT)?;
    literal(writer, &units, all == units.len() as u64);
    Ok(())
}

/// Writes characters as a literal, `complete` if they are all there are.
pub(super) fn literal(writer: &mut Writer<'_>, units: &[u32], complete: bool) {
    let ascii_only = writer.layouts.wording.unicode_prefix;
    let has = |quote: char| units.contains(&u32::from(quote));
    let quote = if has('\'') && !has('"') { '"' } else { '\'' };
    let written = |unit: &u32| escaped(*unit, quote, ascii_only);
    quoted(writer, quote, units.iter().map(written), complete);
}

/// Writes pieces between quotes until there is no more room.
pub(super) fn quoted(
    writer: &mut Writer<'_>,
    quote: char,
    pieces: impl Iterator<Item = String>,
    complete: bool,
) {
    writer.text(&quote.to_string());
    let mut complete = complete;
    for piece in pieces {
        if piece.chars().count() > writer.left() {
            complete = false;
            break;
        }
        writer.text(&piece);
    }
    if !complete {
        writer.leave_out();
    }
    writer.close(&quote.to_string());
}

fn escaped(unit: u32, quote: char, ascii_only: bool) -> String {
    match char::from_u32(unit) {
        Some('\n') => "\\n".into(),
        Some('\r') => "\\r".into(),
        Some('\t') => "\\t".into(),
        Some('\\') => "\\\\".into(),
        Some(c) if c == quote => format!("\\{c}"),
        Some(c) if c == ' ' || c.is_ascii_graphic() => c.into(),
        Some(c) if !ascii_only && is_printable(c) => c.into(),
        _ if unit < 0x100 => format!("\\x{unit:02x}"),
        _ if unit < 0x1_0000 => format!("\\u{unit:04x}"),
        _ => format!("\\U{unit:08x}"),
    }
}

/// Whether Unicode says that the character can be seen; `debug` escapes the others, and by itself
/// also marks that join the character before.
fn is_printable(c: char) -> bool {
    let after_another: String = ['a', c].iter().collect();
    !after_another.escape_debug().skip(1).collect::<String>().starts_with('\\')
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_cannot_be_seen_is_escaped_as_python_does() {
        for (unit, text) in [
            (0xe9, "é"),
            (0x301, "\u{301}"),
            (0xa0, "\\xa0"),
            (0xad, "\\xad"),
            (0x200b, "\\u200b"),
            (0xd800, "\\ud800"),
            (0x1_f40d, "🐍"),
            (0xe_0001, "\\U000e0001"),
            (0, "\\x00"),
            (0x27, "\\'"),
            (0x22, "\""),
        ] {
            assert_eq!(escaped(unit, '\'', false), text);
        }
        assert_eq!(escaped(0xe9, '\'', true), "\\xe9");
        assert_eq!(escaped(0x1_f40d, '\'', true), "\\U0001f40d");
    }
}
