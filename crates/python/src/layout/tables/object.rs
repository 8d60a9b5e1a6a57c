//! `PyObject`: what every object begins with.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | a count of references, a type |
//! | 3.12  | immortal objects: the count is the low half of the word |
//! | 3.14  | the upper half holds flags; small counts that overflow into it are immortal |
//! | 3.13t | two counts, that of the owning thread and that of the others |
//!
//! Source: `Include/object.h`; `Include/refcount.h` from 3.14.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `_object`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// `sizeof`.
    pub size: u64,
    /// The reference count.
    pub refcount: Refcount,
    /// Its type.
    pub ob_type: Field<Ptr>,
}

/// How references are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refcount {
    /// Without GIL: `ob_ref_local` belongs to one thread, `ob_ref_shared` to the others.
    Shared {
        /// All ones when the object is immortal.
        local: Field<u32>,
        /// The count of the other threads, shifted left by two flag bits.
        shared: Field<i64>,
        /// Bit 0 is set while the collector tracks the object.
        gc_bits: Field<u8>,
    },
    /// The count is 32 bits wide; a set bit 31 means immortal. Overflow and flags fill the
    /// word.
    Flagged {
        /// The count.
        count: Field<u32>,
        /// Zero in every live object.
        overflow: Field<u16>,
        /// Set by the interpreter, less than 0x20.
        flags: Field<u16>,
    },
    /// A word whose low 32 bits count; a set bit 31 means immortal.
    Split(Field<i64>),
    /// A word that counts, above zero while the object lives.
    Plain(Field<i64>),
}

/// How often an object is referenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So often. Without GIL the sum of both counts, which may be off by references in transit.
    Mortal(i64),
    /// It is not counted: the object lives as long as the process.
    Immortal,
}

impl Refcount {
    /// The whole word that the count is in, `None` where there is no such word.
    #[must_use]
    pub fn word(&self, object: &[u8]) -> Option<u64> {
        let offset = match self {
            Self::Plain(count) | Self::Split(count) => count.offset,
            Self::Flagged { count, .. } => count.offset,
            Self::Shared { .. } => return None,
        };
        let word = object.get(usize::try_from(offset).ok()?..)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*word))
    }

    /// The count in a copy of the object, `None` where the copy is too short.
    #[must_use]
    pub fn of(&self, object: &[u8]) -> Option<Count> {
        const IMMORTAL: u32 = 1 << 31;
        Some(match self {
            Self::Plain(count) => Count::Mortal(count.from(object)?),
            Self::Split(word) => {
                let word = word.from(object)?;
                if word & i64::from(IMMORTAL) == 0 { Count::Mortal(word) } else { Count::Immortal }
            }
            Self::Flagged { count, .. } => {
                let count = count.from(object)?;
                if count & IMMORTAL == 0 { Count::Mortal(count.into()) } else { Count::Immortal }
            }
            Self::Shared { local, shared, .. } => match local.from(object)? {
                u32::MAX => Count::Immortal,
                local => Count::Mortal((shared.from(object)? >> 2).saturating_add(local.into())),
            },
        })
    }
}

/// Every layout of the struct, oldest first.
pub const OBJECT: Table<Object> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Object {
            size: 16,
            refcount: Refcount::Plain(at("ob_refcnt", 0)),
            ob_type: at("ob_type", 8),
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: Object {
            size: 16,
            refcount: Refcount::Split(at("ob_refcnt", 0)),
            ob_type: at("ob_type", 8),
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: Object {
            size: 16,
            refcount: Refcount::Flagged {
                count: at("ob_refcnt", 0),
                overflow: at("ob_overflow", 4),
                flags: at("ob_flags", 6),
            },
            ob_type: at("ob_type", 8),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Object {
            size: 32,
            refcount: Refcount::Shared {
                local: at("ob_ref_local", 12),
                shared: at("ob_ref_shared", 16),
                gc_bits: at("ob_gc_bits", 11),
            },
            ob_type: at("ob_type", 24),
        },
    },
]);

impl Shape for Object {
    const C_NAMES: &'static [&'static str] = &["_object", "PyObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_object";
        match &mut self.refcount {
            Refcount::Shared { local, shared, gc_bits } => {
                local.visit_in(of, visit);
                shared.visit_in(of, visit);
                gc_bits.visit_in(of, visit);
            }
            Refcount::Flagged { count, overflow, flags } => {
                count.visit_in(of, visit);
                overflow.visit_in(of, visit);
                flags.visit_in(of, visit);
            }
            Refcount::Split(field) | Refcount::Plain(field) => field.visit_in(of, visit),
        }
        self.ob_type.visit_in(of, visit);
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, OBJECT};
    use crate::version::{Build, v3};

    fn count(build: Build, head: &[u64]) -> Option<Count> {
        let bytes: Vec<u8> = head.iter().flat_map(|word| word.to_le_bytes()).collect();
        OBJECT.get(build)?.0.refcount.of(&bytes)
    }

    #[test]
    fn immortal_objects_are_told_apart_in_each_generation() {
        assert_eq!(count(Build::gil(v3(11)), &[0xffff_ffff]), Some(Count::Mortal(0xffff_ffff)));
        assert_eq!(count(Build::gil(v3(12)), &[0xffff_ffff]), Some(Count::Immortal));
        assert_eq!(count(Build::gil(v3(13)), &[3]), Some(Count::Mortal(3)));
        assert_eq!(count(Build::gil(v3(14)), &[0x0001_0000_c000_0000]), Some(Count::Immortal));
        assert_eq!(count(Build::gil(v3(14)), &[0x0001_0000_0000_0002]), Some(Count::Mortal(2)));
        let local = |local: u64| [0, local << 32, 5 << 2, 0];
        assert_eq!(count(Build::free_threaded(v3(14)), &local(2)), Some(Count::Mortal(7)));
        let immortal = count(Build::free_threaded(v3(14)), &local(0xffff_ffff));
        assert_eq!(immortal, Some(Count::Immortal));
    }
}
