//! What did the target's memory hold at the moment of the copy, kept small?
//!
//! Copied pages are one stream, cut into slabs; extents say which addresses are where in it. A
//! [`Packer`] compresses slabs beside the copier and after it, so that the copy and what is built
//! from it stay below the size of what was copied: the machine of a process that has grown has no
//! memory to spare.

use crate::memory::{Fault, FaultKind, Memory};
use memwhy_model::{Addr, AddrRange};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// One allocation of ours: large enough for the allocator to return it when it is dropped.
pub(crate) const SLAB: usize = 1 << 20;
/// What is compressed and expanded at once. A pool of pymalloc is as large: neighbours that are
/// read together come together.
const BLOCK: usize = 16 << 10;
/// Expanded blocks kept: 8 MiB.
const CACHED: usize = 512;
/// Copies below this size stay as they are.
const WORTH_PACKING: u64 = 48 << 20;

/// Addresses that were copied, and where in the stream their bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) range: AddrRange,
    /// Offset in the stream; `None` where all bytes are zero.
    pub(crate) stream: Option<u64>,
}

/// A copy of the target's memory.
#[derive(Debug, Default)]
pub struct Captured {
    extents: Vec<Extent>,
    store: Store,
    /// The extent that was read last: the next read is most often in it, too.
    last: AtomicUsize,
}

#[derive(Debug)]
enum Store {
    /// As copied: [`SLAB`] bytes each.
    Raw(Vec<Vec<u8>>),
    Packed(Packed),
}

impl Default for Store {
    fn default() -> Self {
        Self::Raw(Vec::new())
    }
}

#[derive(Debug)]
struct Packed {
    slabs: Vec<Vec<u8>>,
    blocks: Vec<Place>,
    cache: Vec<Mutex<Expanded>>,
}

/// Where a block is in the slabs.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    slab: u32,
    offset: u32,
    len: u32,
    compressed: bool,
}

/// One block as it was.
#[derive(Debug, Default)]
struct Expanded {
    block: Option<usize>,
    bytes: Vec<u8>,
}

impl Captured {
    /// Takes extents in ascending order and the slabs that their stream fills.
    pub(crate) fn new(extents: Vec<Extent>, slabs: Vec<Vec<u8>>) -> Self {
        Self { extents, store: Store::Raw(slabs), last: AtomicUsize::new(0) }
    }

    /// The address ranges that were copied, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = AddrRange> + '_ {
        self.extents.iter().map(|extent| extent.range)
    }

    /// Takes extents in ascending order and the stream that was packed while it was copied.
    pub(crate) fn packed(extents: Vec<Extent>, parts: Vec<PackedPart>) -> Self {
        let mut slabs = Vec::new();
        let mut by_slab: Vec<(usize, Vec<Place>)> = Vec::new();
        for part in parts {
            let shift = u32::try_from(slabs.len()).unwrap_or(u32::MAX);
            slabs.extend(part.slabs);
            for (n, mut places) in part.places {
                for place in &mut places {
                    place.slab = place.slab.saturating_add(shift);
                }
                by_slab.push((n, places));
            }
        }
        by_slab.sort_unstable_by_key(|(n, _)| *n);
        let blocks = by_slab.into_iter().flat_map(|(_, places)| places).collect();
        let cache = (0..CACHED).map(|_| Mutex::default()).collect();
        let store = Store::Packed(Packed { slabs, blocks, cache });
        Self { extents, store, last: AtomicUsize::new(0) }
    }

    /// Copies out of the stream.
    fn copy(&self, mut offset: u64, mut buf: &mut [u8]) -> Option<()> {
        while !buf.is_empty() {
            let at = usize::try_from(offset).ok()?;
            let taken = match &self.store {
                Store::Raw(slabs) => copy_part(slabs.get(at / SLAB)?, at % SLAB, buf)?,
                Store::Packed(packed) => packed.copy(at, buf)?,
            };
            buf = buf.get_mut(taken..)?;
            offset += taken as u64;
        }
        Some(())
    }
}

impl Packed {
    fn copy(&self, at: usize, buf: &mut [u8]) -> Option<usize> {
        let block = at / BLOCK;
        let place = self.blocks.get(block)?;
        let (start, len) = (place.offset as usize, place.len as usize);
        let stored = self.slabs.get(place.slab as usize)?.get(start..start + len)?;
        if !place.compressed {
            return copy_part(stored, at % BLOCK, buf);
        }
        let slot = self.cache.get(block % CACHED)?;
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.block != Some(block) {
            slot.block = None;
            slot.bytes.resize(BLOCK, 0);
            lz4_flex::block::decompress_into(stored, &mut slot.bytes).ok()?;
            slot.block = Some(block);
        }
        copy_part(&slot.bytes, at % BLOCK, buf)
    }
}

fn copy_part(from: &[u8], at: usize, buf: &mut [u8]) -> Option<usize> {
    let rest = from.get(at..)?;
    let taken = rest.len().min(buf.len());
    buf.get_mut(..taken)?.copy_from_slice(rest.get(..taken)?);
    (taken > 0).then_some(taken)
}

/// Compresses slabs while others are still being copied, and hands them back to be filled again.
///
/// The copier fills slabs and lets the target go as soon as the last is full; the packer works
/// beside it and then, with the copier's help, through what is left.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Slabs to pack, each with its place in the stream.
    full: VecDeque<(usize, Vec<u8>)>,
    /// Slabs to fill again.
    empty: Vec<Vec<u8>>,
    /// Whether the copy is complete.
    closed: bool,
}

/// What one thread packed.
#[derive(Debug, Default)]
pub(crate) struct PackedPart {
    slabs: Vec<Vec<u8>>,
    /// The blocks of each slab of the stream.
    places: Vec<(usize, Vec<Place>)>,
}

impl Packer {
    /// Whether packing `len` bytes is worth the work.
    pub(crate) const fn worth_it(len: u64) -> bool {
        len >= WORTH_PACKING
    }

    /// Hands over the slab number `n` of the stream.
    pub(crate) fn push(&self, n: usize, slab: Vec<u8>) {
        self.lock().full.push_back((n, slab));
        self.changed.notify_one();
    }

    /// A slab that was packed and can be filled again.
    pub(crate) fn empty(&self) -> Option<Vec<u8>> {
        self.lock().empty.pop()
    }

    /// Packs one slab that waits, if any does, into `part`; returns it to be filled again.
    pub(crate) fn pack_one(&self, part: &mut PackedPart) -> Option<Vec<u8>> {
        let (n, slab) = self.lock().full.pop_front()?;
        part.add(n, &slab);
        Some(slab)
    }

    /// Says that no slab follows.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.empty = Vec::new();
        self.changed.notify_all();
    }

    /// Packs slabs until none is left and none follows.
    pub(crate) fn work(&self, mut part: PackedPart) -> PackedPart {
        while let Some((n, slab)) = self.next() {
            part.add(n, &slab);
            let mut queue = self.lock();
            // Once the target runs nobody waits for slabs: their memory goes back.
            if !queue.closed {
                queue.empty.push(slab);
            }
        }
        part
    }

    fn next(&self) -> Option<(usize, Vec<u8>)> {
        let mut queue = self.lock();
        loop {
            if let Some(slab) = queue.full.pop_front() {
                return Some(slab);
            }
            if queue.closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PackedPart {
    /// Packs the slab number `n` of the stream.
    fn add(&mut self, n: usize, slab: &[u8]) {
        let mut buf = vec![0; lz4_flex::block::get_maximum_output_size(BLOCK)];
        let mut places = Vec::with_capacity(SLAB / BLOCK);
        for block in slab.chunks(BLOCK) {
            // A block that hardly shrinks is kept as it is: reading it then costs nothing.
            let (bytes, compressed) = match lz4_flex::block::compress_into(block, &mut buf) {
                Ok(len) if block.len() == BLOCK && len < BLOCK / 10 * 9 => {
                    (buf.get(..len).unwrap_or_default(), true)
                }
                _ => (block, false),
            };
            let full = self.slabs.last().is_none_or(|s| s.len() + bytes.len() > s.capacity());
            if full {
                self.slabs.push(Vec::with_capacity(SLAB));
            }
            let slab = self.slabs.len() - 1;
            let Some(out) = self.slabs.last_mut() else { continue };
            places.push(Place {
                slab: u32::try_from(slab).unwrap_or(u32::MAX),
                offset: u32::try_from(out.len()).unwrap_or(u32::MAX),
                len: u32::try_from(bytes.len()).unwrap_or(0),
                compressed,
            });
            out.extend_from_slice(bytes);
        }
        self.places.push((n, places));
    }
}

impl Memory for Captured {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault { at: addr, why: FaultKind::NotCaptured };
        let last = self.last.load(Ordering::Relaxed);
        let mut index = match self.extents.get(last) {
            Some(extent) if extent.range.contains(addr) => last,
            _ => self.extents.partition_point(|extent| extent.range.end <= addr),
        };
        self.last.store(index, Ordering::Relaxed);
        let (mut at, mut rest) = (addr, buf);
        while !rest.is_empty() {
            let extent = self.extents.get(index).ok_or(fault)?;
            let skip = at.checked_since(extent.range.start).ok_or(fault)?;
            let here = usize::try_from(extent.range.end.0 - at.0).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at_mut(here.min(rest.len()));
            match extent.stream {
                Some(stream) => self.copy(stream + skip, now).ok_or(fault)?,
                None => now.fill(0),
            }
            at = at.at(now.len() as u64);
            rest = later;
            index += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Captured, Extent, PackedPart, Packer, SLAB};
    use crate::memory::{Memory, MemoryExt};
    use memwhy_model::{Addr, AddrRange};

    fn sample(slabs: usize, packed: bool) -> Captured {
        let fill =
            |n: usize| (0..SLAB).map(move |i| u8::try_from((i / 64 + n) % 251).expect("small"));
        let mut slabs: Vec<Vec<u8>> = (0..slabs).map(|n| fill(n).collect()).collect();
        // The last slab of a stream is rarely full, and its last block neither.
        slabs.last_mut().expect("one").truncate(SLAB - 11_384);
        let len = (slabs.len() * SLAB) as u64 - 11_384;
        let extents = vec![
            Extent { range: AddrRange::sized(Addr(0x10_000), 0x3000), stream: Some(0) },
            Extent { range: AddrRange::sized(Addr(0x13_000), 0x1000), stream: None },
            Extent { range: AddrRange::sized(Addr(0x20_000), len - 0x3000), stream: Some(0x3000) },
        ];
        if !packed {
            return Captured::new(extents, slabs);
        }
        let queue = Packer::default();
        let parts = std::thread::scope(|scope| {
            let other = scope.spawn(|| queue.work(PackedPart::default()));
            for (n, slab) in slabs.into_iter().enumerate() {
                queue.push(n, slab);
            }
            queue.close();
            vec![queue.work(PackedPart::default()), other.join().expect("no panic")]
        });
        Captured::packed(extents, parts)
    }

    #[test]
    fn packing_changes_no_byte() {
        let (raw, packed) = (sample(64, false), sample(64, true));
        let mut at = Addr(0x20_001);
        while at.0 < 0x20_000 + 60 * SLAB as u64 {
            assert_eq!(raw.bytes(at, 40_000, 1 << 20), packed.bytes(at, 40_000, 1 << 20));
            at = at.at(777_777);
        }
        let end = Addr(0x20_000 + 64 * SLAB as u64 - 11_384 - 0x3000);
        assert!(raw.bytes(end.before(5000), 5000, 1 << 20).is_ok());
        assert_eq!(
            raw.bytes(end.before(5000), 5000, 9999),
            packed.bytes(end.before(5000), 5000, 9999)
        );
    }

    #[test]
    fn a_read_goes_on_into_the_next_extent_and_not_over_a_hole() {
        let memory = sample(1, false);
        let mut buf = [1; 16];
        assert!(memory.read(Addr(0x12_ff8), &mut buf).is_ok());
        assert_eq!(buf[8..], [0; 8]);
        assert!(memory.read(Addr(0x13_ff8), &mut buf).is_err());
        assert!(memory.read(Addr(0xfff8), &mut buf).is_err());
        assert!(memory.read(Addr(u64::MAX), &mut buf).is_err());
    }
}
