//! `stringio`: an `io.StringIO`.
//!
//! Source: `Modules/_io/stringio.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `stringio`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringIo {
    /// `sizeof`.
    pub size: u64,
    /// Code points, 4 bytes each.
    pub buf: Field<Ptr>,
    /// How many fit.
    pub buf_size: Field<u64>,
    /// How many are content.
    pub string_size: Field<i64>,
    /// 1 while text accumulates elsewhere.
    pub state: Option<Field<i32>>,
    /// The accumulator, up to 3.11.
    pub accumulator: Option<Field<Ptr>>,
    /// Its attributes.
    pub dict: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const STRING_IO: Table<StringIo> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: StringIo {
            size: 96,
            buf: at("buf", 16),
            buf_size: at("buf_size", 40),
            string_size: at("string_size", 32),
            state: None,
            accumulator: None,
            dict: at("dict", 80),
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: StringIo {
            size: 120,
            buf: at("buf", 16),
            buf_size: at("buf_size", 40),
            string_size: at("string_size", 32),
            state: Some(at("state", 48)),
            accumulator: Some(at("accu", 56)),
            dict: at("dict", 104),
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: StringIo {
            size: 168,
            buf: at("buf", 16),
            buf_size: at("buf_size", 40),
            string_size: at("string_size", 32),
            state: Some(at("state", 48)),
            accumulator: None,
            dict: at("dict", 144),
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: StringIo {
            size: 120,
            buf: at("buf", 16),
            buf_size: at("buf_size", 40),
            string_size: at("string_size", 32),
            state: Some(at("state", 48)),
            accumulator: None,
            dict: at("dict", 96),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: StringIo {
            size: 184,
            buf: at("buf", 32),
            buf_size: at("buf_size", 56),
            string_size: at("string_size", 48),
            state: Some(at("state", 64)),
            accumulator: None,
            dict: at("dict", 160),
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: StringIo {
            size: 136,
            buf: at("buf", 32),
            buf_size: at("buf_size", 56),
            string_size: at("string_size", 48),
            state: Some(at("state", 64)),
            accumulator: None,
            dict: at("dict", 112),
        },
    },
]);

impl Shape for StringIo {
    const C_NAMES: &'static [&'static str] = &["stringio"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "stringio";
        self.buf.visit_in(of, visit);
        self.buf_size.visit_in(of, visit);
        self.string_size.visit_in(of, visit);
        self.state.visit_in(of, visit);
        self.accumulator.visit_in(of, visit);
        self.dict.visit_in(of, visit);
    }
}
