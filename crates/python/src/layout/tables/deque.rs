//! `dequeobject`: a deque, a list of blocks.
//!
//! Source: `Modules/_collectionsmodule.c`.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `dequeobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deque {
    /// `sizeof`.
    pub size: u64,
    /// The first block.
    pub leftblock: Field<Ptr>,
    /// The last block.
    pub rightblock: Field<Ptr>,
    /// The first item in the first block.
    pub leftindex: Field<i64>,
    /// The last item in the last block.
    pub rightindex: Field<i64>,
    /// -1 if unbounded.
    pub maxlen: Field<i64>,
    /// 2.7: how many items; `ob_size` later.
    pub len: Option<Field<i64>>,
    /// Blocks kept for reuse; before 3.11 they were shared by all.
    pub numfreeblocks: Option<Field<i64>>,
    /// Pointers to them.
    pub freeblocks: Option<Field<Inline>>,
}

/// Every layout of the struct, oldest first.
pub const DEQUE: Table<Deque> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Deque {
            size: 80,
            leftblock: at("leftblock", 16),
            rightblock: at("rightblock", 24),
            leftindex: at("leftindex", 32),
            rightindex: at("rightindex", 40),
            maxlen: at("maxlen", 64),
            len: Some(at("len", 48)),
            numfreeblocks: None,
            freeblocks: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: Deque {
            size: 80,
            leftblock: at("leftblock", 24),
            rightblock: at("rightblock", 32),
            leftindex: at("leftindex", 40),
            rightindex: at("rightindex", 48),
            maxlen: at("maxlen", 64),
            len: None,
            numfreeblocks: None,
            freeblocks: None,
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: Deque {
            size: 216,
            leftblock: at("leftblock", 24),
            rightblock: at("rightblock", 32),
            leftindex: at("leftindex", 40),
            rightindex: at("rightindex", 48),
            maxlen: at("maxlen", 64),
            len: None,
            numfreeblocks: Some(at("numfreeblocks", 72)),
            freeblocks: Some(at("freeblocks", 80)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Deque {
            size: 232,
            leftblock: at("leftblock", 40),
            rightblock: at("rightblock", 48),
            leftindex: at("leftindex", 56),
            rightindex: at("rightindex", 64),
            maxlen: at("maxlen", 80),
            len: None,
            numfreeblocks: Some(at("numfreeblocks", 88)),
            freeblocks: Some(at("freeblocks", 96)),
        },
    },
]);

impl Shape for Deque {
    const C_NAMES: &'static [&'static str] = &["dequeobject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "dequeobject";
        self.leftblock.visit_in(of, visit);
        self.rightblock.visit_in(of, visit);
        self.leftindex.visit_in(of, visit);
        self.rightindex.visit_in(of, visit);
        self.maxlen.visit_in(of, visit);
        self.len.visit_in(of, visit);
        self.numfreeblocks.visit_in(of, visit);
        self.freeblocks.visit_in(of, visit);
    }
}
