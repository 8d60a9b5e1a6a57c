//! `PyDictValues`: the values of a split dict or of an instance.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 3.6   | no such struct: a plain array of pointers |
//! | 3.11  | bytes *before* the array: its used slots, their order, and the length of this prefix |
//! | 3.13  | a header in front of the array; the values of an instance may lie inside it |
//!
//! Source: `Include/internal/pycore_dict.h`.

use crate::layout::{Field, Inline, Member, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `_dictvalues`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictValues {
    /// `sizeof`.
    pub size: u64,
    /// The array.
    pub values: Field<Inline>,
    /// What describes the array.
    pub header: ValuesHeader,
}

/// What describes the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValuesHeader {
    /// A header.
    Front {
        /// How many slots.
        capacity: Field<u8>,
        /// How many are in use.
        size: Field<u8>,
        /// 1 when inside an instance.
        embedded: Field<u8>,
        /// 0 once a dict of its own has taken over.
        valid: Field<u8>,
    },
    /// Bytes before the array: at -1 the length of the prefix, at -2 the slots in use.
    Behind,
}

/// Every layout of the struct, oldest first.
pub const DICT_VALUES: Table<DictValues> = Table(&[
    Row {
        since: v3(11),
        free_threaded: false,
        layout: DictValues { size: 8, values: at("values", 0), header: ValuesHeader::Behind },
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: DictValues {
            size: 16,
            values: at("values", 8),
            header: ValuesHeader::Front {
                capacity: at("capacity", 0),
                size: at("size", 1),
                embedded: at("embedded", 2),
                valid: at("valid", 3),
            },
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: DictValues {
            size: 16,
            values: at("values", 8),
            header: ValuesHeader::Front {
                capacity: at("capacity", 0),
                size: at("size", 1),
                embedded: at("embedded", 2),
                valid: at("valid", 3),
            },
        },
    },
]);

impl Shape for DictValues {
    const C_NAMES: &'static [&'static str] = &["_dictvalues", "PyDictValues"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_dictvalues";
        self.values.visit_in(of, visit);
        match &mut self.header {
            ValuesHeader::Front { capacity, size, embedded, valid } => {
                capacity.visit_in(of, visit);
                size.visit_in(of, visit);
                embedded.visit_in(of, visit);
                valid.visit_in(of, visit);
            }
            ValuesHeader::Behind => {}
        }
    }
}
