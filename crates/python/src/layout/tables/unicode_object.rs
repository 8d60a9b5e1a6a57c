//! `PyUnicodeObject`: a `str` whose text is elsewhere, and `unicode` in 2.7.
//!
//! Source: `Include/unicodeobject.h`; `Include/cpython/unicodeobject.h` from 3.3.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyUnicodeObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnicodeObject {
    /// `sizeof`.
    pub size: u64,
    /// Where the text is.
    pub text: UnicodeText,
}

/// Where the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnicodeText {
    /// In a block of its own, unless compact.
    Elsewhere(Field<Ptr>),
    /// 2.7: an array of `Py_UNICODE`, 4 bytes each in usual builds.
    Units {
        /// How many.
        length: Field<i64>,
        /// The array.
        str: Field<Ptr>,
        /// A `str` with the text in UTF-8, or null.
        defenc: Field<Ptr>,
    },
}

/// Every layout of the struct, oldest first.
pub const UNICODE_OBJECT: Table<UnicodeObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: UnicodeObject {
            size: 48,
            text: UnicodeText::Units {
                length: at("length", 16),
                str: at("str", 24),
                defenc: at("defenc", 40),
            },
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: UnicodeObject { size: 80, text: UnicodeText::Elsewhere(at("data", 72)) },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: UnicodeObject { size: 64, text: UnicodeText::Elsewhere(at("data", 56)) },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: UnicodeObject { size: 80, text: UnicodeText::Elsewhere(at("data", 72)) },
    },
]);

impl Shape for UnicodeObject {
    const C_NAMES: &'static [&'static str] = &["PyUnicodeObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyUnicodeObject";
        match &mut self.text {
            UnicodeText::Elsewhere(field) => field.visit_in(of, visit),
            UnicodeText::Units { length, str, defenc } => {
                length.visit_in(of, visit);
                str.visit_in(of, visit);
                defenc.visit_in(of, visit);
            }
        }
    }
}
