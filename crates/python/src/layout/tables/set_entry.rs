//! `setentry`: one slot of a set.
//!
//! Source: `Include/setobject.h`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `setentry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetEntry {
    /// `sizeof`.
    pub size: u64,
    /// The item, null if unused; deleted ones point at a dummy.
    pub key: Field<Ptr>,
    /// Its hash, -1 if deleted.
    pub hash: Field<i64>,
}

/// Every layout of the struct, oldest first.
pub const SET_ENTRY: Table<SetEntry> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: SetEntry { size: 16, key: at("key", 8), hash: at("hash", 0) },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: SetEntry { size: 16, key: at("key", 0), hash: at("hash", 8) },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: SetEntry { size: 16, key: at("key", 0), hash: at("hash", 8) },
    },
]);

impl Shape for SetEntry {
    const C_NAMES: &'static [&'static str] = &["setentry"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "setentry";
        self.key.visit_in(of, visit);
        self.hash.visit_in(of, visit);
    }
}
