//! What has grown between two moments?
//!
//! The earlier case is [`Ask::before`]. Everything is a difference of what each case says of itself,
//! so that rows add up: those of owners with the unexplained to that of RSS, those of types to that
//! of all objects, those of chunks to that of malloc in use.

use super::{Analysis, Histogram, Holders, Types};
use crate::finding::Holder;
use crate::{Ask, Remedy, Verdict};
use memwhy_model::{About, Bytes, Case, Owner};
use std::collections::BTreeMap;

/// Seconds by which the start of a process may seem to move between two looks at it.
const START_MOVES: f64 = 5.0;

/// See the [module](self).
#[derive(Debug)]
pub struct Growth;

/// A number at two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// At the earlier one.
    pub before: u64,
    /// At the later one.
    pub after: u64,
}

impl Change {
    /// By how much it grew; negative where it shrank.
    #[must_use]
    pub fn growth(self) -> i64 {
        let difference = i128::from(self.after) - i128::from(self.before);
        i64::try_from(difference).unwrap_or(if difference > 0 { i64::MAX } else { i64::MIN })
    }

    fn of(before: Bytes, after: Bytes) -> Self {
        Self { before: before.0, after: after.0 }
    }
}

/// Whether both moments are of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// The same pid, started at the same time.
    Same,
    /// Another process of the same command line.
    Restarted,
    /// A different command line.
    Other,
}

impl Sameness {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Restarted => "restarted",
            Self::Other => "other",
        }
    }
}

/// The types of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeGrowth {
    /// Module and name.
    pub name: String,
    /// Number of objects.
    pub count: Change,
    /// What they take in memory.
    pub footprint: Change,
}

/// A name, and what is reachable from it or, as its holder says, kept by it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderGrowth {
    /// The name as it is at the later moment, or was at the earlier one.
    pub holder: Holder,
    /// How many objects.
    pub objects: Change,
    /// Bytes of them.
    pub bytes: Change,
}

/// Memory in use of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizeGrowth {
    /// Of malloc the least size of the class, of pymalloc the size of a block.
    pub size: u64,
    /// Chunks or blocks in use.
    pub count: Change,
    /// Bytes of them.
    pub bytes: Change,
}

/// A thread that is there at one moment only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadChange {
    /// Its number.
    pub tid: u32,
    /// Its name.
    pub name: String,
}

/// What a cure of the earlier moment promised, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The cure.
    pub remedy: Remedy,
    /// RSS that it predicted.
    pub predicted: Bytes,
}

/// What has grown.
#[derive(Clone, Debug, PartialEq)]
pub struct Grown {
    /// Whether it is one process.
    pub sameness: Sameness,
    /// Time between the two.
    pub seconds: f64,
    /// RSS.
    pub rss: Change,
    /// What of RSS is unexplained.
    pub unexplained: Change,
    /// Who has how much of RSS; owners that never had anything are left out.
    pub owners: Vec<(Owner, Change)>,
    /// All objects.
    pub objects: Change,
    /// What they take in memory.
    pub footprint: Change,
    /// By type, most grown first; those that did not change are left out.
    pub types: Vec<TypeGrowth>,
    /// By name, most grown first; those that did not change are left out.
    pub holders: Vec<HolderGrowth>,
    /// Chunks of malloc in use, by powers of two.
    pub chunks: Vec<SizeGrowth>,
    /// Blocks of pymalloc in use, by size.
    pub blocks: Vec<SizeGrowth>,
    /// Threads that were not there.
    pub started: Vec<ThreadChange>,
    /// Threads that are not there any more.
    pub ended: Vec<ThreadChange>,
    /// What the cures of the earlier moment promised.
    pub promises: Vec<Promise>,
}

impl Grown {
    /// Types that had no object before.
    pub fn new_types(&self) -> impl Iterator<Item = &TypeGrowth> {
        self.types.iter().filter(|ty| ty.count.before == 0)
    }

    /// Types that have no object any more.
    pub fn gone_types(&self) -> impl Iterator<Item = &TypeGrowth> {
        self.types.iter().filter(|ty| ty.count.after == 0)
    }
}

impl Promise {
    /// Which part of the RSS that was to go has gone, 0 to 1 and beyond; nothing where RSS was not
    /// to shrink.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share, printed in whole percent")]
    pub fn kept(&self, rss: Change) -> Option<f64> {
        let promised = rss.before.checked_sub(self.predicted.0).filter(|bytes| *bytes > 0)?;
        Some(-rss.growth() as f64 / promised as f64)
    }
}

impl Analysis for Growth {
    /// Nothing where there is no earlier case.
    type Answer = Option<Grown>;
    const NAME: &'static str = "growth";

    fn compute(ask: &Ask<'_>) -> Self::Answer {
        let before = ask.before()?;
        Some(between(&Ask::new(before), ask))
    }
}

fn between(before: &Ask<'_>, after: &Ask<'_>) -> Grown {
    let owners = before.accounting.owners().zip(after.accounting.owners());
    let owners = owners.map(|(was, is)| (is.owner, Change::of(was.resident, is.resident)));
    let (was, is) = (before.get::<Histogram>(), after.get::<Histogram>());
    Grown {
        sameness: sameness(&before.about, &after.about),
        seconds: after.about.taken_at_unix_s - before.about.taken_at_unix_s,
        rss: Change::of(before.rss(), after.rss()),
        unexplained: Change::of(before.accounting.unexplained, after.accounting.unexplained),
        owners: owners.filter(|(_, change)| *change != Change::default()).collect(),
        objects: Change { before: was.objects, after: is.objects },
        footprint: Change::of(was.footprint, is.footprint),
        types: types(&was, &is),
        holders: holders(before, after),
        chunks: sizes(chunks(before), chunks(after)),
        blocks: sizes(blocks(before), blocks(after)),
        started: missing_from(before, after),
        ended: missing_from(after, before),
        promises: promises(before),
    }
}

pub(super) fn sameness(before: &About, after: &About) -> Sameness {
    // A core does not say when its process began; the number then has to do.
    let started = |about: &About| Some(about.taken_at_unix_s - about.uptime_s?);
    let moved = match (started(before), started(after)) {
        (Some(before), Some(after)) => (before - after).abs() > START_MOVES,
        (Some(_) | None, Some(_) | None) => false,
    };
    if before.command != after.command {
        Sameness::Other
    } else if before.pid == after.pid && !moved {
        Sameness::Same
    } else {
        Sameness::Restarted
    }
}

fn types(was: &Types, is: &Types) -> Vec<TypeGrowth> {
    let mut named: BTreeMap<String, TypeGrowth> = BTreeMap::new();
    for row in was.rows() {
        let change = named.entry(row.name.clone()).or_default();
        (change.count.before, change.footprint.before) = (row.count, row.footprint.0);
    }
    for row in is.rows() {
        let change = named.entry(row.name.clone()).or_default();
        (change.count.after, change.footprint.after) = (row.count, row.footprint.0);
    }
    let mut types: Vec<TypeGrowth> = named
        .into_iter()
        .map(|(name, growth)| TypeGrowth { name, ..growth })
        .filter(|ty| ty.count.growth() != 0 || ty.footprint.growth() != 0)
        .collect();
    types.sort_by_key(|ty| std::cmp::Reverse((ty.footprint.growth(), ty.count.growth())));
    types
}

/// Names that tell something at one of the two moments. A name that reaches nearly as much as one
/// that it leads to is left out there as on every screen.
fn holders(before: &Ask<'_>, after: &Ask<'_>) -> Vec<HolderGrowth> {
    let (was, is) = (before.get::<Holders>(), after.get::<Holders>());
    // What told something earlier and has more now reaches it through another name, which tells.
    let later: BTreeMap<&str, Bytes> =
        is.holders.iter().filter_map(|one| Some((one.path.as_deref()?, one.bytes))).collect();
    let shrunk = was.telling().filter(|holder| {
        let now = holder.path.as_deref().and_then(|path| later.get(path));
        now.is_none_or(|now| *now < holder.bytes)
    });
    compared(&was.holders, &is.holders, is.telling().chain(shrunk))
}

/// How what each of `told` has differs between the two moments.
pub(super) fn compared<'h>(
    was: &[Holder],
    is: &[Holder],
    told: impl Iterator<Item = &'h Holder>,
) -> Vec<HolderGrowth> {
    let known = |holders: &'_ [Holder]| -> BTreeMap<String, (u64, u64)> {
        let named = holders
            .iter()
            .filter_map(|holder| Some((holder.path.clone()?, (holder.objects, holder.bytes.0))));
        named.collect()
    };
    let (earlier, later) = (known(was), known(is));
    let mut grown: BTreeMap<String, HolderGrowth> = BTreeMap::new();
    for holder in told {
        let Some(path) = &holder.path else { continue };
        let of = |known: &BTreeMap<String, (u64, u64)>| known.get(path).copied().unwrap_or((0, 0));
        let (was, is) = (of(&earlier), of(&later));
        grown.entry(path.clone()).or_insert_with(|| HolderGrowth {
            holder: holder.clone(),
            objects: Change { before: was.0, after: is.0 },
            bytes: Change { before: was.1, after: is.1 },
        });
    }
    let mut grown: Vec<HolderGrowth> = grown
        .into_values()
        .filter(|holder| holder.bytes.growth() != 0 || holder.objects.growth() != 0)
        .collect();
    grown.sort_by_key(|holder| std::cmp::Reverse((holder.bytes.growth(), holder.objects.growth())));
    grown
}

/// Sizes with count and bytes.
type Sizes = Vec<(u64, u64, u64)>;

fn chunks(case: &Case) -> Sizes {
    let glibc = case.malloc.as_ref().and_then(|malloc| malloc.glibc.as_ref());
    let classes = glibc.map(|glibc| glibc.in_use_by_class.as_slice()).unwrap_or_default();
    classes.iter().map(|class| (class.from, class.chunks, class.bytes.0)).collect()
}

fn blocks(case: &Case) -> Sizes {
    let classes = case.pymalloc.as_ref().map(|pymalloc| pymalloc.classes.as_slice());
    let bytes = |used: u64, block: u64| used.saturating_mul(block);
    let classes = classes.unwrap_or_default().iter();
    classes.map(|class| (class.block, class.used, bytes(class.used, class.block))).collect()
}

fn sizes(before: Sizes, after: Sizes) -> Vec<SizeGrowth> {
    let mut sizes: BTreeMap<u64, SizeGrowth> = BTreeMap::new();
    for (size, count, bytes) in before {
        let row = sizes.entry(size).or_insert(SizeGrowth { size, ..SizeGrowth::default() });
        row.count.before += count;
        row.bytes.before += bytes;
    }
    for (size, count, bytes) in after {
        let row = sizes.entry(size).or_insert(SizeGrowth { size, ..SizeGrowth::default() });
        row.count.after += count;
        row.bytes.after += bytes;
    }
    sizes.into_values().filter(|row| row.count.growth() != 0).collect()
}

/// The threads of `of` that are not in `from`.
fn missing_from(from: &Case, of: &Case) -> Vec<ThreadChange> {
    let there = |tid: u32| from.threads.iter().any(|thread| thread.tid == tid);
    let missing = of.threads.iter().filter(|thread| !there(thread.tid));
    missing.map(|thread| ThreadChange { tid: thread.tid, name: thread.name.clone() }).collect()
}

fn promises(before: &Ask<'_>) -> Vec<Promise> {
    let verdict = Verdict::of(before);
    let remedies = verdict.finding().map(|finding| finding.remedies.clone()).unwrap_or_default();
    let promised = remedies.into_iter().filter_map(|remedy| {
        let predicted = remedy.expected_rss?;
        Some(Promise { remedy, predicted })
    });
    promised.collect()
}

#[cfg(test)]
mod tests {
    use super::{Change, Grown, Growth, Promise, Sameness};
    use crate::{Ask, Remedy};
    use memwhy_model::{
        About, Addr, Bytes, Case, ChunkClass, Flags, GlibcFacts, HeapBuilder, MallocFacts, Owner,
        PymallocClass, PymallocFacts, ThreadFacts, TypeId, TypeRow,
    };

    /// A process with so many objects of three types.
    fn case(at: f64, counts: [u64; 3]) -> Case {
        let mut heap = HeapBuilder::default();
        let mut addr = 0;
        for (ty, count) in (0..).zip(counts) {
            for _ in 0..count {
                addr += 64;
                heap.push(Addr(addr), TypeId(ty), 64, Flags::default());
            }
        }
        heap.seal_objects();
        let named = |name: &str| TypeRow { name: name.into(), ..TypeRow::default() };
        let types = ["app.Session", "builtins.dict", "app.Old"].map(named).into();
        let objects: u64 = counts.iter().sum();
        let classes = vec![ChunkClass { from: 64, chunks: objects, bytes: Bytes(objects * 80) }];
        let glibc = GlibcFacts { in_use_by_class: classes, ..GlibcFacts::default() };
        let mut case = Case {
            about: About {
                pid: 7,
                command: vec!["app".into()],
                taken_at_unix_s: 1000.0 + at,
                uptime_s: Some(50.0 + at),
                ..About::default()
            },
            heap: Some(heap.finish(types)),
            malloc: Some(MallocFacts { glibc: Some(glibc), ..MallocFacts::default() }),
            pymalloc: Some(PymallocFacts {
                classes: vec![PymallocClass { block: 64, used: objects, ..Default::default() }],
                ..PymallocFacts::default()
            }),
            ..Case::default()
        };
        case.accounting = case
            .accounting
            .with(Owner::PythonObjects, Bytes(objects * 64))
            .with(Owner::MallocFree, Bytes(1000 / (objects + 1)));
        case.accounting.unexplained = Bytes(17 * objects);
        case.accounting.rss += case.accounting.unexplained;
        case
    }

    fn grown(before: &Case, after: &Case) -> Grown {
        let ask = Ask::since(before, after);
        (*ask.get::<Growth>()).clone().expect("there is an earlier case")
    }

    #[test]
    fn what_grew_adds_up() {
        for (was, is) in [([3, 4, 5], [9, 4, 0]), ([0, 0, 0], [1, 1, 1]), ([5, 5, 5], [1, 9, 5])] {
            let grown = grown(&case(0.0, was), &case(60.0, is));
            let owners: i64 = grown.owners.iter().map(|(_, change)| change.growth()).sum();
            assert_eq!(owners + grown.unexplained.growth(), grown.rss.growth());
            let counts: i64 = grown.types.iter().map(|ty| ty.count.growth()).sum();
            assert_eq!(counts, grown.objects.growth());
            let bytes: i64 = grown.types.iter().map(|ty| ty.footprint.growth()).sum();
            assert_eq!(bytes, grown.footprint.growth());
            let chunks: i64 = grown.chunks.iter().map(|row| row.count.growth()).sum();
            assert_eq!(chunks, grown.objects.growth());
        }
    }

    #[test]
    fn a_moment_has_not_grown_over_itself() {
        let case = case(0.0, [3, 4, 5]);
        let grown = grown(&case, &case);
        assert_eq!((grown.rss.growth(), grown.seconds, grown.sameness), (0, 0.0, Sameness::Same));
        assert!(grown.types.is_empty() && grown.holders.is_empty() && grown.chunks.is_empty());
        assert!(grown.started.is_empty() && grown.ended.is_empty());
    }

    #[test]
    fn types_come_and_go() {
        let grown = grown(&case(0.0, [0, 4, 5]), &case(60.0, [9, 4, 0]));
        let names = |types: &mut dyn Iterator<Item = &super::TypeGrowth>| -> Vec<String> {
            types.map(|ty| ty.name.clone()).collect()
        };
        assert_eq!(names(&mut grown.new_types()), ["app.Session"]);
        assert_eq!(names(&mut grown.gone_types()), ["app.Old"]);
        // What did not change is no row.
        assert_eq!(grown.types.len(), 2);
    }

    #[test]
    fn a_restart_is_told_from_growth() {
        let before = case(0.0, [1, 1, 1]);
        let mut after = case(60.0, [2, 1, 1]);
        after.about.uptime_s = Some(3.0);
        assert_eq!(grown(&before, &after).sameness, Sameness::Restarted);
        after.about.command.push("--other".into());
        assert_eq!(grown(&before, &after).sameness, Sameness::Other);
    }

    #[test]
    fn threads_are_known_by_their_numbers() {
        let with = |tids: &[u32]| {
            let thread = |tid: &u32| ThreadFacts { tid: *tid, ..ThreadFacts::default() };
            Case { threads: tids.iter().map(thread).collect(), ..case(0.0, [1, 1, 1]) }
        };
        let grown = grown(&with(&[1, 2, 3]), &with(&[1, 3, 9]));
        let tids = |threads: &[super::ThreadChange]| threads.iter().map(|t| t.tid).collect();
        assert_eq!((tids(&grown.started), tids(&grown.ended)), (vec![9], vec![2]));
    }

    #[test]
    fn a_promise_is_kept_by_what_came_back() {
        let remedy = Remedy {
            action: "trim".into(),
            expected_rss: Some(Bytes(100)),
            note: String::new(),
            verify: String::new(),
        };
        let promise = Promise { remedy, predicted: Bytes(100) };
        let kept = |before, after| promise.kept(Change { before, after });
        assert_eq!(kept(500, 100), Some(1.0));
        assert_eq!(kept(500, 300), Some(0.5));
        assert_eq!(kept(500, 600), Some(-0.25));
        assert_eq!(kept(100, 50), None);
    }
}
