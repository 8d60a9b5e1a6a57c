//! What does glibc's malloc keep, to the last chunk, without symbols?
//!
//! | file | idea |
//! |---|---|
//! | [`layout`] | where the fields of its structures are |
//! | [`find`] | where its structures are |
//! | [`chunk`] | rows of chunks |
//! | [`arena`] | the rows of an arena, checked against its own counter |
//! | [`tcache`] | free chunks that look used |
//! | [`mmapped`] | chunks in mappings of their own, checked against malloc's counter |
//! | [`trim`] | what a trim would return, and what holds the rest |

pub mod arena;
pub mod chunk;
pub mod find;
pub mod layout;
mod locks;
mod mmapped;
mod tcache;
mod trim;

pub use arena::Region;
pub use chunk::{Chunk, State};
pub use locks::ArenaLocks;

use crate::image::{Image, Images};
use find::Found;
use layout::HEADER;
use memwhy_model::{
    Addr, AddrRange, ArenaFacts, Bytes, ChunkClass, GlibcFacts, Layer, Mallinfo, MallocFacts,
    Owner, Partition, ProblemKind, Problems,
};
use memwhy_target::{Memory, MemoryExt, Skip, View};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// A free chunk from this size on is worth leaving out of a copy.
const WORTH_SKIPPING: u64 = 32 << 10;
/// From this size on a chunk would have had a mapping of its own by default
/// (`DEFAULT_MMAP_THRESHOLD_MIN`).
const DEFAULT_MMAP_THRESHOLD: u64 = 128 << 10;

/// glibc's malloc in one process, walked.
#[derive(Debug)]
pub struct Glibc {
    /// `2.36`, as libc says of itself; empty if it does not.
    pub version: String,
    /// Every chunk, ascending.
    pub chunks: Vec<Chunk>,
    /// Every stretch of memory that an arena manages, ascending.
    pub regions: Vec<Region>,
    /// Totals, parameters, arenas.
    pub facts: GlibcFacts,
    /// The chunks that hold a page alone, for a table by what is in them.
    pub lone: Vec<Addr>,
    /// `main_arena`: its lists have the addresses of headers, which belong to the chunks before.
    pub state: AddrRange,
}

/// Which image has glibc's malloc: libc itself, or a program that is linked with it statically.
#[must_use]
pub fn libc(images: &Images) -> Option<&Image> {
    images.by_name(|name| name.starts_with("libc.so.") || name.starts_with("libc-2."))
}

impl Glibc {
    /// Walks every heap and finds every mapped chunk; `None` if malloc's state is not to be found.
    #[must_use]
    pub fn walk(view: &View, libc: &Image, problems: &mut Problems) -> Option<Self> {
        let (mut glibc, found) = Self::walk_heaps(view, libc, problems)?;
        let stated = glibc.facts.mmapped_stated;
        let mmapped = if stated.0 == 0 && found.params.is_some() {
            Vec::new()
        } else {
            let taken: Vec<AddrRange> = glibc.regions.iter().map(|region| region.range).collect();
            mmapped::find(view, &taken, found.layout.fastbins.is_none(), stated)
        };
        glibc.facts.mmapped = mmapped::sum(&mmapped);
        if found.layout.fastbins.is_none() {
            glibc.facts.mmapped_stated = undrift(stated, glibc.facts.mmapped);
        }
        if glibc.facts.mmapped != glibc.facts.mmapped_stated {
            problems.note(ProblemKind::BrokenMallocHeap, || {
                format!("{} mapped chunks found, malloc counts {}", mmapped.len(), stated.0)
            });
        }
        glibc.count(view);
        glibc.facts.mallinfo.hblks = stated.0;
        glibc.facts.mallinfo.hblkhd = stated.1.0;
        glibc.chunks.extend(mmapped);
        glibc.chunks.sort_unstable_by_key(|chunk| chunk.addr());
        Some(glibc)
    }

    /// What a copy of the process may leave out: the whole pages inside large free chunks.
    #[must_use]
    pub fn skippable(view: &View, libc: &Image) -> FreeChunks {
        // Whatever goes wrong here is of no account: it is checked again in the stop.
        let walked = Self::walk_heaps(view, libc, &mut Problems::default());
        let chunks = walked.map(|(glibc, _)| glibc.chunks).unwrap_or_default();
        let free = chunks.iter().filter(|chunk| {
            matches!(chunk.state(), State::Free | State::Top) && chunk.size() >= WORTH_SKIPPING
        });
        FreeChunks(free.map(|chunk| (chunk.addr(), chunk.size(), chunk.state())).collect())
    }

    /// Walks the heaps of every arena.
    fn walk_heaps(view: &View, libc: &Image, problems: &mut Problems) -> Option<(Self, Found)> {
        let found = find::find(view, libc)?;
        let layout = found.layout;
        let arenas = find::ring(view, found.main_arena, &layout).unwrap_or_default();
        let (mut chunks, mut regions, mut facts) = (Vec::new(), Vec::new(), Vec::new());
        for (addr, index) in arenas.iter().zip(0..) {
            facts.push(arena::walk(
                view,
                &found,
                *addr,
                index,
                &mut chunks,
                &mut regions,
                problems,
            ));
        }
        // Before its first use main arena has no lists that memory could show.
        let used = facts.iter().any(|arena: &ArenaFacts| arena.system.0 > 0);
        if used && found.by != "relocation and memory" {
            problems.note(ProblemKind::LayoutDisagrees, || {
                format!("main_arena was found by {} alone", found.by)
            });
        }
        regions.sort_unstable_by_key(|region| region.range.start);
        chunks.sort_unstable_by_key(|chunk| chunk.addr());
        chunks.dedup_by_key(|chunk| chunk.addr());
        for addr in &arenas {
            tcache::mark_fast(view, &mut chunks, *addr, &layout, problems);
        }
        tcache::mark_cached(view, &mut chunks, problems);
        let mut facts =
            GlibcFacts { arenas: facts, found_by: found.by.to_owned(), ..GlibcFacts::default() };
        if let Some(params) = found.params {
            facts.mmapped_stated = (params.n_mmaps, Bytes(params.mmapped_mem));
            facts.mmap_threshold = params.mmap_threshold;
            facts.trim_threshold = params.trim_threshold;
            facts.threshold_is_dynamic = params.dynamic;
            facts.arena_max = params.arena_max;
        }
        let version = version(libc);
        let state = AddrRange::sized(found.main_arena, layout.size);
        Some((Self { version, chunks, regions, facts, lone: Vec::new(), state }, found))
    }

    /// Fills in what is counted region by region: arenas, mallinfo, trim and pins.
    fn count(&mut self, view: &View) {
        let pages = view.pages();
        let mut pins = trim::Pins::default();
        let mut info = Mallinfo::default();
        let mut sizes: FxHashMap<u64, u64> = FxHashMap::default();
        for region in &self.regions {
            let from = self.chunks.partition_point(|chunk| chunk.addr() < region.range.start);
            let to = self.chunks.partition_point(|chunk| chunk.addr() < region.range.end);
            let chunks = self.chunks.get(from..to).unwrap_or_default();
            let Some(arena) = self.facts.arenas.get_mut(region.arena) else { continue };
            let trim = trim::predict(*region, chunks, pages);
            pins.add(*region, chunks, pages, &trim);
            arena.trim_returns += Bytes(trim.returned);
            arena.resident += Bytes(pages.resident(region.range));
            for chunk in chunks {
                let (size, resident) = (chunk.size(), || pages.resident(chunk.range()));
                match chunk.state() {
                    State::InUse | State::Mmapped => {
                        arena.in_use += Bytes(size);
                        *sizes.entry(size).or_default() += 1;
                        continue;
                    }
                    State::Free => {
                        info.ordblks += 1;
                        info.fordblks += size;
                        let largest = arena.largest_free.map_or(0, |(_, largest)| largest.0);
                        if size > largest {
                            arena.largest_free = Some((chunk.memory(), Bytes(resident())));
                        }
                    }
                    State::Fast => {
                        info.smblks += 1;
                        info.fsmblks += size;
                        info.fordblks += size;
                    }
                    State::Cached => self.facts.tcache += Bytes(size),
                    State::Top => {
                        arena.top = Bytes(size);
                        info.ordblks += 1;
                        info.fordblks += size;
                        if arena.main {
                            info.keepcost = size;
                        }
                    }
                }
                arena.free += Bytes(size);
                arena.free_resident += Bytes(resident());
                if arena.main && chunk.state() == State::Free && size >= DEFAULT_MMAP_THRESHOLD {
                    self.facts.large_free += Bytes(resident());
                }
            }
        }
        for arena in &self.facts.arenas {
            info.arena += arena.system.0;
            self.facts.trim_returns += arena.trim_returns;
        }
        // An arena without a region (main arena before its first use) still counts its top.
        let idle = self.facts.arenas.iter().filter(|arena| arena.system.0 == 0).count();
        info.ordblks += idle as u64;
        info.uordblks = info.arena.saturating_sub(info.fordblks);
        self.facts.mallinfo = info;
        let mut in_use: Vec<(u64, u64)> = sizes.into_iter().collect();
        in_use.sort_unstable_by_key(|(size, count)| std::cmp::Reverse(size.saturating_mul(*count)));
        self.facts.in_use_by_class = classes(&in_use);
        in_use.truncate(12);
        self.facts.in_use_by_size = in_use;
        self.facts.pins = pins.facts();
        self.lone = pins.lone;
    }

    /// The chunk whose memory, as `malloc` returned it, begins at `addr`.
    #[must_use]
    pub fn chunk_of(&self, addr: Addr) -> Option<Chunk> {
        let at = addr.before(HEADER);
        let index = self.chunks.binary_search_by_key(&at, |chunk| chunk.addr()).ok()?;
        self.chunks.get(index).copied()
    }

    /// The chunk that `addr` lies in.
    #[must_use]
    pub fn chunk_around(&self, addr: Addr) -> Option<Chunk> {
        let after = self.chunks.partition_point(|chunk| chunk.addr() <= addr);
        let chunk = self.chunks.get(after.checked_sub(1)?).copied()?;
        chunk.range().contains(addr).then_some(chunk)
    }

    /// Claims everything that malloc manages; `of_python` says whether a chunk in use is an
    /// object's, or a buffer that an object holds.
    pub fn claim(&self, claims: &mut Partition, of_python: impl Fn(Chunk) -> Option<Owner>) {
        for region in &self.regions {
            claims.claim(Layer::Region, region.range, Owner::MallocOverhead);
        }
        for chunk in &self.chunks {
            let owner = match chunk.state() {
                State::InUse | State::Mmapped => of_python(*chunk).unwrap_or(Owner::MallocNative),
                State::Free | State::Fast | State::Cached | State::Top => Owner::MallocFree,
            };
            let (range, header) = match chunk.state() {
                // The rounding up to whole pages is overhead, as is the header.
                State::Mmapped => {
                    let base = chunk.addr().align_down(4096);
                    (AddrRange::new(base, chunk.range().end), chunk.memory().0 - base.0)
                }
                State::InUse => (chunk.range(), HEADER),
                _ => (chunk.range(), 0),
            };
            claims.claim(
                Layer::Chunk,
                AddrRange::sized(range.start, header),
                Owner::MallocOverhead,
            );
            claims.claim(Layer::Chunk, AddrRange::new(range.start.at(header), range.end), owner);
        }
    }

    /// Whether every chunk was found: each arena and malloc's own count agree.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.facts.arenas.iter().all(|arena| arena.complete)
            && self.facts.mmapped == self.facts.mmapped_stated
    }

    /// The facts, as a [`Case`](memwhy_model::Case) has them.
    #[must_use]
    pub fn into_facts(self) -> MallocFacts {
        let walked = self.complete();
        let name = format!("glibc {}", self.version).trim_end().to_owned();
        MallocFacts { name, walked, glibc: Some(self.facts) }
    }
}

/// Takes back what 2.43 adds to `mp_.mmapped_mem` by mistake, 16 bytes at every `mremap`
/// (`mremap_chunk` there subtracts the size without the header): the mappings themselves are whole
/// pages, so the excess shows.
fn undrift(stated: (u64, Bytes), walked: (u64, Bytes)) -> (u64, Bytes) {
    let excess = stated.1.minus(walked.1).0;
    let drift = stated.0 == walked.0 && excess.is_multiple_of(16) && !excess.is_multiple_of(4096);
    if drift { walked } else { stated }
}

/// Large free chunks as they were before the stop.
#[derive(Debug, Default)]
pub struct FreeChunks(Vec<(Addr, u64, State)>);

impl Skip for FreeChunks {
    /// The chunks that still are what they were: same size, and still free.
    fn ranges(&self, memory: &dyn Memory) -> Vec<AddrRange> {
        let still = self.0.iter().filter(|(addr, size, state)| {
            let same = |word: u64| word & !layout::FLAGS == *size;
            let free = || match state {
                State::Top => true,
                _ => memory
                    .u64(addr.at(*size).at(8))
                    .is_ok_and(|next| next & layout::PREV_INUSE == 0),
            };
            memory.u64(addr.at(8)).is_ok_and(same) && free()
        });
        // The next header's page is kept, and so are the links in the first page.
        still.map(|(addr, size, _)| AddrRange::new(addr.at(64), addr.at(*size))).collect()
    }
}

/// `2.36`, from the banner that libc prints when it is run as a program.
fn version(libc: &Image) -> String {
    let text = libc.section_bytes(".rodata").unwrap_or_default();
    let mark: &[u8] = b"stable release version ";
    let Some(at) = text.windows(mark.len()).position(|window| window == mark) else {
        return String::new();
    };
    let rest = text.get(at + mark.len()..).unwrap_or_default();
    let end = rest.iter().position(|b| !b.is_ascii_digit() && *b != b'.').unwrap_or(0);
    let number = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
    number.trim_end_matches('.').to_owned()
}

/// Adds up sizes of chunks by powers of two.
fn classes(sizes: &[(u64, u64)]) -> Vec<ChunkClass> {
    let mut classes: BTreeMap<u64, ChunkClass> = BTreeMap::new();
    for (size, count) in sizes {
        let from = size.checked_ilog2().map_or(0, |bits| 1 << bits);
        let class = classes.entry(from).or_insert(ChunkClass { from, ..ChunkClass::default() });
        class.chunks += count;
        class.bytes += Bytes(size.saturating_mul(*count));
    }
    classes.into_values().collect()
}
