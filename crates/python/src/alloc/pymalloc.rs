//! Which blocks of pymalloc are in use, and what do its arenas keep free?
//!
//! An arena is cut into pools, a pool into blocks of one size class. A pool describes itself: its
//! header tells where the last block fits (so the block size need not be assumed), how many blocks
//! are in use, and where the chain of free ones begins. Both must agree in every pool.
//!
//! Source: `Objects/obmalloc.c`, `pymalloc_alloc`, `pymalloc_free`, `_PyObject_DebugMallocStats`;
//! `Include/internal/pycore_obmalloc.h` from 3.12.

use crate::layout::Layouts;
use memwhy_model::{Addr, AddrRange, Bytes, ProblemKind, Problems, PymallocClass, PymallocFacts};
use memwhy_target::{Fault, Memory, MemoryExt};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// `INITIAL_ARENA_OBJECTS`; the array doubles when it is full.
const INITIAL_ARENAS: u64 = 16;
/// 2^24 arenas of 256 KiB are 4 TiB.
const MOST_ARENAS: u64 = 1 << 24;
/// The largest block, `SMALL_REQUEST_THRESHOLD`.
const LARGEST_BLOCK: u64 = 512;

/// One pool with blocks in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Where its header is.
    pub base: Addr,
    /// Bytes of one block.
    pub block: u32,
    /// Blocks that were ever handed out: those after are untouched.
    pub blocks: u32,
    /// Blocks in use.
    pub used: u32,
    /// Index of its first word in [`Pymalloc::live`].
    bits: u32,
}

/// pymalloc in one interpreter.
#[derive(Debug, Default)]
pub struct Pymalloc {
    /// The arenas, ascending.
    pub arenas: Vec<AddrRange>,
    /// Pools with blocks in use, ascending.
    pub pools: Vec<Pool>,
    /// Totals.
    pub facts: PymallocFacts,
    live: Vec<u64>,
    by_base: FxHashMap<u64, u32>,
    pool_size: u64,
    header: u64,
}

/// Where an arena is, and how far it is used.
struct Arena {
    range: AddrRange,
    pools_start: Addr,
    /// High-water mark: pools from here on were never used.
    untouched: Addr,
    free_pools: Option<Addr>,
}

impl Pymalloc {
    /// Walks the arenas that the arrays at `arrays` have: since 3.12 an interpreter may have its
    /// own, or use that of the main one.
    #[must_use]
    pub fn walk(
        memory: &dyn Memory,
        layouts: &Layouts,
        arrays: &[Addr],
        found_by: &str,
        problems: &mut Problems,
    ) -> Self {
        let geometry = layouts.pymalloc;
        let mut walk = Self {
            pool_size: geometry.pool_size,
            header: layouts.pool_header.size,
            facts: PymallocFacts {
                arena_size: Bytes(geometry.arena_size),
                pool_size: Bytes(geometry.pool_size),
                found_by: found_by.to_owned(),
                ..PymallocFacts::default()
            },
            ..Self::default()
        };
        let mut classes: BTreeMap<u64, PymallocClass> = BTreeMap::new();
        let mut buf = vec![0; usize::try_from(geometry.pool_size).unwrap_or(0)];
        let mut found: Vec<Arena> = Vec::new();
        for array in arrays {
            found.extend(arenas(memory, layouts, *array, problems));
        }
        found.sort_unstable_by_key(|arena| arena.range.start);
        found.dedup_by_key(|arena| arena.range.start);
        for arena in found {
            walk.arena(memory, layouts, &arena, &mut buf, &mut classes, problems);
        }
        walk.facts.classes = classes.into_values().collect();
        walk.facts.arenas = walk.arenas.len() as u64;
        walk.facts.used_pools = walk.pools.len() as u64;
        walk.arenas.sort_unstable();
        walk.pools.sort_unstable_by_key(|pool| pool.base);
        walk.by_base =
            walk.pools.iter().zip(0u32..).map(|(pool, index)| (pool.base.0, index)).collect();
        walk
    }

    fn arena(
        &mut self,
        memory: &dyn Memory,
        layouts: &Layouts,
        arena: &Arena,
        buf: &mut [u8],
        classes: &mut BTreeMap<u64, PymallocClass>,
        problems: &mut Problems,
    ) {
        let size = self.pool_size;
        self.arenas.push(arena.range);
        let pools_end = arena.range.end.align_down(size);
        let free = free_pools(memory, layouts, arena, size, problems);
        let mut used_here = Bytes(0);
        let mut base = arena.pools_start;
        while base.at(size) <= pools_end {
            let untouched = base >= arena.untouched;
            if untouched || free.binary_search(&base).is_ok() {
                self.facts.free_pools += 1;
                self.facts.free_in_free_pools += Bytes(size);
            } else if read_pool(memory, layouts, base, buf).is_err() {
                problems.note(ProblemKind::UnreadablePointer, || format!("pool {base}"));
            } else if let Some(pool) = self.pool(layouts, base, buf) {
                used_here += Bytes(u64::from(pool.used) * u64::from(pool.block));
                self.count(pool, classes);
                self.pools.push(pool);
            } else {
                self.facts.torn_pools += 1;
                problems.note(ProblemKind::TornPool, || format!("pool {base}"));
            }
            base = base.at(size);
        }
        let slack = arena.pools_start.0.saturating_sub(arena.range.start.0)
            + arena.range.end.0.saturating_sub(pools_end.0);
        self.facts.overhead += Bytes(slack);
        if used_here.0 < arena.range.len() / 10 {
            self.facts.sparse_arenas.0 += 1;
            self.facts.sparse_arenas.1 += used_here;
        }
    }

    /// Reads one pool; `None` if its header and its chain of free blocks disagree.
    fn pool(&mut self, layouts: &Layouts, base: Addr, bytes: &[u8]) -> Option<Pool> {
        let fields = &layouts.pool_header;
        let used = fields.count.from(bytes)?;
        let next = u64::from(fields.nextoffset.from(bytes)?);
        let last = u64::from(fields.maxnextoffset.from(bytes)?);
        let block = self.pool_size.checked_sub(last)?;
        let handed_out = next.checked_sub(self.header)?;
        let sane = (8..=LARGEST_BLOCK).contains(&block)
            && block % 8 == 0
            && handed_out % block == 0
            && next <= self.pool_size;
        if !sane {
            return None;
        }
        let blocks = u32::try_from(handed_out / block).ok()?;
        let bits = self.live.len();
        self.live.resize(bits + (blocks as usize).div_ceil(64), u64::MAX);
        let live = self.live.get_mut(bits..)?;
        let mut free = 0u32;
        let mut at = fields.freeblock.from(bytes)?;
        let chain = std::iter::from_fn(|| {
            let here = at?;
            let offset = here.checked_since(base)?;
            let index = offset.checked_sub(self.header)?;
            if index % block != 0 || offset >= next {
                return None;
            }
            let link = bytes.get(usize::try_from(offset).ok()?..)?.first_chunk::<8>()?;
            at = Some(u64::from_le_bytes(*link)).filter(|link| *link != 0).map(Addr);
            Some(index / block)
        });
        for index in chain.take(blocks as usize) {
            let word = live.get_mut(usize::try_from(index / 64).ok()?)?;
            let bit = 1u64 << (index % 64);
            if *word & bit == 0 {
                break;
            }
            *word &= !bit;
            free += 1;
        }
        if blocks.checked_sub(free) != Some(used) {
            self.live.truncate(bits);
            return None;
        }
        let block = u32::try_from(block).ok()?;
        Some(Pool { base, block, blocks, used, bits: u32::try_from(bits).ok()? })
    }

    fn count(&mut self, pool: Pool, classes: &mut BTreeMap<u64, PymallocClass>) {
        let block = u64::from(pool.block);
        let capacity = self.pool_size.saturating_sub(self.header) / block.max(1);
        let (used, free) = (u64::from(pool.used), capacity.saturating_sub(u64::from(pool.used)));
        let class = classes.entry(block).or_insert(PymallocClass { block, ..Default::default() });
        class.pools += 1;
        class.used += used;
        class.free += free;
        self.facts.allocated += Bytes(used * block);
        self.facts.free_in_used_pools += Bytes(free * block);
        self.facts.overhead += Bytes(self.pool_size.saturating_sub(capacity * block));
    }

    /// Where the block number `index` of `pool` begins.
    #[must_use]
    pub fn block_addr(&self, pool: &Pool, index: u32) -> Addr {
        pool.base.at(self.header + u64::from(index) * u64::from(pool.block))
    }

    /// Whether the block number `index` of `pool` is in use.
    #[must_use]
    pub fn is_live(&self, pool: &Pool, index: u32) -> bool {
        let word = self.live.get(pool.bits as usize + index as usize / 64).copied().unwrap_or(0);
        index < pool.blocks && word >> (index % 64) & 1 == 1
    }

    /// The block in use that begins at `addr`: its size.
    #[must_use]
    pub fn block_at(&self, addr: Addr) -> Option<u64> {
        let pool = self.pool_of(addr)?;
        let offset = addr.checked_since(pool.base)?.checked_sub(self.header)?;
        let index = u32::try_from(offset / u64::from(pool.block)).ok()?;
        let starts = offset % u64::from(pool.block) == 0;
        (starts && self.is_live(pool, index)).then_some(u64::from(pool.block))
    }

    /// The pool with blocks in use that `addr` lies in.
    #[must_use]
    pub fn pool_of(&self, addr: Addr) -> Option<&Pool> {
        let base = addr.align_down(self.pool_size.max(1));
        self.pools.get(*self.by_base.get(&base.0)? as usize)
    }

    /// Whether `addr` lies in an arena.
    #[must_use]
    pub fn covers(&self, addr: Addr) -> bool {
        let after = self.arenas.partition_point(|arena| arena.start <= addr);
        after.checked_sub(1).and_then(|i| self.arenas.get(i)).is_some_and(|a| a.contains(addr))
    }
}

/// Reads a pool as far as its blocks were ever handed out: pages after that may not be there.
///
/// # Errors
/// As [`Memory::read`].
pub(crate) fn read_pool(
    memory: &dyn Memory,
    layouts: &Layouts,
    base: Addr,
    buf: &mut [u8],
) -> Result<(), Fault> {
    let fields = &layouts.pool_header;
    let header = usize::try_from(fields.size).unwrap_or(0);
    let absurd = Fault::too_long(base);
    memory.read(base, buf.get_mut(..header).ok_or(absurd)?)?;
    let used = fields.nextoffset.from(buf).and_then(|used| usize::try_from(used).ok());
    let used = used.ok_or(absurd)?.clamp(header, buf.len());
    memory.read(base.at(fields.size), buf.get_mut(header..used).ok_or(absurd)?)
}

/// Reads the arenas in use out of the array of all.
fn arenas(
    memory: &dyn Memory,
    layouts: &Layouts,
    array: Addr,
    problems: &mut Problems,
) -> Vec<Arena> {
    let mut found = Vec::new();
    let (mut index, mut known) = (0, INITIAL_ARENAS);
    while index < known {
        match arena_object(memory, layouts, array, index) {
            Some(Some(arena)) => found.push(arena),
            Some(None) => {}
            None if index < INITIAL_ARENAS => {
                problems.note(ProblemKind::CalibrationFailed, || format!("arena object {index}"));
            }
            // The array ends somewhere before the next doubling, and anything may follow it.
            None => break,
        }
        index += 1;
        if index == known && known < MOST_ARENAS {
            known *= 2;
        }
    }
    found
}

/// One entry: `Some(None)` if it is unused, `None` if it is no arena object.
#[expect(clippy::option_option, reason = "unused and invalid are different answers")]
fn arena_object(
    memory: &dyn Memory,
    layouts: &Layouts,
    array: Addr,
    index: u64,
) -> Option<Option<Arena>> {
    let (fields, geometry) = (&layouts.arena_object, layouts.pymalloc);
    let at = array.at(index.checked_mul(fields.size)?);
    let address = Addr(fields.address.read(memory, at).ok()?);
    if address.0 == 0 {
        return Some(None);
    }
    let untouched = Addr(fields.pool_address.read(memory, at).ok()?);
    let (free, total) =
        (fields.nfreepools.read(memory, at).ok()?, fields.ntotalpools.read(memory, at).ok()?);
    let range = AddrRange::sized(address, geometry.arena_size);
    let pools_start = address.align_up(geometry.pool_size);
    let sane = address.is_aligned(4096)
        && untouched >= address
        && untouched <= range.end
        && untouched.is_aligned(geometry.pool_size)
        && free <= total
        && u64::from(total) <= geometry.arena_size / geometry.pool_size;
    if !sane {
        return None;
    }
    let free_pools = fields.freepools.read(memory, at).ok()?;
    Some(Some(Arena { range, pools_start, untouched, free_pools }))
}

/// The pools of an arena that were used and are free again, ascending.
fn free_pools(
    memory: &dyn Memory,
    layouts: &Layouts,
    arena: &Arena,
    pool_size: u64,
    problems: &mut Problems,
) -> Vec<Addr> {
    let mut free = Vec::new();
    let mut at = arena.free_pools;
    let most = arena.range.len() / pool_size.max(1);
    while let Some(pool) = at {
        if !arena.range.contains(pool) || !pool.is_aligned(pool_size) || free.len() as u64 > most {
            problems.note(ProblemKind::BrokenList, || format!("free pools of {}", arena.range));
            break;
        }
        free.push(pool);
        at = layouts.pool_header.nextpool.read(memory, pool).ok().flatten();
    }
    free.sort_unstable();
    free
}

/// Looks for the array of arenas among the words of `data`, the interpreter's writable memory.
///
/// `arenas` is a local symbol, gone in a stripped build. The array gives itself away: its entries
/// are arenas, and a pool in one of them names the entry by its index.
#[must_use]
pub(crate) fn find_array(
    memory: &dyn Memory,
    layouts: &Layouts,
    data: &[AddrRange],
) -> Option<Addr> {
    for range in data {
        let Ok(words) = memory.words(range.start, range.len() / 8, 8 << 20) else { continue };
        let candidates = words.iter().filter(|word| **word != 0 && **word % 16 == 0);
        for word in candidates {
            if is_array(memory, layouts, Addr(*word)) {
                return Some(Addr(*word));
            }
        }
    }
    None
}

/// Whether `array` is one of arenas, of which one has a pool that names its entry.
pub(crate) fn is_array(memory: &dyn Memory, layouts: &Layouts, array: Addr) -> bool {
    // Nearly every candidate fails at the first entry: an arena object begins with an address.
    let mut confirmed = false;
    for index in 0..INITIAL_ARENAS {
        match arena_object(memory, layouts, array, index) {
            None => return false,
            Some(None) => {}
            Some(Some(arena)) => {
                if arena.untouched > arena.pools_start && !confirmed {
                    let named = layouts.pool_header.arenaindex.read(memory, arena.pools_start);
                    if named.map(u64::from) != Ok(index) {
                        return false;
                    }
                    confirmed = true;
                }
            }
        }
    }
    confirmed
}
