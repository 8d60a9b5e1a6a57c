//! `BLOCK`: a block of a deque.
//!
//! Source: `Modules/_collectionsmodule.c`.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `BLOCK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DequeBlock {
    /// `sizeof`.
    pub size: u64,
    /// The block before.
    pub leftlink: Field<Ptr>,
    /// The items.
    pub data: Field<Inline>,
    /// The block after.
    pub rightlink: Field<Ptr>,
    /// How many items fit.
    pub slots: u64,
}

/// Every layout of the struct, oldest first.
pub const DEQUE_BLOCK: Table<DequeBlock> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: DequeBlock {
            size: 512,
            leftlink: at("leftlink", 504),
            data: at("data", 0),
            rightlink: at("rightlink", 496),
            slots: 62,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: DequeBlock {
            size: 528,
            leftlink: at("leftlink", 0),
            data: at("data", 8),
            rightlink: at("rightlink", 520),
            slots: 64,
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: DequeBlock {
            size: 528,
            leftlink: at("leftlink", 0),
            data: at("data", 8),
            rightlink: at("rightlink", 520),
            slots: 64,
        },
    },
]);

impl Shape for DequeBlock {
    const C_NAMES: &'static [&'static str] = &["BLOCK"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "BLOCK";
        self.leftlink.visit_in(of, visit);
        self.data.visit_in(of, visit);
        self.rightlink.visit_in(of, visit);
    }
}
