//! `PyDictUnicodeEntry`: key and value of a dict with `str` keys only.
//!
//! Source: `Include/internal/pycore_dict.h`, 3.11.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `PyDictUnicodeEntry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictUnicodeEntry {
    /// `sizeof`.
    pub size: u64,
    /// The key, null if unused.
    pub key: Field<Ptr>,
    /// The value, null in a split table.
    pub value: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const DICT_UNICODE_ENTRY: Table<DictUnicodeEntry> = Table(&[
    Row {
        since: v3(11),
        free_threaded: false,
        layout: DictUnicodeEntry { size: 16, key: at("me_key", 0), value: at("me_value", 8) },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: DictUnicodeEntry { size: 16, key: at("me_key", 0), value: at("me_value", 8) },
    },
]);

impl Shape for DictUnicodeEntry {
    const C_NAMES: &'static [&'static str] = &["PyDictUnicodeEntry"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyDictUnicodeEntry";
        self.key.visit_in(of, visit);
        self.value.visit_in(of, visit);
    }
}
