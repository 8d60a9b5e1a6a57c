//! `PyCompactUnicodeObject`: the first parts of a `str` that is not ASCII.
//!
//! Source: `Include/cpython/unicodeobject.h`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `PyCompactUnicodeObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactUnicode {
    /// `sizeof`; the text of a compact string starts here.
    pub size: u64,
    /// Bytes in `utf8`, the zero not counted.
    pub utf8_length: Field<i64>,
    /// A copy in UTF-8, null until asked for.
    pub utf8: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const COMPACT_UNICODE: Table<CompactUnicode> = Table(&[
    Row {
        since: v3(6),
        free_threaded: false,
        layout: CompactUnicode {
            size: 72,
            utf8_length: at("utf8_length", 48),
            utf8: at("utf8", 56),
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: CompactUnicode {
            size: 56,
            utf8_length: at("utf8_length", 40),
            utf8: at("utf8", 48),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: CompactUnicode {
            size: 72,
            utf8_length: at("utf8_length", 56),
            utf8: at("utf8", 64),
        },
    },
]);

impl Shape for CompactUnicode {
    const C_NAMES: &'static [&'static str] = &["PyCompactUnicodeObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyCompactUnicodeObject";
        self.utf8_length.visit_in(of, visit);
        self.utf8.visit_in(of, visit);
    }
}
