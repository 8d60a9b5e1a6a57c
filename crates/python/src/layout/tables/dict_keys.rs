//! `PyDictKeysObject`: the header of a dict's key table.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | no such struct; `PyDictObject` points at a plain hash table |
//! | 3.6   | compact dicts: header, then `dk_indices`, then the entries in insertion order |
//! | 3.11  | capacity and index width become logarithms; `dk_kind` tells the type of entry |
//!
//! Source: `Objects/dict-common.h` up to 3.10, `Include/internal/pycore_dict.h` from 3.11.

use crate::layout::{Field, Member, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `_dictkeysobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictKeys {
    /// `sizeof` the header; `dk_indices` starts here.
    pub size: u64,
    /// How many dicts and types share it.
    pub refcnt: Field<i64>,
    /// How many slots the hash table has.
    pub capacity: Capacity,
    /// How wide one slot of `dk_indices` is, and what kind of entries follow.
    pub encoding: Encoding,
    /// Entries that still fit.
    pub usable: Field<i64>,
    /// Entries in use, deleted ones included.
    pub nentries: Field<i64>,
}

/// The number of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// The number itself.
    Slots(Field<i64>),
    /// Its base-2 logarithm.
    Log2(Field<u8>),
}

/// What the bytes after the header look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The header says both.
    Stated {
        /// Base-2 logarithm of the length of `dk_indices` in bytes.
        log2_index_bytes: Field<u8>,
        /// `DICT_KEYS_GENERAL` 0, `_UNICODE` 1, `_SPLIT` 2; the latter two store no hash.
        kind: Field<u8>,
    },
    /// Index width follows from the capacity (`DK_IXSIZE`); entries are always hash, key,
    /// value.
    Implied,
}

/// Every layout of the struct, oldest first.
pub const DICT_KEYS: Table<DictKeys> = Table(&[
    Row {
        since: v3(6),
        free_threaded: false,
        layout: DictKeys {
            size: 40,
            refcnt: at("dk_refcnt", 0),
            capacity: Capacity::Slots(at("dk_size", 8)),
            encoding: Encoding::Implied,
            usable: at("dk_usable", 24),
            nentries: at("dk_nentries", 32),
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: DictKeys {
            size: 32,
            refcnt: at("dk_refcnt", 0),
            capacity: Capacity::Log2(at("dk_log2_size", 8)),
            encoding: Encoding::Stated {
                log2_index_bytes: at("dk_log2_index_bytes", 9),
                kind: at("dk_kind", 10),
            },
            usable: at("dk_usable", 16),
            nentries: at("dk_nentries", 24),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: DictKeys {
            size: 32,
            refcnt: at("dk_refcnt", 0),
            capacity: Capacity::Log2(at("dk_log2_size", 8)),
            encoding: Encoding::Stated {
                log2_index_bytes: at("dk_log2_index_bytes", 9),
                kind: at("dk_kind", 10),
            },
            usable: at("dk_usable", 16),
            nentries: at("dk_nentries", 24),
        },
    },
]);

impl Shape for DictKeys {
    const C_NAMES: &'static [&'static str] = &["_dictkeysobject", "PyDictKeysObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_dictkeysobject";
        self.refcnt.visit_in(of, visit);
        match &mut self.capacity {
            Capacity::Slots(field) => field.visit_in(of, visit),
            Capacity::Log2(field) => field.visit_in(of, visit),
        }
        match &mut self.encoding {
            Encoding::Stated { log2_index_bytes, kind } => {
                log2_index_bytes.visit_in(of, visit);
                kind.visit_in(of, visit);
            }
            Encoding::Implied => {}
        }
        self.usable.visit_in(of, visit);
        self.nentries.visit_in(of, visit);
    }
}
