//! `bytesio`: an `io.BytesIO`.
//!
//! Source: `Modules/_io/bytesio.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `bytesio`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesIo {
    /// `sizeof`.
    pub size: u64,
    /// Where the content is.
    pub buffer: BytesIoBuffer,
    /// How much of it is content.
    pub string_size: Field<i64>,
    /// Its attributes.
    pub dict: Field<Ptr>,
}

/// Where the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesIoBuffer {
    /// 2.7: in a block of its own.
    Block {
        /// The block.
        buf: Field<Ptr>,
        /// Its size.
        buf_size: Field<u64>,
    },
    /// In a bytes object.
    Object(Field<Ptr>),
}

/// Every layout of the struct, oldest first.
pub const BYTES_IO: Table<BytesIo> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: BytesIo {
            size: 64,
            buffer: BytesIoBuffer::Block { buf: at("buf", 16), buf_size: at("buf_size", 40) },
            string_size: at("string_size", 32),
            dict: at("dict", 48),
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: BytesIo {
            size: 64,
            buffer: BytesIoBuffer::Object(at("buf", 16)),
            string_size: at("string_size", 32),
            dict: at("dict", 40),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: BytesIo {
            size: 80,
            buffer: BytesIoBuffer::Object(at("buf", 32)),
            string_size: at("string_size", 48),
            dict: at("dict", 56),
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: BytesIo {
            size: 88,
            buffer: BytesIoBuffer::Object(at("buf", 32)),
            string_size: at("string_size", 48),
            dict: at("dict", 56),
        },
    },
]);

impl Shape for BytesIo {
    const C_NAMES: &'static [&'static str] = &["bytesio"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "bytesio";
        match &mut self.buffer {
            BytesIoBuffer::Block { buf, buf_size } => {
                buf.visit_in(of, visit);
                buf_size.visit_in(of, visit);
            }
            BytesIoBuffer::Object(field) => field.visit_in(of, visit),
        }
        self.string_size.visit_in(of, visit);
        self.dict.visit_in(of, visit);
    }
}
