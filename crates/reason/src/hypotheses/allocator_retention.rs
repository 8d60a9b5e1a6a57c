//! Hypothesis: malloc keeps memory that the program has already freed.
//!
//! The complaint: load fell, live objects fell with it, RSS did not.
//!
//! *Speaks for it:* free chunks on resident pages make up much of RSS. *Speaks against it:* they
//! do not, whatever the shape of the curve. In which way it is kept ([`Class`]) decides the
//! remedy: what cures one class makes another worse.
//!
//! Rests on: the measurements in [`Class::measured`] and the sources named in
//! [`retention`](crate::analyses::retention). A trim is safe to predict: whole free pages are what
//! `malloc_trim(0)` returns, and the prediction was within 6 pages of what 9 trims returned.

use super::{Hypothesis, stand_in};
use crate::analyses::accounting::walk_is_exact;
use crate::analyses::retention::{FAR_GROWN, Retained};
use crate::analyses::{Class, Holders, Retention};
use crate::wording::{amount, count, of_all, short_type};
use crate::{Ask, Finding, Holder, Remedy, Standing, noteworthy};
use memwhy_model::{
    Addr, Bytes, GlibcFacts, HeapGraph, MallocFacts, ObjectId, Owner, TargetKind, Trust,
};

/// An object begins this far into its memory at most: behind the collector's header (32 bytes up
/// to 2.7) and the two words before an instance that has its dict there.
const OBJECT_BEGINS_WITHIN: u64 = 64;

/// What `MALLOC_ARENA_MAX` is set to where it helps: one arena makes all threads wait for each
/// other, two have been measured.
const ARENAS_LEFT: u64 = 2;

/// See the [module](self).
#[derive(Debug)]
pub struct AllocatorRetention;

impl Hypothesis for AllocatorRetention {
    fn id(&self) -> &'static str {
        "allocator-retention"
    }

    fn claim(&self) -> &'static str {
        "malloc keeps memory that the program has already freed"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        let free = ask.resident(Owner::MallocFree);
        // What libraries have for themselves is told by `library-allocator`.
        let of_libraries = super::library_allocator::resident(ask);
        let unseen = ask.resident(Owner::OtherAllocator).minus(of_libraries)
            + ask.resident(Owner::AnonOther)
            + ask.accounting.unexplained;
        let Some(malloc) = &ask.malloc else {
            return Finding::refuted(self.id(), "no malloc was recognised")
                .undecided("no malloc was recognised", unseen);
        };
        let mut finding = Finding::refuted(self.id(), format!("malloc free {}", amount(free, rss)));
        let exact = match &ask.stand_in {
            Some(other) => other.is_exact(),
            None => walk_is_exact(malloc),
        };
        if !exact {
            finding.confidence = finding.confidence.less();
        }
        if !noteworthy(free, rss) {
            // What was not walked may be free too. If it could tip the scale, we do not know.
            if !malloc.walked && noteworthy(free + unseen, rss) {
                let name = ask.stand_in.as_ref().map_or("", |other| other.name.as_str());
                let advice = stand_in::advice(name);
                let missing = format!("the heap of {} is not walked; {advice}", malloc.name);
                return finding.undecided(missing, free + unseen);
            }
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = free;
        finding.summary = format!(
            "{} is memory that the program freed and {} keeps",
            of_all(free, ask),
            ask.stand_in.as_ref().map_or(&malloc.name, |other| &other.name)
        );
        if let Some(other) = &ask.stand_in {
            stand_in::fill(&mut finding, ask, other);
            return finding;
        }
        match (&malloc.glibc, &*ask.get::<Retention>()) {
            (Some(glibc), Some(kept)) => fill(&mut finding, ask, malloc, glibc, kept),
            _ => finding.confidence = finding.confidence.less(),
        }
        finding
    }
}

fn fill(
    finding: &mut Finding,
    ask: &Ask<'_>,
    malloc: &MallocFacts,
    glibc: &GlibcFacts,
    kept: &Retained,
) {
    let pid = ask.about.target();
    let exact = walk_is_exact(malloc);
    let trust = if exact { Trust::Target } else { Trust::Table };
    finding.saw(
        trust,
        format!("{}: {}", kept.class.name(), shape(glibc, kept)),
        format!("memwhy malloc {pid}"),
    );
    finding.saw(
        trust,
        format!(
            "malloc_trim(0) would return {} of it{}",
            kept.returns,
            if exact { " (walk and malloc's own counters agree: 0 B off)" } else { "" }
        ),
        match ask.about.kind {
            TargetKind::Process => format!(
                "gdb -p {pid} -batch -ex 'call (void)malloc_stats()' (on the target's stderr)"
            ),
            TargetKind::Core | TargetKind::Snapshot => format!("memwhy malloc {pid}"),
        },
    );
    if kept.class != Class::MmapThresholdGrew && grown(glibc) {
        finding.saw(
            Trust::Target,
            format!("the mmap threshold has grown to {}", glibc.mmap_threshold),
            format!("memwhy malloc {pid}"),
        );
    }
    if kept.pinned >= crate::NOTEWORTHY_BYTES {
        finding.saw(
            trust,
            format!(
                "{} more is free on pages pinned by {}",
                kept.pinned,
                pins(glibc).unwrap_or_else(|| "chunks in use".into())
            ),
            format!("memwhy malloc {pid}"),
        );
    }
    if kept.class != Class::PinnedFragments
        && let Some((memory, size)) = kept.foremost.last_in_use
    {
        finding.holders.push(pin(ask, memory, size, kept.foremost.last_in_use_owner));
    }
    finding.remedies = remedies(ask, glibc, kept);
}

fn grown(glibc: &GlibcFacts) -> bool {
    glibc.threshold_is_dynamic && glibc.mmap_threshold >= FAR_GROWN
}

/// What makes the class, with its numbers.
fn shape(glibc: &GlibcFacts, kept: &Retained) -> String {
    let each = |f: fn(&Retained) -> Option<Bytes>| f(kept).unwrap_or_default();
    match kept.class {
        Class::PerThreadArenas | Class::BurstOfThreads => {
            let least = each(|kept| kept.arenas.last().map(|arena| arena.free_resident));
            let most = each(|kept| kept.arenas.first().map(|arena| arena.free_resident));
            let counted = kept.arenas.iter().map(|arena| arena.attached_threads);
            let users = match counted.sum::<Option<u64>>() {
                Some(0) => "no thread uses them any more".to_owned(),
                Some(threads) => format!("used by {}", count(threads, "thread")),
                None => "used by threads that this glibc does not count".to_owned(),
            };
            let span = if least.to_string() == most.to_string() {
                most.to_string()
            } else {
                format!("{least} to {most}")
            };
            format!("{} of them keep {span} free each, {users}", kept.arenas.len())
        }
        Class::HoleUnderSurvivor => format!(
            "one free stretch of {} lies below the last chunk in use of {}, and a heap shrinks only \
             from its end",
            kept.foremost.largest_free.map_or(Bytes(0), |(_, resident)| resident),
            place(kept)
        ),
        Class::MmapThresholdGrew => format!(
            "a freed buffer raised the mmap threshold from 128 KiB to {}; since then buffers up to \
             that size come from the heap, where {} lie free in large pieces",
            glibc.mmap_threshold, glibc.large_free
        ),
        Class::Churn => format!(
            "{} of whole pages lie free between chunks in use in {}, no single one the reason",
            kept.returns,
            place(kept)
        ),
        Class::PinnedFragments => format!(
            "{} of free memory lies on pages where {} still in use",
            kept.pinned,
            pins(glibc).map_or_else(|| "something is".into(), |pins| format!("{pins} are"))
        ),
    }
}

const fn place(kept: &Retained) -> &'static str {
    if kept.foremost.main { "the main arena" } else { "a thread's arena" }
}

/// The sizes and types that most often are alone on a page.
fn pins(glibc: &GlibcFacts) -> Option<String> {
    let types = &glibc.pins.lone_by_type;
    let sizes = &glibc.pins.lone_by_size;
    let named: Vec<String> = if types.is_empty() {
        sizes
            .iter()
            .take(3)
            .map(|(size, pages)| format!("chunks of {size} B ({})", count(*pages, "page")))
            .collect()
    } else {
        types
            .iter()
            .take(3)
            .map(|(name, pages)| format!("{} ({})", short_type(name), count(*pages, "page")))
            .collect()
    };
    (!named.is_empty()).then(|| named.join(", "))
}

/// The chunk at the end of the heap, and the Python object that is in it or whose buffer is.
fn pin(ask: &Ask<'_>, memory: Addr, size: Bytes, owner: Option<Addr>) -> Holder {
    let mut holder = Holder { object: memory, bytes: size, ..Holder::default() };
    let Some(heap) = &ask.heap else { return holder };
    let known = owner.and_then(|owner| heap.find(owner));
    let Some(object) = known.or_else(|| object_at(heap, memory)) else { return holder };
    holder.objects = 1;
    holder.object = heap.addr(object);
    holder.type_name = heap.type_row(heap.type_of(object)).map(|ty| ty.name.clone());
    if let Some((name, file, line)) = ask.get::<Holders>().name_of(object) {
        holder.path = Some(name.to_owned());
        (holder.file, holder.line) = (file.map(str::to_owned), line);
    }
    holder
}

/// The object that begins in the first bytes of a chunk's memory.
fn object_at(heap: &HeapGraph, memory: Addr) -> Option<ObjectId> {
    let len = u32::try_from(heap.len()).ok()?;
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if heap.addr(ObjectId(middle)) < memory {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let id = ObjectId(low);
    (low < len && heap.addr(id) < memory.at(OBJECT_BEGINS_WITHIN)).then_some(id)
}

fn remedies(ask: &Ask<'_>, glibc: &GlibcFacts, kept: &Retained) -> Vec<Remedy> {
    let (rss, running) = (ask.rss(), ask.about.running());
    let measured = kept.class.measured();
    let trimmed = rss.minus(kept.returns);
    let figures = |after: &str| {
        format!(
            "measured on {}, not on yours: {} → {after} MiB",
            measured.workload, measured.before
        )
    };
    let again = format!("the same load again, then memwhy {running}: malloc free");
    let trim = Remedy {
        action: "call ctypes.CDLL(\"libc.so.6\").malloc_trim(0) in the program, now and then"
            .into(),
        expected_rss: Some(trimmed),
        note: format!(
            "or once from outside: memwhy trim {running} --allow-write; {}",
            figures(&measured.trimmed.to_string())
        ),
        verify: format!("memwhy {running}: RSS near {trimmed}"),
    };
    let jemalloc = |after: &str| Remedy {
        action: "start with LD_PRELOAD=libjemalloc.so.2 \
                 MALLOC_CONF=background_thread:true,dirty_decay_ms:1000"
            .into(),
        expected_rss: None,
        note: format!("{}; no help: {}", figures(after), measured.no_help),
        verify: again.clone(),
    };
    match kept.class {
        Class::PerThreadArenas => {
            let largest = kept.arenas.first().map_or(Bytes(0), |arena| arena.trim_returns);
            let left = trimmed + Bytes(largest.0.saturating_mul(ARENAS_LEFT));
            let arena_max = Remedy {
                action: format!("start with MALLOC_ARENA_MAX={ARENAS_LEFT}"),
                expected_rss: Some(Bytes(left.0.min(rss.0))),
                note: format!(
                    "if threads do not peak at the same time; {}, with tcmalloc 87; no help: {}",
                    figures("65"),
                    measured.no_help
                ),
                verify: again.clone(),
            };
            vec![trim, arena_max]
        }
        Class::BurstOfThreads => {
            vec![trim, jemalloc("22")]
        }
        Class::HoleUnderSurvivor => vec![trim, jemalloc("20")],
        Class::MmapThresholdGrew => {
            let threshold = Remedy {
                action: "start with MALLOC_TRIM_THRESHOLD_=131072 (or MALLOC_MMAP_THRESHOLD_, same value)"
                    .into(),
                expected_rss: Some(rss.minus(Bytes(glibc.large_free.0.min(kept.returns.0)))),
                note: format!(
                    "if buffers of 128 KiB and more were freed there; {}; no help: {}",
                    figures("14"),
                    measured.no_help
                ),
                verify: again.clone(),
            };
            vec![threshold, trim]
        }
        Class::Churn => vec![trim, jemalloc("52")],
        Class::PinnedFragments => vec![
            Remedy {
                action: match pins(glibc) {
                    Some(pins) => {
                        format!("free what pins the pages, or make it before the peak: {pins}")
                    }
                    None => "free what pins the pages, or make it before the peak".into(),
                },
                expected_rss: Some(rss.minus(kept.free)),
                note: format!(
                    "at best, if all of it goes; no allocator cures this: {}",
                    measured.no_help
                ),
                verify: format!("memwhy malloc {running}: pinned pages"),
            },
            trim,
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::{AllocatorRetention, Hypothesis};
    use crate::{Ask, Confidence, Finding, Standing};
    use memwhy_model::{
        Addr, ArenaFacts, Bytes, Case, Flags, GlibcFacts, HeapBuilder, MallocFacts, Owner,
        PinFacts, Root, RootKind, TypeId, TypeRow,
    };

    fn arena(main: bool, free: u64, threads: u64) -> ArenaFacts {
        ArenaFacts {
            main,
            attached_threads: Some(threads),
            complete: true,
            free_resident: Bytes::mib(free),
            trim_returns: Bytes::mib(free),
            last_in_use: Some((Addr(0x10_0000), Bytes(64 << 10))),
            ..ArenaFacts::default()
        }
    }

    fn glibc(arenas: Vec<ArenaFacts>) -> GlibcFacts {
        GlibcFacts {
            trim_returns: arenas.iter().map(|arena| arena.trim_returns).sum(),
            arenas,
            mmap_threshold: Bytes::kib(128),
            threshold_is_dynamic: true,
            ..GlibcFacts::default()
        }
    }

    /// A process with 40 MiB of other things.
    fn case(free: u64, glibc: GlibcFacts) -> Case {
        let malloc = MallocFacts { name: "glibc 2.36".into(), walked: true, glibc: Some(glibc) };
        let mut case = Case { malloc: Some(malloc), ..Case::default() };
        case.accounting = case
            .accounting
            .with(Owner::MallocFree, Bytes::mib(free))
            .with(Owner::PythonObjects, Bytes::mib(40));
        case
    }

    fn judge(case: &Case) -> Finding {
        AllocatorRetention.judge(&Ask::new(case))
    }

    fn actions(finding: &Finding) -> Vec<&str> {
        finding.remedies.iter().map(|remedy| remedy.action.as_str()).collect()
    }

    #[test]
    fn per_thread_arenas_ask_for_a_trim_or_fewer_arenas() {
        let arenas = [vec![arena(true, 8, 1)], vec![arena(false, 24, 1); 15]].concat();
        let finding = judge(&case(370, glibc(arenas)));
        assert_eq!((&finding.standing, finding.explains), (&Standing::Holds, Bytes::mib(370)));
        assert!(finding.evidence[0].saw.contains("15 of them keep 24.0 MiB"));
        assert!(actions(&finding)[0].contains("malloc_trim(0)"));
        assert_eq!(actions(&finding)[1], "start with MALLOC_ARENA_MAX=2");
        // 410 MiB, less the 368 that a trim returns, and two arenas at their peak on top
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(42)));
        assert_eq!(finding.remedies[1].expected_rss, Some(Bytes::mib(90)));
        assert_eq!(finding.confidence, Confidence::High);
    }

    #[test]
    fn after_a_burst_of_threads_fewer_arenas_are_not_advised() {
        let arenas = [vec![arena(true, 2, 1)], vec![arena(false, 4, 0); 10]].concat();
        let finding = judge(&case(42, glibc(arenas)));
        assert!(finding.evidence[0].saw.contains("no thread uses them any more"));
        assert!(actions(&finding).iter().all(|action| !action.contains("ARENA_MAX")));
    }

    #[test]
    fn a_hole_names_the_survivor_and_its_python_owner() {
        let mut facts = glibc(vec![arena(true, 380, 1)]);
        facts.arenas[0].largest_free = Some((Addr(0x2000), Bytes::mib(370)));
        let mut case = case(380, facts);
        let mut heap = HeapBuilder::default();
        heap.push(Addr(0x8000), TypeId(0), 64, Flags::default());
        heap.push(Addr(0x10_0010), TypeId(0), 64 << 10, Flags::default());
        heap.seal_objects();
        heap.push_references([memwhy_model::ObjectId(1)]);
        heap.push_references([]);
        heap.roots([Root {
            kind: RootKind::Name,
            name: "app.cache.LAST".into(),
            object: memwhy_model::ObjectId(0),
            file: Some("app/cache.py".into()),
            line: Some(31),
        }]);
        let types = vec![TypeRow { name: "builtins.bytes".into(), ..TypeRow::default() }];
        case.heap = Some(heap.finish(types));
        let finding = judge(&case);
        assert!(finding.evidence[0].saw.starts_with("hole under a survivor"));
        let pin = &finding.holders[0];
        assert_eq!((pin.path.as_deref(), pin.line), (Some("app.cache.LAST"), Some(31)));
        assert_eq!((pin.object, pin.bytes), (Addr(0x10_0010), Bytes::kib(64)));
    }

    #[test]
    fn the_owner_of_a_buffer_is_named_wherever_the_owner_is() {
        let mut facts = glibc(vec![arena(true, 380, 1)]);
        facts.arenas[0].largest_free = Some((Addr(0x2000), Bytes::mib(370)));
        facts.arenas[0].last_in_use_owner = Some(Addr(0x7f00_8000));
        let mut case = case(380, facts);
        let mut heap = HeapBuilder::default();
        heap.push(Addr(0x7f00_8000), TypeId(0), 64, Flags::default());
        heap.seal_objects();
        let types = vec![TypeRow { name: "builtins.bytearray".into(), ..TypeRow::default() }];
        case.heap = Some(heap.finish(types));
        let pin = judge(&case).holders[0].clone();
        assert_eq!(pin.object, Addr(0x7f00_8000));
        assert_eq!((pin.type_name.as_deref(), pin.path), (Some("builtins.bytearray"), None));
    }

    #[test]
    fn a_grown_mmap_threshold_is_fixed_at_start() {
        let mut facts = glibc(vec![arena(true, 280, 1)]);
        (facts.large_free, facts.mmap_threshold) = (Bytes::mib(270), Bytes::mib(20));
        facts.in_use_by_size = vec![(256 << 10, 1)];
        let finding = judge(&case(280, facts));
        assert!(actions(&finding)[0].contains("MALLOC_TRIM_THRESHOLD_=131072"));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(50)));
    }

    #[test]
    fn churn_asks_for_a_trim() {
        let finding = judge(&case(31, glibc(vec![arena(true, 30, 1)])));
        assert!(finding.evidence[0].saw.starts_with("churn"));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(41)));
    }

    #[test]
    fn pinned_fragments_name_what_pins_and_promise_no_allocator() {
        let mut facts = glibc(vec![arena(true, 55, 1)]);
        facts.pins = PinFacts {
            free: Bytes::mib(180),
            lone_by_type: vec![("builtins.bytes".into(), 14_155)],
            ..PinFacts::default()
        };
        let finding = judge(&case(250, facts));
        assert!(actions(&finding)[0].contains("bytes (14,155 pages)"));
        assert!(finding.remedies[0].note.contains("no allocator cures this"));
        assert!(actions(&finding).iter().all(|action| !action.contains("LD_PRELOAD")));
    }

    #[test]
    fn live_objects_refute_it_with_a_number() {
        let finding = judge(&case(2, glibc(vec![arena(true, 2, 1)])));
        assert_eq!((&finding.standing, finding.explains), (&Standing::Refuted, Bytes(0)));
        assert_eq!(finding.summary, "malloc free 2.0 MiB (5%)");
    }

    #[test]
    fn what_could_not_be_walked_is_not_held_against_anyone() {
        let mut case = Case::default();
        case.accounting = case.accounting.with(Owner::OtherAllocator, Bytes::mib(300));
        assert!(matches!(judge(&case).standing, Standing::Undecided(_)));
        case.malloc = Some(MallocFacts { name: "jemalloc".into(), ..MallocFacts::default() });
        let finding = judge(&case);
        assert!(matches!(&finding.standing, Standing::Undecided(why) if why.contains("jemalloc")));
        assert_eq!(finding.could_explain, Bytes::mib(300));
    }

    #[test]
    fn a_walk_that_disagrees_with_mallocs_counters_lowers_confidence() {
        let mut facts = glibc(vec![arena(true, 300, 1)]);
        facts.arenas[0].system = Bytes::mib(400);
        assert_eq!(judge(&case(300, facts)).confidence, Confidence::Medium);
    }
}
