//! `lru_list_elem`: a remembered call.
//!
//! Source: `Modules/_functoolsmodule.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `lru_list_elem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LruLink {
    /// `sizeof`.
    pub size: u64,
    /// The call used before.
    pub prev: Field<Ptr>,
    /// The call used after.
    pub next: Field<Ptr>,
    /// The arguments.
    pub key: Field<Ptr>,
    /// The answer.
    pub result: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const LRU_LINK: Table<LruLink> = Table(&[
    Row {
        since: v3(6),
        free_threaded: false,
        layout: LruLink {
            size: 56,
            prev: at("prev", 16),
            next: at("next", 24),
            key: at("key", 40),
            result: at("result", 48),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: LruLink {
            size: 72,
            prev: at("prev", 32),
            next: at("next", 40),
            key: at("key", 56),
            result: at("result", 64),
        },
    },
]);

impl Shape for LruLink {
    const C_NAMES: &'static [&'static str] = &["lru_list_elem"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "lru_list_elem";
        self.prev.visit_in(of, visit);
        self.next.visit_in(of, visit);
        self.key.visit_in(of, visit);
        self.result.visit_in(of, visit);
    }
}
