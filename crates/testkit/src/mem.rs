//! How is code that reads a target tested without a target?

use memwhy_model::{Addr, AddrRange, PageRun, PageState, Residency};
use memwhy_target::{Fault, FaultKind, Memory};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

const PAGE: u64 = 4096;

/// Memory made by hand: segments of bytes, nothing in between.
///
/// Neighbouring segments read as one, as neighbouring mappings do.
#[derive(Clone, Debug, Default)]
pub struct Mem {
    segments: BTreeMap<u64, Vec<u8>>,
}

impl Mem {
    /// No memory at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `len` zeroes at `at`.
    ///
    /// # Panics
    /// If something is there already: the test is wrong.
    #[must_use]
    pub fn map(mut self, at: u64, len: usize) -> Self {
        let range = AddrRange::sized(Addr(at), len as u64);
        let taken = self.ranges().find(|there| !there.overlap(range).is_empty());
        assert!(taken.is_none(), "{range} overlaps {taken:?}");
        self.segments.insert(at, vec![0; len]);
        self
    }

    /// Writes `bytes` at `at`: over what is mapped there, or as a segment of their own.
    #[must_use]
    pub fn with_bytes(mut self, at: u64, bytes: &[u8]) -> Self {
        self.put(at, bytes);
        self
    }

    /// Writes 64-bit words at `at`.
    #[must_use]
    pub fn with_words(mut self, at: u64, words: &[u64]) -> Self {
        self.put_words(at, words);
        self
    }

    /// Writes a 32-bit number at `at`.
    #[must_use]
    pub fn with_half(self, at: u64, number: u32) -> Self {
        self.with_bytes(at, &number.to_le_bytes())
    }

    /// Writes a string and the zero that ends it at `at`.
    #[must_use]
    pub fn with_c_string(self, at: u64, text: &str) -> Self {
        self.with_bytes(at, &[text.as_bytes(), b"\0"].concat())
    }

    /// As [`Mem::with_bytes`], in place.
    ///
    /// # Panics
    /// If some of the bytes would lie in a segment and some not: the test is wrong.
    pub fn put(&mut self, at: u64, bytes: &[u8]) {
        let range = AddrRange::sized(Addr(at), bytes.len() as u64);
        let Some(there) = self.ranges().find(|there| !there.overlap(range).is_empty()) else {
            self.segments.insert(at, bytes.to_vec());
            return;
        };
        assert!(there.covers(range), "{range} lies only partly in {there}");
        if let Some(segment) = self.segments.get_mut(&there.start.0) {
            let start = offset(at - there.start.0);
            segment[start..start + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// As [`Mem::with_words`], in place.
    ///
    /// # Panics
    /// As [`Mem::put`].
    pub fn put_words(&mut self, at: u64, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(at, &bytes);
    }

    /// The segments, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = AddrRange> + '_ {
        self.segments.iter().map(|(at, bytes)| AddrRange::sized(Addr(*at), bytes.len() as u64))
    }

    /// Every page that a segment touches, as anonymous and present.
    #[must_use]
    pub fn residency(&self) -> Residency {
        let mut end = Addr(0);
        let runs: Vec<PageRun> = self
            .ranges()
            .map(|range| {
                let start = range.start.align_down(PAGE).max(end);
                end = range.end.align_up(PAGE).max(end);
                PageRun { range: AddrRange::new(start, end), state: PageState::Anon }
            })
            .collect();
        Residency::new(runs)
    }
}

impl Memory for Mem {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        let mut done = 0;
        while done < buf.len() {
            let here = addr.checked_add(done as u64).ok_or(Fault::unmapped(addr))?;
            let found = self.segments.range(..=here.0).next_back();
            let tail = found
                .and_then(|(start, bytes)| bytes.get(offset(here.0 - start)..))
                .filter(|tail| !tail.is_empty())
                .ok_or(Fault::unmapped(addr))?;
            let n = tail.len().min(buf.len() - done);
            buf[done..done + n].copy_from_slice(&tail[..n]);
            done += n;
        }
        Ok(())
    }
}

fn offset(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// What happens to a read that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It faults.
    Fail,
    /// It succeeds, with one bit changed.
    Flip,
}

/// Memory that goes wrong in one read of so many, the same ones for the same seed.
///
/// Repeatable as long as one thread reads: reads are numbered as they come.
#[derive(Debug)]
pub struct Flaky<M> {
    inner: M,
    mishap: Mishap,
    one_in: u64,
    seed: u64,
    reads: AtomicU64,
    mishaps: AtomicU64,
}

impl<M> Flaky<M> {
    /// Wraps `inner`; one read in `one_in` goes wrong, none if that is 0.
    pub const fn new(inner: M, mishap: Mishap, one_in: u64, seed: u64) -> Self {
        let (reads, mishaps) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { inner, mishap, one_in, seed, reads, mishaps }
    }

    /// How many reads there were.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// How many of them went wrong: a test that finds 0 has tested nothing.
    pub fn mishaps(&self) -> u64 {
        self.mishaps.load(Ordering::Relaxed)
    }
}

impl<M: Memory> Memory for Flaky<M> {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        let number = self.reads.fetch_add(1, Ordering::Relaxed);
        let dice = scramble(self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        if self.one_in == 0 || !dice.is_multiple_of(self.one_in) {
            return self.inner.read(addr, buf);
        }
        self.mishaps.fetch_add(1, Ordering::Relaxed);
        match self.mishap {
            Mishap::Fail => Err(Fault { at: addr, why: FaultKind::NotCaptured }),
            Mishap::Flip => {
                self.inner.read(addr, buf)?;
                let bits = (buf.len() as u64).saturating_mul(8).max(1);
                let bit = scramble(dice) % bits;
                if let Some(byte) = buf.get_mut(offset(bit / 8)) {
                    *byte ^= 1 << (bit % 8);
                }
                Ok(())
            }
        }
    }
}

/// The finaliser of `SplitMix64`: neighbouring numbers in, unrelated numbers out.
const fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Flaky, Mem, Mishap};
    use memwhy_model::{Addr, AddrRange};
    use memwhy_target::{Memory, MemoryExt};

    #[test]
    fn what_was_written_is_read() {
        let mem =
            Mem::new().map(0x1000, 64).with_words(0x1010, &[7, u64::MAX]).with_half(0x1020, 5);
        let mem = mem.with_c_string(0x9000, "name");
        assert_eq!(mem.words(Addr(0x1008), 4, 9), Ok(vec![0, 7, u64::MAX, 5]));
        assert_eq!(mem.u8(Addr(0x9004)), Ok(0));
    }

    #[test]
    fn neighbours_read_as_one_and_gaps_fault_whole() {
        let mem =
            Mem::new().with_words(0x1000, &[1]).with_words(0x1008, &[2]).with_words(0x1018, &[4]);
        assert_eq!(mem.words(Addr(0x1000), 2, 9), Ok(vec![1, 2]));
        let fault = mem.words(Addr(0x1000), 3, 9).map_err(|fault| fault.at);
        assert_eq!(fault, Err(Addr(0x1000)));
        assert!(mem.u64(Addr(u64::MAX - 3)).is_err());
        assert!(Mem::new().u8(Addr(0)).is_err());
    }

    #[test]
    #[should_panic(expected = "only partly")]
    fn a_write_over_the_edge_of_a_segment_is_a_mistake() {
        let _ = Mem::new().map(0x1000, 8).with_words(0x1000, &[1, 2]);
    }

    #[test]
    #[should_panic(expected = "overlaps")]
    fn mapping_twice_is_a_mistake() {
        let _ = Mem::new().map(0x1000, 8).map(0x1004, 8);
    }

    #[test]
    fn touched_pages_are_resident_once() {
        let pages = Mem::new().map(0x1ff8, 16).map(0x2100, 16).map(0x5000, 1).residency();
        let ranges: Vec<_> = pages.runs().iter().map(|run| run.range).collect();
        let expected = [(0x1000, 0x3000), (0x5000, 0x6000)];
        assert_eq!(ranges, expected.map(|(a, b)| AddrRange::new(Addr(a), Addr(b))));
    }

    #[test]
    fn a_seed_always_makes_the_same_mishaps() {
        let run = |seed| {
            let mem = Flaky::new(Mem::new().map(0, 8000), Mishap::Fail, 10, seed);
            let failed: Vec<bool> = (0..1000).map(|n| mem.u64(Addr(n * 8)).is_err()).collect();
            assert_eq!(failed.iter().filter(|failed| **failed).count() as u64, mem.mishaps());
            assert_eq!(mem.reads(), 1000);
            failed
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let failed = run(3).into_iter().filter(|failed| *failed).count();
        assert!((50..200).contains(&failed), "{failed} of 1000");
    }

    #[test]
    fn a_flip_changes_one_bit() {
        let mem = Flaky::new(Mem::new().map(0, 8), Mishap::Flip, 1, 0);
        for _ in 0..100 {
            assert_eq!(mem.u64(Addr(0)).map(u64::count_ones), Ok(1));
        }
        let mut nothing = [];
        assert!(mem.read(Addr(0), &mut nothing).is_ok());
    }
}
