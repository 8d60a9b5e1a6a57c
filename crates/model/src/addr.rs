//! Where is something in the target?
//!
//! Addresses come from the target and may be garbage, so there is no `+`: arithmetic is either
//! checked ([`Addr::checked_add`]) or runs into the top of the address space, where nothing is
//! mapped and the next read faults ([`Addr::at`]).

use serde::{Deserialize, Serialize};
use std::fmt;

/// An address in the target, never one of ours.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Addr(pub u64);

impl Addr {
    /// The address `offset` bytes further; at the top of the address space it stays there.
    #[must_use]
    pub const fn at(self, offset: u64) -> Self {
        Self(self.0.saturating_add(offset))
    }

    /// The address `offset` bytes before; at zero it stays there.
    #[must_use]
    pub const fn before(self, offset: u64) -> Self {
        Self(self.0.saturating_sub(offset))
    }

    /// The address `offset` bytes further, `None` where that does not exist.
    #[must_use]
    pub const fn checked_add(self, offset: u64) -> Option<Self> {
        match self.0.checked_add(offset) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// How many bytes lie between `earlier` and this address, `None` if it is not earlier.
    #[must_use]
    pub const fn checked_since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }

    /// Whether the address is a multiple of `align`, a power of two.
    #[must_use]
    pub const fn is_aligned(self, align: u64) -> bool {
        self.0 & (align - 1) == 0
    }

    /// The last multiple of `align`, a power of two, that is not after this address.
    #[must_use]
    pub const fn align_down(self, align: u64) -> Self {
        Self(self.0 & !(align - 1))
    }

    /// The first multiple of `align`, a power of two, that is not before this address.
    #[must_use]
    pub const fn align_up(self, align: u64) -> Self {
        Self(self.0.saturating_add(align - 1) & !(align - 1))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Addresses from `start` up to, not including, `end`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct AddrRange {
    /// The first address.
    pub start: Addr,
    /// The first address after.
    pub end: Addr,
}

impl AddrRange {
    /// The range from `start` to `end`; empty if they are the wrong way round.
    #[must_use]
    pub const fn new(start: Addr, end: Addr) -> Self {
        Self { start, end: if end.0 < start.0 { start } else { end } }
    }

    /// The `len` bytes from `start`, cut off at the top of the address space.
    #[must_use]
    pub const fn sized(start: Addr, len: u64) -> Self {
        Self { start, end: start.at(len) }
    }

    /// How many bytes.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether `addr` lies in it.
    #[must_use]
    pub const fn contains(self, addr: Addr) -> bool {
        self.start.0 <= addr.0 && addr.0 < self.end.0
    }

    /// Whether all of `other` lies in it.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.start.0 <= other.start.0 && other.end.0 <= self.end.0
    }

    /// The parts of it that are in none of `holes`, which ascend and do not overlap.
    #[must_use]
    pub fn without(self, holes: &[Self]) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut from = self.start;
        let first = holes.partition_point(|hole| hole.end <= self.start);
        let inside = holes.iter().skip(first).take_while(|hole| hole.start < self.end);
        for hole in inside {
            if hole.start > from {
                parts.push(Self::new(from, hole.start));
            }
            from = from.max(hole.end);
        }
        if from < self.end {
            parts.push(Self::new(from, self.end));
        }
        parts
    }

    /// What this and `other` have in common, possibly nothing.
    #[must_use]
    pub const fn overlap(self, other: Self) -> Self {
        let start = if self.start.0 > other.start.0 { self.start } else { other.start };
        let end = if self.end.0 < other.end.0 { self.end } else { other.end };
        Self::new(start, end)
    }
}

impl fmt::Display for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.start.0, self.end.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Addr, AddrRange};

    #[test]
    fn what_is_between_holes_is_left() {
        let range = |start, end| AddrRange::new(Addr(start), Addr(end));
        let holes = [range(0, 8), range(16, 24), range(24, 32), range(60, 90)];
        assert_eq!(range(4, 64).without(&holes), [range(8, 16), range(32, 60)]);
        assert_eq!(range(64, 80).without(&holes), []);
        assert_eq!(range(100, 108).without(&holes), [range(100, 108)]);
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_the_address_space() {
        assert_eq!(Addr(u64::MAX - 1).at(16), Addr(u64::MAX));
        assert_eq!(Addr(8).before(16), Addr(0));
        assert_eq!(Addr(u64::MAX).checked_add(1), None);
        assert_eq!(Addr(u64::MAX).align_up(4096), Addr(!4095));
    }

    #[test]
    fn a_reversed_range_is_empty() {
        let range = AddrRange::new(Addr(0x2000), Addr(0x1000));
        assert!(range.is_empty());
        assert!(!range.contains(Addr(0x2000)));
    }

    #[test]
    fn an_overlap_is_what_both_contain() {
        let (a, b) = (AddrRange::sized(Addr(0), 10), AddrRange::sized(Addr(6), 10));
        assert_eq!(a.overlap(b), AddrRange::new(Addr(6), Addr(10)));
        assert!(a.overlap(AddrRange::sized(Addr(10), 1)).is_empty());
    }
}
