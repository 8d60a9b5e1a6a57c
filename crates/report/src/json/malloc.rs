//! The format of `memwhy malloc`: what the allocators keep.

use super::native_memory::{NativeMemoryOut, native_memory};
use super::parts::wrapped;
use memwhy_model::{
    ArenaFacts, Bytes, Carried, Case, FreeList, GlibcFacts, MimallocFacts, Owner, PymallocClass,
    PymallocFacts, StandIn,
};
use memwhy_reason::Ask;
use memwhy_reason::analyses::Retention;
use memwhy_reason::analyses::accounting::walk_is_exact;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
struct MallocBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    malloc: Option<MallocOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stand_in: Option<StandInOut<'a>>,
    libraries: Vec<CarriedOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pymalloc: Option<PymallocOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mimalloc: Option<MimallocOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_memory: Option<NativeMemoryOut<'a>>,
    #[serde(skip_serializing_if = "<[FreeList]>::is_empty")]
    free_lists: &'a [FreeList],
}

#[derive(Serialize)]
struct MallocOut<'a> {
    name: &'a str,
    walked: bool,
    free_resident_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    glibc: Option<GlibcOut<'a>>,
}

#[derive(Serialize)]
struct GlibcOut<'a> {
    exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<&'static str>,
    found_by: &'a str,
    trim_returns_bytes: u64,
    tcache_bytes: u64,
    large_free_bytes: u64,
    mmap_threshold_bytes: u64,
    trim_threshold_bytes: u64,
    threshold_is_dynamic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    arena_max: Option<u64>,
    mmapped: Mapped,
    mmapped_stated: Mapped,
    mallinfo: MallinfoOut,
    arenas: Vec<ArenaOut>,
    pins: PinsOut<'a>,
    in_use_by_size: Vec<SizeOut>,
}

#[derive(Serialize)]
struct Mapped {
    count: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct MallinfoOut {
    arena: u64,
    ordblks: u64,
    smblks: u64,
    hblks: u64,
    hblkhd: u64,
    fsmblks: u64,
    uordblks: u64,
    fordblks: u64,
    keepcost: u64,
}

#[derive(Serialize)]
struct ArenaOut {
    address: String,
    main: bool,
    attached_threads: Option<u64>,
    system_bytes: u64,
    walked_bytes: u64,
    complete: bool,
    in_use_bytes: u64,
    free_bytes: u64,
    top_bytes: u64,
    resident_bytes: u64,
    free_resident_bytes: u64,
    trim_returns_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_in_use: Option<ChunkOut>,
}

#[derive(Serialize)]
struct ChunkOut {
    address: String,
    bytes: u64,
}

#[derive(Serialize)]
struct PinsOut<'a> {
    pages: u64,
    free_bytes: u64,
    lone_by_size: Vec<SizePages>,
    lone_by_type: Vec<TypePages<'a>>,
}

#[derive(Serialize)]
struct SizePages {
    chunk_bytes: u64,
    pages: u64,
}

#[derive(Serialize)]
struct TypePages<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    pages: u64,
}

#[derive(Serialize)]
struct SizeOut {
    chunk_bytes: u64,
    count: u64,
}

#[derive(Serialize)]
struct PymallocOut<'a> {
    arenas: u64,
    arena_bytes: u64,
    pool_bytes: u64,
    used_pools: u64,
    free_pools: u64,
    allocated_bytes: u64,
    free_in_used_pools_bytes: u64,
    free_in_free_pools_bytes: u64,
    overhead_bytes: u64,
    free_resident_bytes: u64,
    sparse_arenas: u64,
    sparse_arenas_live_bytes: u64,
    torn_pools: u64,
    found_by: &'a str,
    classes: Vec<ClassOut>,
    pinned_by_type: Vec<TypePools<'a>>,
}

#[derive(Serialize)]
struct MimallocOut<'a> {
    release: &'a str,
    segments: u64,
    abandoned_segments: u64,
    reserved_bytes: u64,
    heaps: u64,
    pages: u64,
    abandoned_pages: u64,
    blocks: u64,
    allocated_bytes: u64,
    free_in_pages_bytes: u64,
    free_in_segments_bytes: u64,
    overhead_bytes: u64,
    free_resident_bytes: u64,
    delayed_blocks: u64,
    sparse_pages: u64,
    sparse_pages_live_bytes: u64,
    torn_pages: u64,
    classes: Vec<PageClassOut>,
    pinned_by_type: Vec<TypePages<'a>>,
}

#[derive(Serialize)]
struct PageClassOut {
    block_bytes: u64,
    pages: u64,
    used: u64,
    free: u64,
}

#[derive(Serialize)]
struct ClassOut {
    block_bytes: u64,
    pools: u64,
    used: u64,
    free: u64,
}

#[derive(Serialize)]
struct TypePools<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    pools: u64,
}

#[derive(Serialize)]
struct StandInOut<'a> {
    name: &'a str,
    image: &'a str,
    release: &'a str,
    walked: bool,
    exact: bool,
    blocks: u64,
    used_bytes: u64,
    free_block_bytes: u64,
    cached_bytes: u64,
    free_page_bytes: u64,
    returned_bytes: u64,
    overhead_bytes: u64,
    reserved_bytes: u64,
}

#[derive(Serialize)]
struct CarriedOut<'a> {
    name: &'a str,
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    reserved_bytes: u64,
    resident_bytes: u64,
    active_bytes: u64,
    used_bytes: u64,
    free_bytes: u64,
    free_resident_bytes: u64,
}

fn of_library(facts: &Carried) -> CarriedOut<'_> {
    CarriedOut {
        name: &facts.name,
        image: &facts.image,
        release: facts.release.as_deref(),
        reserved_bytes: facts.reserved.0,
        resident_bytes: facts.resident.0,
        active_bytes: facts.active.0,
        used_bytes: facts.used.0,
        free_bytes: facts.kept.0,
        free_resident_bytes: facts.kept_resident.0,
    }
}

fn of_stand_in(facts: &StandIn) -> StandInOut<'_> {
    StandInOut {
        name: &facts.name,
        image: &facts.image,
        release: &facts.release,
        walked: facts.walked,
        exact: facts.is_exact(),
        blocks: facts.blocks,
        used_bytes: facts.used.0,
        free_block_bytes: facts.free_blocks.0,
        cached_bytes: facts.cached.0,
        free_page_bytes: facts.free_pages.0,
        returned_bytes: facts.returned.0,
        overhead_bytes: facts.overhead.0,
        reserved_bytes: facts.reserved.0,
    }
}

/// What `memwhy malloc --json` prints.
#[must_use]
pub fn malloc(case: &Case) -> Value {
    let ask = Ask::new(case);
    let retention = ask.get::<Retention>().as_ref().as_ref().map(|kept| kept.class.name());
    let noteworthy = memwhy_reason::noteworthy(case.resident(Owner::MallocFree), case.rss());
    let malloc = case.malloc.as_ref().map(|facts| MallocOut {
        name: &facts.name,
        walked: facts.walked,
        free_resident_bytes: case.resident(Owner::MallocFree).0,
        glibc: facts
            .glibc
            .as_ref()
            .map(|glibc| of_glibc(glibc, walk_is_exact(facts), retention.filter(|_| noteworthy))),
    });
    let stand_in = case.stand_in.as_ref().map(of_stand_in);
    let pymalloc = case.pymalloc.as_ref().map(|facts| of_pymalloc(case, facts));
    let mimalloc = case.mimalloc.as_ref().map(|facts| of_mimalloc(case, facts));
    wrapped(
        "memwhy.malloc/1",
        case,
        MallocBody {
            malloc,
            stand_in,
            libraries: case.carried.iter().map(of_library).collect(),
            pymalloc,
            mimalloc,
            native_memory: native_memory(case, usize::MAX),
            free_lists: &case.free_lists,
        },
    )
}

fn of_glibc<'a>(
    glibc: &'a GlibcFacts,
    exact: bool,
    retention: Option<&'static str>,
) -> GlibcOut<'a> {
    let mapped = |(count, Bytes(bytes)): (u64, Bytes)| Mapped { count, bytes };
    let info = glibc.mallinfo;
    GlibcOut {
        exact,
        retention,
        found_by: &glibc.found_by,
        trim_returns_bytes: glibc.trim_returns.0,
        tcache_bytes: glibc.tcache.0,
        large_free_bytes: glibc.large_free.0,
        mmap_threshold_bytes: glibc.mmap_threshold.0,
        trim_threshold_bytes: glibc.trim_threshold.0,
        threshold_is_dynamic: glibc.threshold_is_dynamic,
        arena_max: Some(glibc.arena_max).filter(|max| *max > 0),
        mmapped: mapped(glibc.mmapped),
        mmapped_stated: mapped(glibc.mmapped_stated),
        mallinfo: MallinfoOut {
            arena: info.arena,
            ordblks: info.ordblks,
            smblks: info.smblks,
            hblks: info.hblks,
            hblkhd: info.hblkhd,
            fsmblks: info.fsmblks,
            uordblks: info.uordblks,
            fordblks: info.fordblks,
            keepcost: info.keepcost,
        },
        arenas: glibc.arenas.iter().map(arena).collect(),
        pins: PinsOut {
            pages: glibc.pins.pages,
            free_bytes: glibc.pins.free.0,
            lone_by_size: glibc
                .pins
                .lone_by_size
                .iter()
                .map(|&(chunk_bytes, pages)| SizePages { chunk_bytes, pages })
                .collect(),
            lone_by_type: glibc
                .pins
                .lone_by_type
                .iter()
                .map(|(name, pages)| TypePages { name, pages: *pages })
                .collect(),
        },
        in_use_by_size: glibc
            .in_use_by_size
            .iter()
            .map(|&(chunk_bytes, count)| SizeOut { chunk_bytes, count })
            .collect(),
    }
}

fn arena(arena: &ArenaFacts) -> ArenaOut {
    ArenaOut {
        address: arena.addr.to_string(),
        main: arena.main,
        attached_threads: arena.attached_threads,
        system_bytes: arena.system.0,
        walked_bytes: arena.walked.0,
        complete: arena.complete,
        in_use_bytes: arena.in_use.0,
        free_bytes: arena.free.0,
        top_bytes: arena.top.0,
        resident_bytes: arena.resident.0,
        free_resident_bytes: arena.free_resident.0,
        trim_returns_bytes: arena.trim_returns.0,
        last_in_use: arena
            .last_in_use
            .map(|(addr, Bytes(bytes))| ChunkOut { address: addr.to_string(), bytes }),
    }
}

fn of_pymalloc<'a>(case: &Case, facts: &'a PymallocFacts) -> PymallocOut<'a> {
    PymallocOut {
        arenas: facts.arenas,
        arena_bytes: facts.arena_size.0,
        pool_bytes: facts.pool_size.0,
        used_pools: facts.used_pools,
        free_pools: facts.free_pools,
        allocated_bytes: facts.allocated.0,
        free_in_used_pools_bytes: facts.free_in_used_pools.0,
        free_in_free_pools_bytes: facts.free_in_free_pools.0,
        overhead_bytes: facts.overhead.0,
        free_resident_bytes: case.resident(Owner::PymallocFree).0,
        sparse_arenas: facts.sparse_arenas.0,
        sparse_arenas_live_bytes: facts.sparse_arenas.1.0,
        torn_pools: facts.torn_pools,
        found_by: &facts.found_by,
        classes: facts.classes.iter().map(class).collect(),
        pinned_by_type: facts
            .pinned_by_type
            .iter()
            .map(|(name, pools)| TypePools { name, pools: *pools })
            .collect(),
    }
}

fn class(class: &PymallocClass) -> ClassOut {
    ClassOut { block_bytes: class.block, pools: class.pools, used: class.used, free: class.free }
}

fn of_mimalloc<'a>(case: &Case, facts: &'a MimallocFacts) -> MimallocOut<'a> {
    let page_class = |class: &PymallocClass| PageClassOut {
        block_bytes: class.block,
        pages: class.pools,
        used: class.used,
        free: class.free,
    };
    MimallocOut {
        release: &facts.release,
        segments: facts.segments,
        abandoned_segments: facts.abandoned_segments,
        reserved_bytes: facts.reserved.0,
        heaps: facts.heaps,
        pages: facts.pages,
        abandoned_pages: facts.abandoned_pages,
        blocks: facts.blocks,
        allocated_bytes: facts.allocated.0,
        free_in_pages_bytes: facts.free_in_pages.0,
        free_in_segments_bytes: facts.free_in_segments.0,
        overhead_bytes: facts.overhead.0,
        free_resident_bytes: case.resident(Owner::MimallocFree).0,
        delayed_blocks: facts.delayed,
        sparse_pages: facts.sparse_pages.0,
        sparse_pages_live_bytes: facts.sparse_pages.1.0,
        torn_pages: facts.torn_pages,
        classes: facts.classes.iter().map(page_class).collect(),
        pinned_by_type: facts
            .pinned_by_type
            .iter()
            .map(|(name, pages)| TypePages { name, pages: *pages })
            .collect(),
    }
}
