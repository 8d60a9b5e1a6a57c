//! What do unit tests read instead of a process?

use memwhy_model::Addr;
use memwhy_target::{Fault, Memory};

/// Memory made by hand, that begins at [`START`].
pub(crate) struct Made(pub(crate) Vec<u8>);

/// Where it begins.
pub(crate) const START: u64 = 0x1000;

impl Made {
    /// Memory that consists of these words.
    pub(crate) fn of(words: &[u32]) -> Self {
        Self(words.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    /// Writes `bytes` at the address `at`.
    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at - START).expect("in this memory");
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl Memory for Made {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        let at = usize::try_from(addr.0.wrapping_sub(START)).unwrap_or(usize::MAX);
        let found = self.0.get(at..).and_then(|rest| rest.get(..buf.len()));
        buf.copy_from_slice(found.ok_or(Fault::unmapped(addr))?);
        Ok(())
    }
}
