//! Does it grow, and what grows?
//!
//! From samples of one process over time. Growth is the slope of *live* bytes (objects in use, what
//! malloc handed out), not that of RSS: RSS also grows when allocators keep what was freed. Slopes
//! are Theil and Sen's, the median of the slopes between all pairs of samples: one odd sample does
//! not move it. What a collector or a batch builds up and gives back again (a sawtooth) has a slope,
//! too, whenever the window ends high; so growth has to show in the *floor* as well: at each time the
//! least that the process came down to later.

use super::Histogram;
use crate::Ask;
use memwhy_model::{Bytes, Case, Owner};
use std::collections::BTreeMap;

/// With fewer samples nothing is said.
pub const LEAST_SAMPLES: usize = 4;

/// What grows less than that over the whole window is no growth: an interpreter moves so much when
/// it does anything at all.
const LEAST_GROWTH: f64 = 256.0 * 1024.0;

/// And what grows by less than this share of what is live.
const LEAST_SHARE: f64 = 0.005;

/// The share of the growth of live bytes that the floor has to show, too.
const FLOOR: f64 = 0.5;

/// Types followed: those that changed most from the first sample to the last.
const TYPES: usize = 40;

/// What is remembered of one look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Seconds since 1970.
    pub at: f64,
    /// RSS.
    pub rss: Bytes,
    /// In use: objects, native allocations, structures of the interpreter.
    pub live: Bytes,
    /// Unreachable cycles that the collector has not found yet.
    pub garbage: Bytes,
    /// Kept by allocators for later.
    pub free: Bytes,
    /// Number of objects.
    pub objects: u64,
    /// Who has how much of RSS.
    pub owners: BTreeMap<&'static str, Bytes>,
    /// What the objects of each type take.
    pub types: BTreeMap<String, Bytes>,
    /// For how long the process stood still for it, milliseconds.
    pub pause_ms: f64,
}

impl Sample {
    /// What one look has seen.
    #[must_use]
    pub fn of(case: &Case) -> Self {
        let types = Ask::new(case).get::<Histogram>();
        let mut sample = Self {
            at: case.about.taken_at_unix_s,
            rss: case.rss(),
            objects: types.objects,
            types: types.rows().iter().map(|row| (row.name.clone(), row.footprint)).collect(),
            pause_ms: case.about.moment.pause_ms,
            ..Self::default()
        };
        for of in case.accounting.owners() {
            match kind(of.owner) {
                Kind::Live => sample.live += of.resident,
                Kind::Garbage => sample.garbage += of.resident,
                Kind::Free => sample.free += of.resident,
                Kind::Other => {}
            }
            if of.resident > Bytes(0) {
                sample.owners.insert(of.owner.id(), of.resident);
            }
        }
        sample
    }
}

/// What memory of an owner is to the question whether the process grows.
enum Kind {
    Live,
    Garbage,
    Free,
    Other,
}

const fn kind(owner: Owner) -> Kind {
    match owner {
        Owner::PythonObjects
        | Owner::PythonOrphans
        | Owner::PythonRuntime
        | Owner::MallocNative
        | Owner::OtherAllocator
        | Owner::AnonOther => Kind::Live,
        Owner::PythonGarbage => Kind::Garbage,
        Owner::PythonFree | Owner::PymallocFree | Owner::MimallocFree | Owner::MallocFree => {
            Kind::Free
        }
        Owner::MallocOverhead
        | Owner::StackNative
        | Owner::FileClean
        | Owner::FileDirty
        | Owner::Shmem => Kind::Other,
    }
}

/// What the samples say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Too few samples.
    Unknown,
    /// Live bytes grow, and nothing of it is given back.
    Growing,
    /// Live bytes come and go: what is built up is given back.
    Sawtooth,
    /// Live bytes do not grow, but RSS does: allocators keep what was freed.
    Kept,
    /// Live bytes do not grow, but unreachable cycles do: the collector does not run.
    Uncollected,
    /// Nothing grows.
    Steady,
    /// Live bytes shrink.
    Shrinking,
}

impl Course {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Growing => "growing",
            Self::Sawtooth => "sawtooth",
            Self::Kept => "kept",
            Self::Uncollected => "uncollected",
            Self::Steady => "steady",
            Self::Shrinking => "shrinking",
        }
    }
}

/// Bytes a second of something that has a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Slope {
    /// The id of an owner, or the name of a type.
    pub name: String,
    /// Bytes a second; negative where it shrinks.
    pub per_second: f64,
}

/// What was seen over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    /// The answer.
    pub course: Course,
    /// Seconds from the first sample to the last.
    pub seconds: f64,
    /// Bytes a second of RSS.
    pub rss: f64,
    /// Of live bytes.
    pub live: f64,
    /// Of the floor of live bytes.
    pub floor: f64,
    /// Of unreachable cycles.
    pub garbage: f64,
    /// Of what allocators keep.
    pub free: f64,
    /// By owner, steepest first.
    pub owners: Vec<Slope>,
    /// By type, steepest first.
    pub types: Vec<Slope>,
}

impl Trend {
    /// What samples in the order of time say.
    #[must_use]
    pub fn of(samples: &[Sample]) -> Self {
        let series = |of: &dyn Fn(&Sample) -> Bytes| -> Vec<(f64, f64)> {
            samples.iter().map(|sample| (sample.at, number(of(sample)))).collect()
        };
        let live = series(&|sample| sample.live);
        let floor = floor(&live);
        let seconds = match (samples.first(), samples.last()) {
            (Some(first), Some(last)) => (last.at - first.at).max(0.0),
            (Some(_) | None, Some(_) | None) => 0.0,
        };
        let mut trend = Self {
            course: Course::Unknown,
            seconds,
            rss: slope(&series(&|sample| sample.rss)),
            live: slope(&live),
            floor: slope(&floor),
            garbage: slope(&series(&|sample| sample.garbage)),
            free: slope(&series(&|sample| sample.free)),
            owners: slopes(samples, |sample| sample.owners.iter().map(|(n, b)| (*n, *b))),
            types: slopes(samples, |sample| sample.types.iter().map(|(n, b)| (n.as_str(), *b))),
        };
        trend.course = trend.judged(samples, &live);
        trend
    }

    fn judged(&self, samples: &[Sample], live: &[(f64, f64)]) -> Course {
        if samples.len() < LEAST_SAMPLES {
            return Course::Unknown;
        }
        let most = live.iter().map(|(_, bytes)| *bytes).fold(0.0, f64::max);
        let least = live.iter().map(|(_, bytes)| *bytes).fold(f64::INFINITY, f64::min);
        // Of the median: one odd sample must not make all growth look small.
        let worth = LEAST_GROWTH.max(median(live) * LEAST_SHARE);
        let over = |per_second: f64| per_second * self.seconds;
        if over(self.live) >= worth && over(self.floor) >= over(self.live) * FLOOR {
            return Course::Growing;
        }
        // Up by most of its swing, and down again; what only falls has no teeth.
        let swing = most - least;
        if swing >= worth
            && fallen(live) >= swing * FLOOR
            && risen(live) >= swing * FLOOR
            && over(self.floor) < worth.max(swing * FLOOR)
        {
            return Course::Sawtooth;
        }
        if over(self.garbage) >= worth {
            return Course::Uncollected;
        }
        if over(self.rss) >= worth && over(self.free) >= over(self.rss) * FLOOR {
            return Course::Kept;
        }
        if over(self.live) <= -worth {
            return Course::Shrinking;
        }
        Course::Steady
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of one process")]
const fn number(bytes: Bytes) -> f64 {
    bytes.0 as f64
}

/// At each time the least that came later: what was never given back.
fn floor(series: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut least = f64::INFINITY;
    let mut floor: Vec<(f64, f64)> = series
        .iter()
        .rev()
        .map(|(at, bytes)| {
            least = least.min(*bytes);
            (*at, least)
        })
        .collect();
    floor.reverse();
    // Of the last quarter too little came later to tell.
    floor.truncate((series.len() * 3).div_ceil(4).max(2));
    floor
}

/// The furthest that it came down from a height to a later depth.
fn fallen(series: &[(f64, f64)]) -> f64 {
    let (mut high, mut fallen) = (f64::NEG_INFINITY, 0.0f64);
    for (_, bytes) in series {
        high = high.max(*bytes);
        fallen = fallen.max(high - bytes);
    }
    fallen
}

/// The furthest that it went up from a depth to a later height.
fn risen(series: &[(f64, f64)]) -> f64 {
    let (mut low, mut risen) = (f64::INFINITY, 0.0f64);
    for (_, bytes) in series {
        low = low.min(*bytes);
        risen = risen.max(bytes - low);
    }
    risen
}

/// The value in the middle; 0 where there is none.
fn median(series: &[(f64, f64)]) -> f64 {
    let mut values: Vec<f64> = series.iter().map(|(_, bytes)| *bytes).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The median of the slopes between all pairs, in units a second; 0 where there are none.
fn slope(series: &[(f64, f64)]) -> f64 {
    let mut slopes = Vec::with_capacity(series.len() * series.len() / 2);
    for (n, (from, was)) in series.iter().enumerate() {
        for (to, is) in series.iter().skip(n + 1) {
            if to > from {
                slopes.push((is - was) / (to - from));
            }
        }
    }
    let middle = slopes.len() / 2;
    if slopes.is_empty() {
        return 0.0;
    }
    let (_, median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    *median
}

/// The slopes of what has names, those that changed most.
fn slopes<'s, I: Iterator<Item = (&'s str, Bytes)>>(
    samples: &'s [Sample],
    of: impl Fn(&'s Sample) -> I,
) -> Vec<Slope> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let mut changed: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (name, bytes) in of(first) {
        changed.entry(name).or_default().0 = number(bytes);
    }
    for (name, bytes) in of(last) {
        changed.entry(name).or_default().1 = number(bytes);
    }
    let mut names: Vec<(&str, f64)> =
        changed.into_iter().map(|(name, (was, is))| (name, (is - was).abs())).collect();
    names.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    names.truncate(TYPES);
    let all: Vec<BTreeMap<&str, Bytes>> =
        samples.iter().map(|sample| of(sample).collect()).collect();
    let mut slopes: Vec<Slope> = names
        .into_iter()
        .map(|(name, _)| {
            let at = |(sample, named): (&Sample, &BTreeMap<&str, Bytes>)| {
                (sample.at, named.get(name).copied().map_or(0.0, number))
            };
            let series: Vec<(f64, f64)> = samples.iter().zip(&all).map(at).collect();
            Slope { name: name.to_owned(), per_second: slope(&series) }
        })
        .filter(|slope| slope.per_second != 0.0)
        .collect();
    slopes.sort_by(|a, b| b.per_second.total_cmp(&a.per_second));
    slopes
}

#[cfg(test)]
mod tests {
    use super::{Course, Sample, Trend, slope};
    use memwhy_model::Bytes;

    /// Samples ten seconds apart, in MiB: live, garbage, free.
    fn samples(of: impl Fn(u64) -> [u64; 3]) -> Vec<Sample> {
        let sample = |n: u64| {
            let [live, garbage, free] = of(n).map(Bytes::mib);
            Sample {
                at: 1e9 + 10.0 * f64::from(u32::try_from(n).expect("few")),
                rss: live + garbage + free + Bytes::mib(10),
                live,
                garbage,
                free,
                owners: [("python.objects", live)].into(),
                types: [("builtins.dict".to_owned(), live)].into(),
                ..Sample::default()
            }
        };
        (0..24).map(sample).collect()
    }

    fn course(of: impl Fn(u64) -> [u64; 3]) -> Course {
        Trend::of(&samples(of)).course
    }

    #[test]
    fn growth_is_the_slope_of_what_is_live_not_of_rss() {
        assert_eq!(course(|n| [100 + 2 * n, 0, 5]), Course::Growing);
        assert_eq!(course(|n| [100, 0, 2 * n]), Course::Kept);
        assert_eq!(course(|n| [100, 2 * n, 0]), Course::Uncollected);
        assert_eq!(course(|_| [100, 0, 5]), Course::Steady);
        assert_eq!(course(|n| [100 - 2 * n, 0, 5]), Course::Shrinking);
    }

    #[test]
    fn a_sawtooth_is_no_growth_wherever_the_window_ends() {
        for phase in 0..9 {
            assert_eq!(
                course(|n| [100 + 10 * ((n + phase) % 9), 0, 5]),
                Course::Sawtooth,
                "{phase}"
            );
        }
    }

    #[test]
    fn growth_below_a_sawtooth_is_growth() {
        for phase in 0..6 {
            let both = |n: u64| [100 + 6 * n + 4 * ((n + phase) % 6), 0, 5];
            assert_eq!(course(both), Course::Growing, "{phase}");
        }
    }

    #[test]
    fn one_odd_sample_does_not_move_a_slope() {
        let mut odd = samples(|n| [100 + n, 0, 5]);
        let straight = Trend::of(&odd).live;
        odd[7].live = Bytes::mib(5000);
        assert!((Trend::of(&odd).live - straight).abs() < straight * 0.05);
        assert_eq!(Trend::of(&odd).course, Course::Growing);
    }

    #[test]
    fn a_few_samples_say_nothing() {
        let all = samples(|n| [100 + 50 * n, 0, 5]);
        assert_eq!(Trend::of(&all[..3]).course, Course::Unknown);
        assert_eq!(Trend::of(&all[..4]).course, Course::Growing);
        assert_eq!(Trend::of(&[]).course, Course::Unknown);
    }

    #[test]
    fn slopes_are_by_name_and_per_second() {
        let trend = Trend::of(&samples(|n| [100 + 10 * n, 0, 5]));
        assert_eq!(trend.owners[0].name, "python.objects");
        let mib = trend.types[0].per_second / (1024.0 * 1024.0);
        assert!((mib - 1.0).abs() < 1e-6, "{mib}");
        assert!(slope(&[(1.0, 5.0)]).abs() < f64::EPSILON);
    }
}
