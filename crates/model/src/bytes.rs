//! How much memory, and how is that said?

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// An amount of memory. Sums stop at the largest number instead of wrapping.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Bytes(pub u64);

impl Bytes {
    /// So many KiB.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1024))
    }

    /// So many MiB.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1024 * 1024))
    }

    /// In MiB (2^20 bytes), the unit of every figure that memwhy prints.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "printed with one digit after the point")]
    pub fn as_mib(self) -> f64 {
        self.0 as f64 / (1024.0 * 1024.0)
    }

    /// This amount as a part of `whole`, 0 to 1; 0 where `whole` is nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share, printed in whole percent")]
    pub fn share_of(self, whole: Self) -> f64 {
        if whole.0 == 0 { 0.0 } else { self.0 as f64 / whole.0 as f64 }
    }

    /// The part of this amount that `share` is, 0 to 1: see [`Self::share_of`].
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an estimate, between nothing and this amount"
    )]
    pub fn part(self, share: f64) -> Self {
        Self((self.0 as f64 * share.clamp(0.0, 1.0)) as u64)
    }

    /// What remains after taking `other` away, at least nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Bytes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self(0), Add::add)
    }
}

impl fmt::Display for Bytes {
    /// `812 B`, `3.4 KiB`, `61.2 MiB`, `515 MiB`, `2.31 GiB`: three digits are enough to act on.
    #[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0 as f64;
        let text = if self.0 < 1024 {
            format!("{} B", self.0)
        } else if n < 1024.0 * 1024.0 {
            format!("{:.1} KiB", n / 1024.0)
        } else if n < 100.0 * 1024.0 * 1024.0 {
            format!("{:.1} MiB", n / (1024.0 * 1024.0))
        } else if n < 10.0 * 1024.0 * 1024.0 * 1024.0 {
            format!("{:.0} MiB", n / (1024.0 * 1024.0))
        } else {
            format!("{:.1} GiB", n / (1024.0 * 1024.0 * 1024.0))
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn three_digits_are_printed() {
        let said =
            [0, 812, 3_482, 64_172_851, 540_016_640, 24_803_331_000].map(|n| Bytes(n).to_string());
        assert_eq!(said, ["0 B", "812 B", "3.4 KiB", "61.2 MiB", "515 MiB", "23.1 GiB"]);
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        assert!(Bytes(5).share_of(Bytes(0)).abs() < f64::EPSILON);
    }

    #[test]
    fn sums_do_not_wrap() {
        assert_eq!(Bytes(u64::MAX) + Bytes(1), Bytes(u64::MAX));
        assert_eq!(Bytes(1).minus(Bytes(2)), Bytes(0));
    }
}
