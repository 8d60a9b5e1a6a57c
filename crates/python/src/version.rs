//! Which CPython is it?
//!
//! Versions are compared here and in [`crate::layout`], and nowhere else: other code asks a layout
//! which shape it has.

use std::fmt;
use std::str::FromStr;

/// How far a release had come, in the order of `PY_VERSION_HEX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `a`
    Alpha,
    /// `b`
    Beta,
    /// `rc`
    Candidate,
    /// No suffix.
    Final,
}

/// A release of CPython.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The 3 of `3.11.7`.
    pub major: u8,
    /// The 11 of `3.11.7`.
    pub minor: u8,
    /// The 7 of `3.11.7`.
    pub micro: u8,
    /// Alpha, beta, candidate or final.
    pub level: Level,
    /// The 1 of `rc1`.
    pub serial: u8,
}

/// The only Python 2 that is supported.
pub const V2_7: Version = release(2, 7, 0);

/// The first final release of a 3.x series.
#[must_use]
pub const fn v3(minor: u8) -> Version {
    release(3, minor, 0)
}

/// A bug-fix release of a 3.x series: `v3p(13, 5)` is 3.13.5.
#[must_use]
pub const fn v3p(minor: u8, micro: u8) -> Version {
    release(3, minor, micro)
}

const fn release(major: u8, minor: u8, micro: u8) -> Version {
    Version { major, minor, micro, level: Level::Final, serial: 0 }
}

impl Version {
    /// Takes `PY_VERSION_HEX` apart, `None` if it is no release of Python 2.7 or 3.
    #[must_use]
    pub fn from_hex(hex: u32) -> Option<Self> {
        let [low, micro, minor, major] = hex.to_le_bytes();
        let level = match low >> 4 {
            0xa => Level::Alpha,
            0xb => Level::Beta,
            0xc => Level::Candidate,
            0xf => Level::Final,
            _ => return None,
        };
        ((major, minor) == (2, 7) || major == 3).then_some(Self {
            major,
            minor,
            micro,
            level,
            serial: low & 0xf,
        })
    }

    /// `PY_VERSION_HEX`.
    #[must_use]
    pub const fn to_hex(self) -> u32 {
        let level = match self.level {
            Level::Alpha => 0xa0,
            Level::Beta => 0xb0,
            Level::Candidate => 0xc0,
            Level::Final => 0xf0,
        };
        u32::from_le_bytes([level | (self.serial & 0xf), self.micro, self.minor, self.major])
    }

    /// The `3.11` of `3.11.7`: what directories and libraries are named after.
    #[must_use]
    pub const fn series(self) -> (u8, u8) {
        (self.major, self.minor)
    }

    /// Whether this release has what came with `other`; a preview of 3.15.0 has what 3.15.0 has.
    #[must_use]
    pub fn reaches(self, other: Self) -> bool {
        (self.major, self.minor, self.micro) >= (other.major, other.minor, other.micro)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.level {
            Level::Alpha => format!("a{}", self.serial),
            Level::Beta => format!("b{}", self.serial),
            Level::Candidate => format!("rc{}", self.serial),
            Level::Final => String::new(),
        };
        f.pad(&format!("{}.{}.{}{suffix}", self.major, self.minor, self.micro))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no version of CPython.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAVersion;

impl fmt::Display for NotAVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a version of CPython 2.7 or 3")
    }
}

impl std::error::Error for NotAVersion {}

impl FromStr for Version {
    type Err = NotAVersion;

    /// Reads `3.11.7`, `3.14.0rc1`, `3.11.2+` and the beginning of what `Py_GetVersion` says.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        parse(text).ok_or(NotAVersion)
    }
}

fn parse(text: &str) -> Option<Version> {
    let (major, rest) = number(text)?;
    let (minor, rest) = number(rest.strip_prefix('.')?)?;
    let (micro, rest) = number(rest.strip_prefix('.')?)?;
    let levels = [("rc", Level::Candidate), ("c", Level::Candidate), ("b", Level::Beta)];
    let mut named = levels.iter().chain(&[("a", Level::Alpha)]);
    let (level, serial, rest) = named
        .find_map(|(prefix, level)| {
            let (serial, rest) = number(rest.strip_prefix(prefix)?)?;
            Some((*level, serial, rest))
        })
        .unwrap_or((Level::Final, 0, rest));
    let ends = rest.is_empty() || rest.starts_with(['+', ' ']);
    let known = (major, minor) == (2, 7) || major == 3;
    (ends && known).then_some(Version { major, minor, micro, level, serial })
}

fn number(text: &str) -> Option<(u8, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

/// A version, and how it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Build {
    /// The release.
    pub version: Version,
    /// Whether it was built without the GIL (`python3.14t`).
    pub free_threaded: bool,
    /// Whether it was built with `Py_DEBUG`.
    pub debug: bool,
}

impl Build {
    /// The usual build of `version`.
    #[must_use]
    pub const fn gil(version: Version) -> Self {
        Self { version, free_threaded: false, debug: false }
    }

    /// The free-threaded build of `version`.
    #[must_use]
    pub const fn free_threaded(version: Version) -> Self {
        Self { version, free_threaded: true, debug: false }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.version)?;
        f.write_str(if self.free_threaded { "t" } else { "" })?;
        f.write_str(if self.debug { " (debug)" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, V2_7, Version, v3, v3p};

    #[test]
    fn text_and_hex_say_the_same() {
        let said = ["3.11.7", "3.14.0rc1", "3.15.0a3", "2.7.18", "3.13.0b2"];
        for text in said {
            let version: Version = text.parse().expect(text);
            assert_eq!(version.to_string(), text);
            assert_eq!(Version::from_hex(version.to_hex()), Some(version));
        }
        assert_eq!(Version::from_hex(0x030b_07f0), Some(v3p(11, 7)));
    }

    #[test]
    fn what_a_build_adds_to_the_number_is_left_out() {
        assert_eq!("3.11.2+".parse(), Ok(v3p(11, 2)));
        assert_eq!("3.9.18 (main, May  9 2026, 10:11:12)".parse(), Ok(v3p(9, 18)));
        assert!("3.11".parse::<Version>().is_err());
        assert!("4.0.0".parse::<Version>().is_err());
        assert!("3.11.7x".parse::<Version>().is_err());
        assert!("3.999.7".parse::<Version>().is_err());
    }

    #[test]
    fn a_preview_is_older_than_its_release_but_reaches_it() {
        let preview = Version { level: Level::Alpha, serial: 3, ..v3(15) };
        assert!(preview < v3(15));
        assert!(preview.reaches(v3(15)));
        assert!(!preview.reaches(v3p(15, 1)));
        assert!(V2_7 < v3(6));
    }
}
