//! `PyByteArrayObject`: a bytearray.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 3.6   | `ob_start`: bytes are removed from the front without moving the rest |
//! | 3.15  | the buffer is a bytes object |
//!
//! Source: `Include/bytearrayobject.h`; `Include/cpython/bytearrayobject.h` from 3.9.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyByteArrayObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteArray {
    /// `sizeof`.
    pub size: u64,
    /// How many bytes fit.
    pub ob_alloc: Field<i64>,
    /// The buffer.
    pub ob_bytes: Field<Ptr>,
    /// Where in it the content begins.
    pub ob_start: Option<Field<Ptr>>,
    /// The bytes object that holds the buffer.
    pub ob_bytes_object: Option<Field<Ptr>>,
}

/// Every layout of the struct, oldest first.
pub const BYTE_ARRAY: Table<ByteArray> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: ByteArray {
            size: 48,
            ob_alloc: at("ob_alloc", 32),
            ob_bytes: at("ob_bytes", 40),
            ob_start: None,
            ob_bytes_object: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: ByteArray {
            size: 56,
            ob_alloc: at("ob_alloc", 24),
            ob_bytes: at("ob_bytes", 32),
            ob_start: Some(at("ob_start", 40)),
            ob_bytes_object: None,
        },
    },
    Row {
        since: v3(15),
        free_threaded: false,
        layout: ByteArray {
            size: 64,
            ob_alloc: at("ob_alloc", 24),
            ob_bytes: at("ob_bytes", 32),
            ob_start: Some(at("ob_start", 40)),
            ob_bytes_object: Some(at("ob_bytes_object", 56)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: ByteArray {
            size: 72,
            ob_alloc: at("ob_alloc", 40),
            ob_bytes: at("ob_bytes", 48),
            ob_start: Some(at("ob_start", 56)),
            ob_bytes_object: None,
        },
    },
    Row {
        since: v3(15),
        free_threaded: true,
        layout: ByteArray {
            size: 80,
            ob_alloc: at("ob_alloc", 40),
            ob_bytes: at("ob_bytes", 48),
            ob_start: Some(at("ob_start", 56)),
            ob_bytes_object: Some(at("ob_bytes_object", 72)),
        },
    },
]);

impl Shape for ByteArray {
    const C_NAMES: &'static [&'static str] = &["PyByteArrayObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyByteArrayObject";
        self.ob_alloc.visit_in(of, visit);
        self.ob_bytes.visit_in(of, visit);
        self.ob_start.visit_in(of, visit);
        self.ob_bytes_object.visit_in(of, visit);
    }
}
