//! `PyASCIIObject`: the first part of every `str` of Python 3.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 3.6   | `wstr`: a copy in `wchar_t`, and strings that are not ready |
//! | 3.12  | neither any more |
//! | 3.14t | `interned` fills a byte of its own |
//!
//! Source: `Include/unicodeobject.h`; `Include/cpython/unicodeobject.h` from 3.3.

use crate::layout::{Bits, Field, Member, Ptr, Row, Shape, Spot, Table, at, bits};
use crate::version::v3;

/// Where things are in `PyASCIIObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsciiObject {
    /// `sizeof`; the text of a compact ASCII string starts here.
    pub size: u64,
    /// How many code points.
    pub length: Field<i64>,
    /// Bytes for each code point, 1, 2 or 4; 0 before `ready`.
    pub kind: Bits,
    /// Whether the text follows the struct.
    pub compact: Bits,
    /// Whether it is ASCII; then the text follows this part if compact.
    pub ascii: Bits,
    /// 0 not, 1 mortal, 2 immortal.
    pub interned: Bits,
    /// A copy in `wchar_t`.
    pub wstr: Option<Field<Ptr>>,
}

/// Every layout of the struct, oldest first.
pub const ASCII_OBJECT: Table<AsciiObject> = Table(&[
    Row {
        since: v3(6),
        free_threaded: false,
        layout: AsciiObject {
            size: 48,
            length: at("length", 16),
            kind: bits("state.kind", 32, 2, 3),
            compact: bits("state.compact", 32, 5, 1),
            ascii: bits("state.ascii", 32, 6, 1),
            interned: bits("state.interned", 32, 0, 2),
            wstr: Some(at("wstr", 40)),
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: AsciiObject {
            size: 40,
            length: at("length", 16),
            kind: bits("state.kind", 32, 2, 3),
            compact: bits("state.compact", 32, 5, 1),
            ascii: bits("state.ascii", 32, 6, 1),
            interned: bits("state.interned", 32, 0, 2),
            wstr: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: AsciiObject {
            size: 56,
            length: at("length", 32),
            kind: bits("state.kind", 48, 2, 3),
            compact: bits("state.compact", 48, 5, 1),
            ascii: bits("state.ascii", 48, 6, 1),
            interned: bits("state.interned", 48, 0, 2),
            wstr: None,
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: AsciiObject {
            size: 56,
            length: at("length", 32),
            kind: bits("state.kind", 49, 0, 3),
            compact: bits("state.compact", 49, 3, 1),
            ascii: bits("state.ascii", 49, 4, 1),
            interned: bits("state.interned", 48, 0, 8),
            wstr: None,
        },
    },
]);

impl Shape for AsciiObject {
    const C_NAMES: &'static [&'static str] = &["PyASCIIObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyASCIIObject";
        self.length.visit_in(of, visit);
        self.kind.visit_in(of, visit);
        self.compact.visit_in(of, visit);
        self.ascii.visit_in(of, visit);
        self.interned.visit_in(of, visit);
        self.wstr.visit_in(of, visit);
    }
}
