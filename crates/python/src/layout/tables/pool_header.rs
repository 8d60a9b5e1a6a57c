//! `pool_header`: the beginning of each pool of pymalloc.
//!
//! Source: `Objects/obmalloc.c`; `Include/internal/pycore_obmalloc.h` from 3.12.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `pool_header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolHeader {
    /// `sizeof`.
    pub size: u64,
    /// Blocks in use.
    pub count: Field<u32>,
    /// The first free block.
    pub freeblock: Field<Ptr>,
    /// The next pool of the size, or the next free pool.
    pub nextpool: Field<Ptr>,
    /// The previous pool of the size.
    pub prevpool: Field<Ptr>,
    /// Its arena.
    pub arenaindex: Field<u32>,
    /// Its size class.
    pub szidx: Field<u32>,
    /// The first block that was never used.
    pub nextoffset: Field<u32>,
    /// The last place where a block can begin: pool size less block size.
    pub maxnextoffset: Field<u32>,
}

/// Every layout of the struct, oldest first.
pub const POOL_HEADER: Table<PoolHeader> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: PoolHeader {
            size: 48,
            count: at("ref", 0),
            freeblock: at("freeblock", 8),
            nextpool: at("nextpool", 16),
            prevpool: at("prevpool", 24),
            arenaindex: at("arenaindex", 32),
            szidx: at("szidx", 36),
            nextoffset: at("nextoffset", 40),
            maxnextoffset: at("maxnextoffset", 44),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: PoolHeader {
            size: 48,
            count: at("ref", 0),
            freeblock: at("freeblock", 8),
            nextpool: at("nextpool", 16),
            prevpool: at("prevpool", 24),
            arenaindex: at("arenaindex", 32),
            szidx: at("szidx", 36),
            nextoffset: at("nextoffset", 40),
            maxnextoffset: at("maxnextoffset", 44),
        },
    },
]);

impl Shape for PoolHeader {
    const C_NAMES: &'static [&'static str] = &["pool_header"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "pool_header";
        self.count.visit_in(of, visit);
        self.freeblock.visit_in(of, visit);
        self.nextpool.visit_in(of, visit);
        self.prevpool.visit_in(of, visit);
        self.arenaindex.visit_in(of, visit);
        self.szidx.visit_in(of, visit);
        self.nextoffset.visit_in(of, visit);
        self.maxnextoffset.visit_in(of, visit);
    }
}
