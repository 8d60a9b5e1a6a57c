//! What bytes are at an address of the target?
//!
//! Everything memwhy knows about the inside of a process came through [`Memory::read`]: from a
//! live process, from a copy of one, from synthetic memory in tests. Code above this module cannot
//! tell which, and must not try.
//!
//! Two rules, kept by the types:
//!
//! * **Read-only.** There is no `write`.
//! * **A fault is an answer.** The target runs, swaps, lies and dies. A read gives exactly the
//!   bytes asked for, or says why not; it never panics and never invents zeroes.

use memwhy_model::Addr;
use std::fmt;

/// No single read may ask for more. Lengths come from the target, so some are garbage: without
/// this, a corrupt `ob_size` would make *us* the process whose memory has grown.
pub const MAX_READ: usize = 64 << 20;

/// A source of the target's bytes.
pub trait Memory: Sync {
    /// Fills `buf` with the bytes at `addr..addr + buf.len()`, all of them or none.
    ///
    /// # Errors
    /// [`Fault`] with the address asked for. `buf` is then unspecified.
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault>;
}

/// Why bytes could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was asked for.
    pub at: Addr,
    /// What stood in the way.
    pub why: FaultKind,
}

/// The kinds of [`Fault`], told apart because each means something else to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No mapping there: the pointer is wrong or stale.
    Unmapped,
    /// Mapped in the process, but not in our copy: the page was not resident, or is of a kind
    /// that is not copied. The pointer may well be right.
    NotCaptured,
    /// Longer than the caller's limit: almost surely a corrupt length.
    TooLong,
    /// The process is gone.
    Gone,
    /// The kernel does not let us.
    Denied,
}

impl Fault {
    /// Nothing is mapped at `at`.
    #[must_use]
    pub const fn unmapped(at: Addr) -> Self {
        Self { at, why: FaultKind::Unmapped }
    }

    /// The length found at `at` is beyond belief.
    #[must_use]
    pub const fn too_long(at: Addr) -> Self {
        Self { at, why: FaultKind::TooLong }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            FaultKind::Unmapped => "nothing is mapped there",
            FaultKind::NotCaptured => "that memory was not captured",
            FaultKind::TooLong => "the length is implausible",
            FaultKind::Gone => "the process has exited",
            FaultKind::Denied => "the kernel does not permit it",
        };
        write!(f, "cannot read {}: {why}", self.at)
    }
}

impl std::error::Error for Fault {}

/// Typed reads for every [`Memory`]. The targets we support are all little-endian and 64-bit.
pub trait MemoryExt: Memory {
    /// Reads a fixed number of bytes.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn array<const N: usize>(&self, addr: Addr) -> Result<[u8; N], Fault> {
        let mut buf = [0; N];
        self.read(addr, &mut buf)?;
        Ok(buf)
    }

    /// Reads an unsigned byte.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn u8(&self, addr: Addr) -> Result<u8, Fault> {
        self.array(addr).map(u8::from_le_bytes)
    }

    /// Reads an unsigned 16-bit number.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn u16(&self, addr: Addr) -> Result<u16, Fault> {
        self.array(addr).map(u16::from_le_bytes)
    }

    /// Reads an unsigned 32-bit number.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn u32(&self, addr: Addr) -> Result<u32, Fault> {
        self.array(addr).map(u32::from_le_bytes)
    }

    /// Reads an unsigned 64-bit number.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn u64(&self, addr: Addr) -> Result<u64, Fault> {
        self.array(addr).map(u64::from_le_bytes)
    }

    /// Reads a signed 64-bit number, `Py_ssize_t` among them.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn i64(&self, addr: Addr) -> Result<i64, Fault> {
        self.array(addr).map(i64::from_le_bytes)
    }

    /// Reads a pointer, `None` when it is null: null is not a fault, and not an address either.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn ptr(&self, addr: Addr) -> Result<Option<Addr>, Fault> {
        self.u64(addr).map(|raw| (raw != 0).then_some(Addr(raw)))
    }

    /// Reads `len` bytes, refusing more than `limit`.
    ///
    /// # Errors
    /// As [`Memory::read`], and [`FaultKind::TooLong`] before anything is allocated.
    fn bytes(&self, addr: Addr, len: u64, limit: usize) -> Result<Vec<u8>, Fault> {
        let len = usize::try_from(len).ok().filter(|&n| n <= limit.min(MAX_READ));
        let len = len.ok_or(Fault::too_long(addr))?;
        let mut buf = vec![0; len];
        self.read(addr, &mut buf)?;
        Ok(buf)
    }

    /// Reads `count` 64-bit words, refusing more than `limit` of them.
    ///
    /// # Errors
    /// As [`MemoryExt::bytes`].
    fn words(&self, addr: Addr, count: u64, limit: usize) -> Result<Vec<u64>, Fault> {
        let len = count.checked_mul(8).ok_or(Fault::too_long(addr))?;
        let bytes = self.bytes(addr, len, limit.saturating_mul(8))?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }

    /// Reads a C string of at most `limit` bytes, invalid UTF-8 replaced.
    ///
    /// # Errors
    /// As [`Memory::read`], and [`FaultKind::TooLong`] if no end is found.
    fn c_string(&self, addr: Addr, limit: usize) -> Result<String, Fault> {
        let mut text = Vec::new();
        while text.len() < limit {
            // Up to the next 64-byte boundary: never across a page that the string does not reach.
            let here = addr.at(text.len() as u64);
            let len = 64 - usize::try_from(here.0 % 64).unwrap_or(0);
            let mut piece = [0; 64];
            let piece = piece.get_mut(..len).unwrap_or_default();
            self.read(here, piece)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend(piece.iter().take(end));
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
            text.extend_from_slice(piece);
        }
        Err(Fault::too_long(addr))
    }
}

impl<M: Memory + ?Sized> MemoryExt for M {}

#[cfg(test)]
mod tests {
    use super::{Fault, FaultKind, Memory, MemoryExt};
    use memwhy_model::Addr;

    /// One mapping at 0x1000 holding a length, a null pointer and a wild pointer.
    struct Page([u8; 24]);

    impl Memory for Page {
        fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
            let fault = Fault::unmapped(addr);
            let start = addr.checked_since(Addr(0x1000)).and_then(|o| usize::try_from(o).ok());
            let tail = start.and_then(|start| self.0.get(start..)).ok_or(fault)?;
            buf.copy_from_slice(tail.get(..buf.len()).ok_or(fault)?);
            Ok(())
        }
    }

    fn page() -> Page {
        let mut page = [0; 24];
        page[..8].copy_from_slice(&24u64.to_le_bytes());
        page[16..].copy_from_slice(&u64::MAX.to_le_bytes());
        Page(page)
    }

    #[test]
    fn null_is_not_an_address() {
        assert_eq!(page().ptr(Addr(0x1008)), Ok(None));
        assert_eq!(page().ptr(Addr(0x1010)), Ok(Some(Addr(u64::MAX))));
    }

    #[test]
    fn a_read_past_the_end_faults_whole() {
        assert_eq!(page().u64(Addr(0x1014)), Err(Fault::unmapped(Addr(0x1014))));
    }

    #[test]
    fn wild_pointers_fault_and_do_not_wrap() {
        assert!(page().u64(Addr(u64::MAX)).is_err());
        assert!(page().u64(Addr(0)).is_err());
    }

    #[test]
    fn a_corrupt_length_is_refused_before_allocating() {
        let refused = page().bytes(Addr(0x1000), u64::MAX, 4096);
        assert_eq!(refused.map_err(|fault| fault.why), Err(FaultKind::TooLong));
        assert_eq!(page().words(Addr(0x1000), 1, 8), Ok(vec![24]));
        assert!(page().words(Addr(0x1000), u64::MAX / 4, 8).is_err());
    }
}
