//! `PyBytesObject`: bytes, and `str` in 2.7.
//!
//! Source: `Include/bytesobject.h`, `Include/stringobject.h` in 2.7.

use crate::layout::{Field, Inline, Member, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyBytesObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesObject {
    /// `sizeof`, with the zero and padding.
    pub size: u64,
    /// Whether the table of interned strings has it, 2.7: `str` is bytes there.
    pub ob_sstate: Option<Field<i32>>,
    /// The bytes, `ob_size` of them and a zero.
    pub ob_sval: Field<Inline>,
}

/// Every layout of the struct, oldest first.
pub const BYTES_OBJECT: Table<BytesObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: BytesObject {
            size: 40,
            ob_sstate: Some(at("ob_sstate", 32)),
            ob_sval: at("ob_sval", 36),
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: BytesObject { size: 40, ob_sstate: None, ob_sval: at("ob_sval", 32) },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: BytesObject { size: 56, ob_sstate: None, ob_sval: at("ob_sval", 48) },
    },
]);

impl Shape for BytesObject {
    const C_NAMES: &'static [&'static str] = &["PyBytesObject", "PyStringObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyBytesObject";
        self.ob_sstate.visit_in(of, visit);
        self.ob_sval.visit_in(of, visit);
    }
}
