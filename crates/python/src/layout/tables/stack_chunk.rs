//! `_PyStackChunk`: a piece of the data stack of a thread.
//!
//! Source: `Include/cpython/pystate.h`, 3.11.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `_stack_chunk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackChunk {
    /// `sizeof`.
    pub size: u64,
    /// The piece before.
    pub previous: Field<Ptr>,
    /// Its bytes, this header included.
    pub chunk_size: Field<u64>,
    /// Words in use, up to date in all but the newest.
    pub top: Field<u64>,
    /// The frames.
    pub data: Field<Inline>,
}

/// Every layout of the struct, oldest first.
pub const STACK_CHUNK: Table<StackChunk> = Table(&[
    Row {
        since: v3(11),
        free_threaded: false,
        layout: StackChunk {
            size: 32,
            previous: at("previous", 0),
            chunk_size: at("size", 8),
            top: at("top", 16),
            data: at("data", 24),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: StackChunk {
            size: 32,
            previous: at("previous", 0),
            chunk_size: at("size", 8),
            top: at("top", 16),
            data: at("data", 24),
        },
    },
]);

impl Shape for StackChunk {
    const C_NAMES: &'static [&'static str] = &["_stack_chunk"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_stack_chunk";
        self.previous.visit_in(of, visit);
        self.chunk_size.visit_in(of, visit);
        self.top.visit_in(of, visit);
        self.data.visit_in(of, visit);
    }
}
