//! `PyODictObject`: an `OrderedDict`, a dict with a list of its keys.
//!
//! Source: `Objects/odictobject.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `_odictobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderedDict {
    /// `sizeof`.
    pub size: u64,
    /// An array of nodes, parallel to the key table.
    pub fast_nodes: Field<Ptr>,
    /// How many.
    pub fast_nodes_size: Field<i64>,
    /// The first node.
    pub first: Field<Ptr>,
    /// The last node.
    pub last: Field<Ptr>,
    /// Its attributes.
    pub inst_dict: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const ORDERED_DICT: Table<OrderedDict> = Table(&[
    Row {
        since: v3(6),
        free_threaded: false,
        layout: OrderedDict {
            size: 112,
            fast_nodes: at("od_fast_nodes", 64),
            fast_nodes_size: at("od_fast_nodes_size", 72),
            first: at("od_first", 48),
            last: at("od_last", 56),
            inst_dict: at("od_inst_dict", 96),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: OrderedDict {
            size: 128,
            fast_nodes: at("od_fast_nodes", 80),
            fast_nodes_size: at("od_fast_nodes_size", 88),
            first: at("od_first", 64),
            last: at("od_last", 72),
            inst_dict: at("od_inst_dict", 112),
        },
    },
]);

impl Shape for OrderedDict {
    const C_NAMES: &'static [&'static str] = &["_odictobject", "PyODictObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_odictobject";
        self.fast_nodes.visit_in(of, visit);
        self.fast_nodes_size.visit_in(of, visit);
        self.first.visit_in(of, visit);
        self.last.visit_in(of, visit);
        self.inst_dict.visit_in(of, visit);
    }
}
