//! Where is what in the structs of a CPython?
//!
//! Layouts are data. Each C struct has one file in [`tables`]: a row for every release that
//! changed it. Code asks a row which shape it has and never asks for the version:
//!
//! * a field that moved has another number;
//! * a field whose meaning changed is another enum variant, so the compiler lists who must care;
//! * a field that is absent is `None`.
//!
//! Tests compare every row with the debug information of every release in `testdata/dwarf/`.
//! At run time [`debug_offsets`] overrides what the interpreter publishes of itself.

mod debug_build;
pub mod debug_offsets;
pub mod debugger_support;
pub mod dump;
pub mod facts;
pub mod tables;

mod layouts;
mod stated_sizes;
mod wording;

pub use facts::{ManagedSlots, NumberBlocks, PreHeader, PymallocGeometry, TypeFlags};
pub use layouts::{Layouts, UnknownBuild};
pub use stated_sizes::StatedSizes;
pub use wording::Wording;

use crate::version::{Build, Version, v3};
use memwhy_model::{Addr, Trust};
use memwhy_target::memory::{Fault, Memory, MemoryExt};
use std::fmt;
use std::marker::PhantomData;

/// The newest series that the tables were checked with; newer ones are extrapolated.
pub const NEWEST_VERIFIED: Version = v3(15);

/// A value of fixed size in the target.
pub trait Scalar: Sized {
    /// Reads one at `addr`.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn read(mem: &dyn Memory, addr: Addr) -> Result<Self, Fault>;

    /// Takes one from the front of `bytes`.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

macro_rules! scalar {
    ($($number:ty),*) => {$(
        impl Scalar for $number {
            fn read(mem: &dyn Memory, addr: Addr) -> Result<Self, Fault> {
                mem.array(addr).map(Self::from_le_bytes)
            }

            fn decode(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().copied().map(Self::from_le_bytes)
            }
        }
    )*};
}

scalar!(u8, i8, u16, u32, i32, u64, i64);

/// A pointer, `None` when it is null.
pub type Ptr = Option<Addr>;

impl Scalar for Ptr {
    fn read(mem: &dyn Memory, addr: Addr) -> Result<Self, Fault> {
        mem.ptr(addr)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        u64::decode(bytes).map(|raw| (raw != 0).then_some(Addr(raw)))
    }
}

/// Marks a field that is an array or a struct: it has a place, not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline {}

/// A member of a C struct: its name there, and how many bytes after the struct's beginning.
pub struct Field<T> {
    /// The name in C; `a.b` is the member `b` of the embedded struct `a`.
    pub name: &'static str,
    /// Where it is.
    pub offset: u64,
    kind: PhantomData<fn() -> T>,
}

/// The member `name` at `offset`.
#[must_use]
pub const fn at<T>(name: &'static str, offset: u64) -> Field<T> {
    Field { name, offset, kind: PhantomData }
}

impl<T> Field<T> {
    /// Where it is in the struct at `base`.
    #[must_use]
    pub const fn addr(self, base: Addr) -> Addr {
        base.at(self.offset)
    }
}

impl<T: Scalar> Field<T> {
    /// Reads it from the struct at `base`.
    ///
    /// # Errors
    /// As [`Memory::read`].
    pub fn read(self, mem: &dyn Memory, base: Addr) -> Result<T, Fault> {
        T::read(mem, self.addr(base))
    }

    /// Takes it from a copy of the struct, `None` where the copy is too short.
    #[must_use]
    pub fn from(self, bytes: &[u8]) -> Option<T> {
        T::decode(bytes.get(usize::try_from(self.offset).ok()?..)?)
    }
}

impl<T> Clone for Field<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Field<T> {}

impl<T> PartialEq for Field<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.offset) == (other.name, other.offset)
    }
}

impl<T> Eq for Field<T> {}

impl<T> fmt::Debug for Field<T> {
    /// The way it is written in a table, so that a row can be printed and pasted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at({:?}, {})", self.name, self.offset)
    }
}

/// A bit-field that lies in one byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    /// The name in C.
    pub name: &'static str,
    /// The byte it is in.
    pub offset: u64,
    /// Its lowest bit.
    pub shift: u8,
    /// How many bits.
    pub width: u8,
}

/// The `width` bits from bit `shift` of the byte at `offset`.
#[must_use]
pub const fn bits(name: &'static str, offset: u64, shift: u8, width: u8) -> Bits {
    Bits { name, offset, shift, width }
}

impl Bits {
    /// Reads it from the struct at `base`.
    ///
    /// # Errors
    /// As [`Memory::read`].
    pub fn read(self, mem: &dyn Memory, base: Addr) -> Result<u8, Fault> {
        mem.u8(base.at(self.offset)).map(|byte| self.cut(byte))
    }

    /// Takes it from a copy of the struct, `None` where the copy is too short.
    #[must_use]
    pub fn from(self, bytes: &[u8]) -> Option<u8> {
        bytes.get(usize::try_from(self.offset).ok()?).map(|byte| self.cut(*byte))
    }

    fn cut(self, byte: u8) -> u8 {
        let mask = 0xff_u8.checked_shr(8_u32.saturating_sub(self.width.into())).unwrap_or(0);
        byte.checked_shr(self.shift.into()).unwrap_or(0) & mask
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bits({:?}, {}, {}, {})", self.name, self.offset, self.shift, self.width)
    }
}

/// One member of a layout, as [`Shape::visit`] hands it out.
#[derive(Debug)]
pub struct Spot<'a> {
    /// The struct it is a member of.
    pub of: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// Where it is.
    pub offset: &'a mut u64,
    /// Lowest bit and width of a bit-field.
    pub bits: Option<(&'a mut u8, &'a mut u8)>,
}

/// A part of a layout that has members to visit.
pub trait Member {
    /// Hands out every member; `of` is the struct that the part belongs to.
    fn visit_in(&mut self, of: &'static str, visit: &mut dyn FnMut(Spot<'_>));
}

impl<T> Member for Field<T> {
    fn visit_in(&mut self, of: &'static str, visit: &mut dyn FnMut(Spot<'_>)) {
        visit(Spot { of, name: self.name, offset: &mut self.offset, bits: None });
    }
}

impl Member for Bits {
    fn visit_in(&mut self, of: &'static str, visit: &mut dyn FnMut(Spot<'_>)) {
        let bits = Some((&mut self.shift, &mut self.width));
        visit(Spot { of, name: self.name, offset: &mut self.offset, bits });
    }
}

impl<M: Member> Member for Option<M> {
    fn visit_in(&mut self, of: &'static str, visit: &mut dyn FnMut(Spot<'_>)) {
        if let Some(member) = self {
            member.visit_in(of, visit);
        }
    }
}

/// The layout of one C struct, comparable with debug information.
pub trait Shape: Copy + fmt::Debug + PartialEq + Sync + 'static {
    /// Its tag or typedef in C, and what older or newer releases call it.
    const C_NAMES: &'static [&'static str];

    /// The first release without it.
    const GONE_SINCE: Option<Version> = None;

    /// `sizeof`, to be changed in place.
    fn size_mut(&mut self) -> &mut u64;

    /// Hands out every member, to be changed in place.
    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>));
}

/// The layout from one release on.
#[derive(Clone, Copy, Debug)]
pub struct Row<T> {
    /// The first release that has it.
    pub since: Version,
    /// Whether it is that of the build without GIL.
    pub free_threaded: bool,
    /// The layout.
    pub layout: T,
}

/// Every layout of one struct, oldest first, those without GIL last.
#[derive(Clone, Copy, Debug)]
pub struct Table<T: 'static>(pub &'static [Row<T>]);

impl<T: Copy> Table<T> {
    /// The layout in `build` and how far it can be trusted; `None` if `build` has no such struct.
    #[must_use]
    pub fn get(&self, build: Build) -> Option<(T, Trust)> {
        let row = self.row(build)?;
        Some((row.layout, trust(build.version)))
    }

    fn row(&self, build: Build) -> Option<&'static Row<T>> {
        let mut flavour = self.0.iter().filter(|row| row.free_threaded == build.free_threaded);
        flavour.rfind(|row| build.version.reaches(row.since))
    }
}

/// How far the tables can be trusted for `version`.
#[must_use]
pub fn trust(version: Version) -> Trust {
    let preview = version.level != crate::version::Level::Final;
    if version.series() > NEWEST_VERIFIED.series() || preview {
        Trust::Extrapolated
    } else {
        Trust::Table
    }
}

/// One member as a table or a dump has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    /// The struct it is a member of.
    pub of: String,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub offset: u64,
    /// Lowest bit and width of a bit-field.
    pub bits: Option<(u8, u8)>,
}

/// A table of whatever struct: what `cargo xtask layout` and the tests work with.
pub trait AnyTable: Sync {
    /// The names of the struct in C.
    fn c_names(&self) -> &'static [&'static str];

    /// Every member that any row mentions: the struct it is in, its name.
    fn mentioned(&self) -> Vec<(&'static str, &'static str)>;

    /// `sizeof` and members in `build`, `None` if `build` has no such struct.
    fn placed(&self, build: Build) -> Option<(u64, Vec<Placed>)>;

    /// The row of `build`, with sizes and offsets replaced by what `truth` says: to be pasted.
    fn row_like(&self, build: Build, truth: &dyn Fn(&str, &str) -> Option<Placed>) -> String;
}

impl<T: Shape> Table<T> {
    /// The layout in `build`, unless the struct is not there yet or not any more.
    #[must_use]
    pub fn placed_in(&self, build: Build) -> Option<T> {
        let gone = T::GONE_SINCE.is_some_and(|gone| build.version.reaches(gone));
        self.row(build).filter(|_| !gone).map(|row| row.layout)
    }
}

impl<T: Shape> AnyTable for Table<T> {
    fn c_names(&self) -> &'static [&'static str] {
        T::C_NAMES
    }

    fn mentioned(&self) -> Vec<(&'static str, &'static str)> {
        let mut names = Vec::new();
        for row in self.0 {
            let mut layout = row.layout;
            layout.visit(&mut |spot| names.push((spot.of, spot.name)));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    fn placed(&self, build: Build) -> Option<(u64, Vec<Placed>)> {
        let mut layout = self.placed_in(build)?;
        let mut members = Vec::new();
        layout.visit(&mut |spot| {
            members.push(Placed {
                of: spot.of.to_owned(),
                name: spot.name.to_owned(),
                offset: *spot.offset,
                bits: spot.bits.map(|(shift, width)| (*shift, *width)),
            });
        });
        Some((*layout.size_mut(), members))
    }

    fn row_like(&self, build: Build, truth: &dyn Fn(&str, &str) -> Option<Placed>) -> String {
        let Some(row) = self.row(build).or(self.0.first()) else { return String::new() };
        let mut row = *row;
        if let Some(size) = T::C_NAMES.first().and_then(|name| truth(name, "")) {
            *row.layout.size_mut() = size.offset;
        }
        row.layout.visit(&mut |spot| {
            let Some(found) = truth(spot.of, spot.name) else { return };
            *spot.offset = found.offset;
            if let (Some((shift, width)), Some(bits)) = (spot.bits, found.bits) {
                (*shift, *width) = bits;
            }
        });
        let Version { minor, micro, .. } = build.version;
        let flavour = build.free_threaded;
        let layout = row.layout;
        format!(
            "Row {{ since: v3p({minor}, {micro}), free_threaded: {flavour}, layout: {layout:#?} }},"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Bits, Field, Ptr, at, bits};
    use memwhy_model::Addr;

    const NUMBER: Field<u32> = at("number", 4);
    const POINTER: Field<Ptr> = at("pointer", 8);
    const KIND: Bits = bits("kind", 0, 2, 3);

    #[test]
    fn a_copy_that_is_too_short_has_no_field() {
        let mut copy = [0; 16];
        copy[0] = 0b0011_0100;
        copy[4] = 7;
        copy[8] = 1;
        assert_eq!(NUMBER.from(&copy), Some(7));
        assert_eq!(POINTER.from(&copy), Some(Some(Addr(1))));
        assert_eq!(KIND.from(&copy), Some(0b101));
        assert_eq!(POINTER.from(&copy[..15]), None);
        assert_eq!(POINTER.from(&copy[..3]), None);
    }

    #[test]
    fn fields_are_printed_as_they_are_written() {
        assert_eq!(format!("{NUMBER:?} {KIND:?}"), "at(\"number\", 4) bits(\"kind\", 0, 2, 3)");
    }
}
