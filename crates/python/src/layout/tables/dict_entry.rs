//! `PyDictKeyEntry`: hash, key and value.
//!
//! Source: `Objects/dict-common.h` up to 3.10, `Include/internal/pycore_dict.h` from 3.11.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyDictKeyEntry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictEntry {
    /// `sizeof`.
    pub size: u64,
    /// The hash.
    pub hash: Field<i64>,
    /// The key, null if unused.
    pub key: Field<Ptr>,
    /// The value, null in a split table.
    pub value: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const DICT_ENTRY: Table<DictEntry> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: DictEntry {
            size: 24,
            hash: at("me_hash", 0),
            key: at("me_key", 8),
            value: at("me_value", 16),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: DictEntry {
            size: 24,
            hash: at("me_hash", 0),
            key: at("me_key", 8),
            value: at("me_value", 16),
        },
    },
]);

impl Shape for DictEntry {
    const C_NAMES: &'static [&'static str] = &["PyDictKeyEntry", "PyDictEntry"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyDictKeyEntry";
        self.hash.visit_in(of, visit);
        self.key.visit_in(of, visit);
        self.value.visit_in(of, visit);
    }
}
