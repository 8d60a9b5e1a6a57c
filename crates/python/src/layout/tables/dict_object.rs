//! `PyDictObject`: a dict.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | one hash table of entries, the first eight inside the object |
//! | 3.6   | a key table, and an array of values if instances share the keys |
//!
//! Source: `Include/dictobject.h`; `Include/cpython/dictobject.h` from 3.8.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `_dictobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictObject {
    /// `sizeof`.
    pub size: u64,
    /// How many keys.
    pub ma_used: Field<i64>,
    /// Where the entries are.
    pub storage: DictStorage,
}

/// Where the entries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DictStorage {
    /// In a key table, values there or in an array of their own.
    Keys {
        /// The key table.
        ma_keys: Field<Ptr>,
        /// The values of a split dict, null otherwise.
        ma_values: Field<Ptr>,
    },
    /// In a hash table of `ma_mask + 1` entries.
    Table {
        /// Entries in use, deleted ones included.
        ma_fill: Field<i64>,
        /// Capacity less one.
        ma_mask: Field<i64>,
        /// The table: `ma_smalltable` or a block of its own.
        ma_table: Field<Ptr>,
        /// The first table.
        ma_smalltable: Field<Inline>,
    },
}

/// Every layout of the struct, oldest first.
pub const DICT_OBJECT: Table<DictObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: DictObject {
            size: 248,
            ma_used: at("ma_used", 24),
            storage: DictStorage::Table {
                ma_fill: at("ma_fill", 16),
                ma_mask: at("ma_mask", 32),
                ma_table: at("ma_table", 40),
                ma_smalltable: at("ma_smalltable", 56),
            },
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: DictObject {
            size: 48,
            ma_used: at("ma_used", 16),
            storage: DictStorage::Keys {
                ma_keys: at("ma_keys", 32),
                ma_values: at("ma_values", 40),
            },
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: DictObject {
            size: 64,
            ma_used: at("ma_used", 32),
            storage: DictStorage::Keys {
                ma_keys: at("ma_keys", 48),
                ma_values: at("ma_values", 56),
            },
        },
    },
]);

impl Shape for DictObject {
    const C_NAMES: &'static [&'static str] = &["_dictobject", "PyDictObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_dictobject";
        self.ma_used.visit_in(of, visit);
        match &mut self.storage {
            DictStorage::Keys { ma_keys, ma_values } => {
                ma_keys.visit_in(of, visit);
                ma_values.visit_in(of, visit);
            }
            DictStorage::Table { ma_fill, ma_mask, ma_table, ma_smalltable } => {
                ma_fill.visit_in(of, visit);
                ma_mask.visit_in(of, visit);
                ma_table.visit_in(of, visit);
                ma_smalltable.visit_in(of, visit);
            }
        }
    }
}
