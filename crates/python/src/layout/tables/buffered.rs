//! `buffered`: a buffered file.
//!
//! Source: `Modules/_io/bufferedio.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `buffered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffered {
    /// `sizeof`.
    pub size: u64,
    /// The file.
    pub raw: Field<Ptr>,
    /// The buffer.
    pub buffer: Field<Ptr>,
    /// Its size.
    pub buffer_size: Field<i64>,
    /// A lock outside of Python.
    pub lock: Field<Ptr>,
    /// The thread that has it.
    pub owner: Field<u64>,
    /// Its attributes.
    pub dict: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const BUFFERED: Table<Buffered> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Buffered {
            size: 152,
            raw: at("raw", 16),
            buffer: at("buffer", 56),
            buffer_size: at("buffer_size", 120),
            lock: at("lock", 104),
            owner: at("owner", 112),
            dict: at("dict", 136),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Buffered {
            size: 168,
            raw: at("raw", 32),
            buffer: at("buffer", 72),
            buffer_size: at("buffer_size", 136),
            lock: at("lock", 120),
            owner: at("owner", 128),
            dict: at("dict", 152),
        },
    },
]);

impl Shape for Buffered {
    const C_NAMES: &'static [&'static str] = &["buffered"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "buffered";
        self.raw.visit_in(of, visit);
        self.buffer.visit_in(of, visit);
        self.buffer_size.visit_in(of, visit);
        self.lock.visit_in(of, visit);
        self.owner.visit_in(of, visit);
        self.dict.visit_in(of, visit);
    }
}
