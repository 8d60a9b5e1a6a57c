//! `arena_object`: what pymalloc knows of one arena.
//!
//! Source: `Objects/obmalloc.c`; `Include/internal/pycore_obmalloc.h` from 3.12.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `arena_object`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaObject {
    /// `sizeof`.
    pub size: u64,
    /// The arena, 0 if this slot is unused.
    pub address: Field<u64>,
    /// The first pool that was never used.
    pub pool_address: Field<u64>,
    /// Pools that can be had, never used ones included.
    pub nfreepools: Field<u32>,
    /// All pools.
    pub ntotalpools: Field<u32>,
    /// The first pool that was given back.
    pub freepools: Field<Ptr>,
    /// The next arena with free pools, or the next unused slot.
    pub nextarena: Field<Ptr>,
    /// The previous arena with free pools.
    pub prevarena: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const ARENA_OBJECT: Table<ArenaObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: ArenaObject {
            size: 48,
            address: at("address", 0),
            pool_address: at("pool_address", 8),
            nfreepools: at("nfreepools", 16),
            ntotalpools: at("ntotalpools", 20),
            freepools: at("freepools", 24),
            nextarena: at("nextarena", 32),
            prevarena: at("prevarena", 40),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: ArenaObject {
            size: 48,
            address: at("address", 0),
            pool_address: at("pool_address", 8),
            nfreepools: at("nfreepools", 16),
            ntotalpools: at("ntotalpools", 20),
            freepools: at("freepools", 24),
            nextarena: at("nextarena", 32),
            prevarena: at("prevarena", 40),
        },
    },
]);

impl Shape for ArenaObject {
    const C_NAMES: &'static [&'static str] = &["arena_object"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "arena_object";
        self.address.visit_in(of, visit);
        self.pool_address.visit_in(of, visit);
        self.nfreepools.visit_in(of, visit);
        self.ntotalpools.visit_in(of, visit);
        self.freepools.visit_in(of, visit);
        self.nextarena.visit_in(of, visit);
        self.prevarena.visit_in(of, visit);
    }
}
