//! `PyLongObject`: an integer.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | `ob_size` digits of 30 bits; its sign is that of the number |
//! | 3.12  | `lv_tag`: the number of digits shifted by 3, the sign in the two lowest bits |
//!
//! Source: `Include/longintrepr.h`; `Include/cpython/longintrepr.h` from 3.11.

use crate::layout::{Field, Inline, Member, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `_longobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongObject {
    /// `sizeof`, one digit and padding included.
    pub size: u64,
    /// How many digits, and the sign.
    pub length: LongLength,
    /// The digits, 30 bits in 4 bytes each, lowest first.
    pub digits: Field<Inline>,
}

/// How many digits, and the sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongLength {
    /// Digits shifted left by 3; the low bits are 0 positive, 1 zero, 2 negative.
    Tag(Field<u64>),
    /// `ob_size` of the object, negative for negative numbers.
    ObSize,
}

/// Every layout of the struct, oldest first.
pub const LONG_OBJECT: Table<LongObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: LongObject { size: 32, length: LongLength::ObSize, digits: at("ob_digit", 24) },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: LongObject {
            size: 32,
            length: LongLength::Tag(at("long_value.lv_tag", 16)),
            digits: at("long_value.ob_digit", 24),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: LongObject {
            size: 48,
            length: LongLength::Tag(at("long_value.lv_tag", 32)),
            digits: at("long_value.ob_digit", 40),
        },
    },
]);

impl Shape for LongObject {
    const C_NAMES: &'static [&'static str] = &["_longobject", "PyLongObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_longobject";
        match &mut self.length {
            LongLength::Tag(field) => field.visit_in(of, visit),
            LongLength::ObSize => {}
        }
        self.digits.visit_in(of, visit);
    }
}
