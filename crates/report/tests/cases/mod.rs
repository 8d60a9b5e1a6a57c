//! Cases made by hand, as complete as a capture makes them.

use memwhy_model::{
    About, Addr, AddrRange, ArenaFacts, Bytes, Case, CgroupFacts, Content, ContentGroup,
    ContentKind, Flags, Frame, GcFacts, GlibcFacts, HeapBuilder, HeapGraph, HolderKind, Holding,
    Local, LocalKind, Mallinfo, MallocFacts, MappingFacts, Moment, NativeMemory, ObjectId, Owner,
    Pause, PinFacts, ProblemKind, PymallocClass, PymallocFacts, PythonAbout, Root, Tally,
    ThreadFacts, ThreadState, Timing, Trust, TypeId, TypeRow,
};

/// A web worker with 16 threads of which 15 have an arena of their own.
pub(super) fn retention() -> Case {
    let mut case = Case {
        about: about("gunicorn: worker [app]"),
        heap: Some(heap(64 << 10)),
        threads: threads(),
        malloc: Some(MallocFacts {
            name: "glibc 2.36".into(),
            walked: true,
            glibc: Some(thread_arenas()),
        }),
        native_memory: Some(native_memory()),
        pymalloc: Some(pymalloc(14)),
        gc: Some(GcFacts {
            enabled: Some(true),
            thresholds: vec![700, 10, 10],
            counts: vec![312, 4, 1],
            tracked: 31_022,
            lists_agree: Some(true),
            ..GcFacts::default()
        }),
        timings: vec![
            Timing { phase: "copy".into(), ms: 11.5 },
            Timing { phase: "heap".into(), ms: 140.0 },
        ],
        ..Case::default()
    };
    case.accounting = case
        .accounting
        .with(Owner::PythonObjects, Bytes(64_172_851))
        .with(Owner::PythonRuntime, Bytes(1_300_000))
        .with(Owner::PymallocFree, Bytes(14_680_064))
        .with(Owner::MallocNative, Bytes(23_068_672))
        .with(Owner::MallocFree, Bytes(417_333_248))
        .with(Owner::MallocOverhead, Bytes(410_000))
        .with(Owner::StackNative, Bytes(2_097_152))
        .with(Owner::FileClean, Bytes(15_728_640))
        .with(Owner::FileDirty, Bytes(300_000));
    case.accounting.unexplained = Bytes(925_733);
    case.accounting.rss += case.accounting.unexplained;
    case.mappings = mappings(case.rss());
    case.problems.note(ProblemKind::UnreadablePointer, || "0x7f0012 in app.Session".into());
    case
}

/// What libraries and objects keep, and three chunks that nobody does.
fn native_memory() -> NativeMemory {
    let tally = |chunks: u64, size: u64| Tally { chunks, bytes: Bytes(chunks * size) };
    let lost = Content {
        kind: ContentKind::Table,
        symbol: Some("vtable for Widget+16".into()),
        library: Some("libwidget.so".into()),
        text: None,
    };
    NativeMemory {
        searched: Bytes::mib(90),
        threads: (17, 17),
        libraries: 60,
        all: tally(100_003, 128),
        holders: vec![
            Holding {
                kind: HolderKind::Type,
                names: vec!["lxml.etree._Document".into()],
                through: tally(100_000, 128),
                ..Holding::default()
            },
            Holding { direct: tally(3, 128), ..Holding::default() },
        ],
        contents: vec![
            ContentGroup {
                class: 128,
                sizes: (128, 128),
                content: Content { kind: ContentKind::Chunks, ..Content::default() },
                all: tally(100_000, 128),
                inner: 99_999,
                examples: vec![Addr(0x7f00_1000)],
                ..ContentGroup::default()
            },
            ContentGroup {
                class: 128,
                sizes: (128, 128),
                content: lost,
                holder: 1,
                all: tally(3, 128),
                ..ContentGroup::default()
            },
        ],
        ..NativeMemory::default()
    }
}

/// One object in 2000 small ones survived.
pub(super) fn fragmented_pools() -> Case {
    let mut case = Case {
        about: about("python -m app.batch"),
        heap: Some(heap(4096)),
        threads: threads(),
        malloc: Some(MallocFacts {
            name: "glibc 2.36".into(),
            walked: true,
            glibc: Some(GlibcFacts { arenas: vec![arena(true, 1, 16)], ..GlibcFacts::default() }),
        }),
        native_memory: Some(native_memory()),
        pymalloc: Some(pymalloc(270)),
        ..Case::default()
    };
    case.accounting = case
        .accounting
        .with(Owner::PythonObjects, Bytes::mib(5))
        .with(Owner::PymallocFree, Bytes::mib(270))
        .with(Owner::MallocFree, Bytes::mib(1))
        .with(Owner::FileClean, Bytes::mib(11));
    case
}

/// A dict keeps everything it ever saw.
pub(super) fn growing_dict() -> Case {
    let mut case = fragmented_pools();
    case.about.command = vec!["/usr/bin/python3".into(), "/srv/app/server.py".into()];
    case.heap = Some(heap(420 << 20));
    case.pymalloc = Some(pymalloc(3));
    case.accounting = memwhy_model::Accounting::default()
        .with(Owner::PythonObjects, Bytes::mib(430))
        .with(Owner::PymallocFree, Bytes::mib(3))
        .with(Owner::MallocFree, Bytes::mib(2))
        .with(Owner::FileClean, Bytes::mib(11));
    case.about.moment = Moment { torn_reads: 3, ..Moment::default() };
    case
}

/// An interpreter that does nothing out of the ordinary.
pub(super) fn ordinary() -> Case {
    let mut case = fragmented_pools();
    case.pymalloc = Some(pymalloc(0));
    case.threads.truncate(1);
    case.accounting = memwhy_model::Accounting::default()
        .with(Owner::PythonObjects, Bytes::mib(7))
        .with(Owner::PymallocFree, Bytes::kib(300))
        .with(Owner::MallocFree, Bytes::kib(700))
        .with(Owner::FileClean, Bytes::mib(11));
    case
}

/// Nothing but `/proc` could be read.
pub(super) fn withheld() -> Case {
    let mut case = Case { about: about("gunicorn: worker [app]"), ..Case::default() };
    case.about.python = None;
    case.about.moment = Moment::default();
    case.about.withheld =
        Some("it belongs to another user, and reading it needs CAP_SYS_PTRACE".into());
    case.mappings = mappings(Bytes(540_016_360));
    for map in &mut case.mappings {
        map.owners.clear();
        map.unexplained = map.rss;
        case.accounting.rss += map.rss;
        case.accounting.unexplained += map.rss;
    }
    case
}

fn about(command: &str) -> About {
    About {
        pid: 4711,
        command: vec![command.into()],
        exe: "/usr/bin/python3.11".into(),
        uptime_s: Some(273_700.0),
        taken_at_unix_s: 1_709_210_096.5,
        python: Some(PythonAbout {
            version: "3.11.2".into(),
            gil: true,
            layout: Trust::Table,
            image: "/usr/bin/python3.11".into(),
            ..PythonAbout::default()
        }),
        moment: Moment {
            pause: Pause::Stop,
            pause_ms: 14.2,
            copied: Bytes::mib(510),
            torn_reads: 0,
        },
        cgroup: Some(CgroupFacts {
            path: "/system.slice/app.service".into(),
            used: Bytes::mib(612),
            limit: Some(Bytes::mib(1024)),
            ..CgroupFacts::default()
        }),
        ..About::default()
    }
}

fn arena(main: bool, free_mib: u64, at: u64) -> ArenaFacts {
    let (free, system) = (Bytes(free_mib << 20), Bytes((free_mib + 2) << 20));
    ArenaFacts {
        addr: Addr(if main { 0x7f3a_1c5d_9c80 } else { 0x7f00_0000_0030 + (at << 26) }),
        main,
        attached_threads: Some(1),
        system,
        walked: system,
        complete: true,
        in_use: Bytes::mib(2),
        free,
        top: Bytes::kib(132),
        resident: system,
        free_resident: free,
        trim_returns: Bytes::mib(free_mib.saturating_sub(1)),
        largest_free: Some((Addr(0x20_0000), Bytes::kib(90))),
        last_in_use: Some((Addr(0x10_0000), Bytes(65_552))),
        last_in_use_owner: Some(Addr(0x10_0010)),
    }
}

fn thread_arenas() -> GlibcFacts {
    let mut arenas = vec![arena(true, 21, 0)];
    arenas.extend((1..=15).map(|n| arena(false, 24 + n % 3, n)));
    let stated = (3, Bytes(1_257_472));
    GlibcFacts {
        mallinfo: Mallinfo {
            arena: 448_790_528,
            ordblks: 18_220,
            hblks: 3,
            hblkhd: 1_257_472,
            uordblks: 31_457_280,
            fordblks: 417_333_248,
            keepcost: 135_168,
            ..Mallinfo::default()
        },
        trim_returns: arenas.iter().map(|arena| arena.trim_returns).sum(),
        arenas,
        mmapped: stated,
        mmapped_stated: stated,
        mmap_threshold: Bytes::mib(20),
        trim_threshold: Bytes::mib(40),
        threshold_is_dynamic: true,
        tcache: Bytes::kib(740),
        found_by: "relocation and memory".into(),
        pins: PinFacts {
            pages: 1_204,
            free: Bytes(3_102_720),
            lone_by_size: vec![(752, 811), (96, 204)],
            lone_by_type: vec![("builtins.bytes".into(), 790), ("app.Session".into(), 11)],
        },
        in_use_by_size: vec![(1_040, 12_001), (528, 9_200)],
        ..GlibcFacts::default()
    }
}

fn pymalloc(free_mib: u64) -> PymallocFacts {
    PymallocFacts {
        arenas: 20 + free_mib,
        arena_size: Bytes::mib(1),
        pool_size: Bytes::kib(16),
        used_pools: 1_200 + free_mib * 60,
        free_pools: 80,
        allocated: Bytes::mib(18),
        free_in_used_pools: Bytes::mib(free_mib),
        free_in_free_pools: Bytes::kib(1_280),
        overhead: Bytes::kib(75),
        classes: vec![
            PymallocClass { block: 48, pools: 400, used: 110_000, free: 26_000 },
            PymallocClass { block: 64, pools: 600, used: 120_100, free: 31_000 },
        ],
        sparse_arenas: (free_mib, Bytes::kib(free_mib * 9)),
        pinned_by_type: vec![("app.Token".into(), 70_112), ("builtins.str".into(), 310)],
        found_by: "arenas of the interpreter".into(),
        ..PymallocFacts::default()
    }
}

fn threads() -> Vec<ThreadFacts> {
    let frame = |function: &str, file: &str, line: u32| Frame {
        function: function.into(),
        file: file.into(),
        line: Some(line),
        ..Frame::default()
    };
    let mut serve = frame("Server.serve", "/srv/app/server.py", 88);
    serve.locals = vec![Local {
        name: "self".into(),
        kind: LocalKind::Argument,
        value: Addr(0x8000),
        preview: None,
    }];
    let wait = || vec![frame("wait", "/usr/lib/python3.11/threading.py", 327)];
    let mut threads = vec![ThreadFacts {
        tid: 4711,
        name: "MainThread".into(),
        is_python: true,
        holds_gil: true,
        frames: vec![frame("select", "/usr/lib/python3.11/selectors.py", 468), serve],
        ..ThreadFacts::default()
    }];
    threads.extend((1..16).map(|n| ThreadFacts {
        tid: 4711 + n,
        name: format!("worker-{n}"),
        state: if n == 3 { ThreadState::WaitingGil } else { ThreadState::Idle },
        is_python: true,
        frames: wait(),
        ..ThreadFacts::default()
    }));
    threads.push(ThreadFacts { tid: 4800, name: "jemalloc_bg".into(), ..ThreadFacts::default() });
    threads
}

/// `app.cache.LAST` is a dict that refers to a buffer of so many bytes.
fn heap(buffer: u64) -> HeapGraph {
    let mut heap = HeapBuilder::default();
    let objects = [(0x4000, 2), (0x6000, 0), (0x8000, 3), (0x10_0010, 1)];
    for (addr, ty) in objects {
        heap.push(Addr(addr), TypeId(ty), 64, Flags::TRACKED);
    }
    heap.seal_objects();
    heap.set_size(ObjectId(1), 64, 232, 168);
    heap.set_size(ObjectId(3), 64, buffer + 57, buffer);
    for references in [vec![1], vec![3], vec![1], vec![]] {
        heap.push_references(references.into_iter().map(ObjectId));
    }
    let root = |name: &str, object: u32, line: Option<u32>| Root {
        kind: memwhy_model::RootKind::Name,
        name: name.into(),
        object: ObjectId(object),
        file: Some("app/cache.py".into()),
        line,
    };
    heap.roots([root("sys.modules['app.cache']", 0, None), root("app.cache.LAST", 1, Some(31))]);
    let names = ["builtins.dict", "builtins.bytearray", "builtins.module", "app.server.Server"];
    heap.finish(names.map(|name| TypeRow { name: name.into(), ..TypeRow::default() }).into())
}

fn mappings(rss: Bytes) -> Vec<MappingFacts> {
    let anon = |start: u64, len: u64, name: &str, rss: u64| MappingFacts {
        range: AddrRange::sized(Addr(start), len),
        permissions: "rw-p".into(),
        name: name.into(),
        rss: Bytes(rss),
        pss: Bytes(rss),
        private_dirty: Bytes(rss),
        owners: vec![
            (Owner::MallocFree, Bytes(rss / 8 * 7)),
            (Owner::MallocNative, Bytes(rss - rss / 8 * 7)),
        ],
        ..MappingFacts::default()
    };
    let file = MappingFacts {
        file: true,
        permissions: "r-xp".into(),
        private_dirty: Bytes(0),
        pss: Bytes::mib(2),
        owners: vec![(Owner::FileClean, Bytes::mib(15))],
        ..anon(0x7f3a_1c40_0000, 0x1c_0000, "/usr/lib/x86_64-linux-gnu/libc.so.6", 15 << 20)
    };
    let mut maps = vec![anon(0x55d0_0000_0000, 0x300_0000, "[heap]", 41 << 20)];
    maps.extend((1..=15).map(|n| anon(0x7f00_0000_0000 + (n << 26), 60 << 20, "", 26 << 20)));
    maps.push(file);
    let so_far: Bytes = maps.iter().map(|map| map.rss).sum();
    let rest = rss.minus(so_far);
    maps.push(MappingFacts {
        owners: vec![(Owner::PythonObjects, rest)],
        anon_huge: Bytes::mib(2),
        ..anon(0x7f3a_1000_0000, 0x800_0000, "", rest.0)
    });
    maps
}
