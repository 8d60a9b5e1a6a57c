//! `_odictnode`: a key in the order of an `OrderedDict`.
//!
//! Source: `Objects/odictobject.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `_odictnode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderedDictNode {
    /// `sizeof`.
    pub size: u64,
    /// The key.
    pub key: Field<Ptr>,
    /// The next node.
    pub next: Field<Ptr>,
    /// The previous node.
    pub prev: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const ORDERED_DICT_NODE: Table<OrderedDictNode> = Table(&[
    Row {
        since: v3(6),
        free_threaded: false,
        layout: OrderedDictNode {
            size: 32,
            key: at("key", 0),
            next: at("next", 16),
            prev: at("prev", 24),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: OrderedDictNode {
            size: 32,
            key: at("key", 0),
            next: at("next", 16),
            prev: at("prev", 24),
        },
    },
]);

impl Shape for OrderedDictNode {
    const C_NAMES: &'static [&'static str] = &["_odictnode"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_odictnode";
        self.key.visit_in(of, visit);
        self.next.visit_in(of, visit);
        self.prev.visit_in(of, visit);
    }
}
