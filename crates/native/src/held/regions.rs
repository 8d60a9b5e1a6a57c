//! Memory that several holders lead to: whose is it?
//!
//! One stale word in a struct that was never cleared leads from one library's memory into
//! another's, and then to all of it. So neighbouring chunks that the same holders lead to are taken
//! together, and belong to those that come in by the shortest way: a document is its object's, which
//! has its address, and not that of a context five hops away. Where several are equally near, it is
//! theirs together. Before that, what goes on as it began stays together: a variable may have the
//! address of a node in the middle of a list, but if the node before it, of the same size, is an
//! object's alone, then so is the rest.

use super::Root;
use super::contents::Contents;
use super::marks::{Marks, is_known};
use super::sets::{SetId, Sets};
use rustc_hash::{FxHashMap, FxHashSet};

/// Chunks visited at most, for each that there is: what is not settled by then stays everybody's.
const EFFORT: usize = 32;

/// Lists that are interrupted more often are left to the nearest.
const MOST_PIECES: usize = 16;

/// So many addresses a variable remembers, of what belongs to another.
const REMEMBERED: usize = 4;

/// The shortest way into a region.
#[derive(Debug, Default)]
struct Way {
    /// Chunks on it, the one in the region too; 0 where there is none yet.
    steps: u32,
    /// Whose ways are so short.
    holders: Vec<u32>,
    /// Some chunks of the region that they lead to: one more than may be remembered at most.
    entries: Vec<u32>,
}

impl Way {
    fn add(&mut self, steps: u32, holder: u32, chunk: u32) {
        if self.steps == 0 || steps < self.steps {
            *self = Self { steps, ..Self::default() };
        }
        if steps == self.steps {
            if self.entries.len() <= REMEMBERED {
                self.entries.push(chunk);
            }
            if self.holders.last() != Some(&holder) {
                self.holders.push(holder);
            }
        }
    }

    /// Whether it is no more than a few variables with addresses in the region.
    fn is_remembered(&self) -> bool {
        self.steps == 1 && self.entries.len() <= REMEMBERED
    }
}

/// Gives shared chunks to those whose lists they are in, or to the nearest of those that lead to
/// them. `size` is that of a chunk.
pub(super) fn settle(
    marks: &mut Marks,
    roots: &[Root],
    contents: &Contents,
    sets: &mut Sets,
    size: impl Fn(u32) -> u64,
) {
    let chunks = marks.len();
    let mut regions = Regions::new(chunks);
    let mut shared: FxHashSet<SetId> = FxHashSet::default();
    for chunk in marks.known() {
        let set = marks.set(chunk);
        if set != SetId::MANY && sets.members(set).len() < 2 {
            continue;
        }
        shared.insert(set);
        for target in contents.targets(chunk) {
            if marks.is_known(*target) && marks.set(*target) == set {
                regions.join(chunk, *target);
            }
        }
    }
    let mut by_holder: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    for root in roots.iter().filter(|root| is_known(root.rank)) {
        by_holder.entry(root.holder).or_default().push(root.target);
    }
    let mut holders: Vec<u32> = if shared.contains(&SetId::MANY) {
        by_holder.keys().copied().collect()
    } else {
        shared.iter().flat_map(|set| sets.members(*set).iter().copied()).collect()
    };
    holders.sort_unstable();
    holders.dedup();

    // For each region the holders that come in by the fewest steps so far.
    let mut nearest: FxHashMap<u32, Way> = FxHashMap::default();
    let mut seen = vec![u32::MAX; chunks];
    let mut left = EFFORT.saturating_mul(chunks);
    for holder in holders {
        let mut level = by_holder.remove(&holder).unwrap_or_default();
        let mut steps = 1;
        while !level.is_empty() && left > 0 {
            let mut next = Vec::new();
            for chunk in level {
                let fresh = seen.get_mut(chunk as usize).filter(|last| **last != holder);
                let Some(last) = fresh.filter(|_| marks.is_known(chunk)) else { continue };
                *last = holder;
                left = left.saturating_sub(1);
                if shared.contains(&marks.set(chunk)) {
                    nearest.entry(regions.of(chunk)).or_default().add(steps, holder, chunk);
                }
                next.extend_from_slice(contents.targets(chunk));
            }
            level = next;
            steps += 1;
        }
    }
    if left == 0 {
        return;
    }
    let remembered: FxHashSet<u32> = nearest
        .values()
        .filter(|way| way.is_remembered())
        .flat_map(|way| way.entries.iter().copied())
        .collect();
    for _ in 0..MOST_PIECES {
        let goes_on = continued(marks, contents, sets, &mut regions, &remembered, &size);
        if goes_on.is_empty() || !apply(marks, &mut regions, &shared, &goes_on) {
            break;
        }
    }
    let settled: FxHashMap<u32, SetId> = nearest
        .into_iter()
        .map(|(region, way)| {
            let join = |set, holder: &u32| {
                let own = sets.of(*holder);
                sets.union(set, own)
            };
            (region, way.holders.iter().fold(SetId::EMPTY, join))
        })
        .collect();
    apply(marks, &mut regions, &shared, &settled);
}

/// The regions that a chunk of one holder alone leads into, to a chunk of the same size that is
/// remembered.
fn continued(
    marks: &Marks,
    contents: &Contents,
    sets: &mut Sets,
    regions: &mut Regions,
    remembered: &FxHashSet<u32>,
    size: &impl Fn(u32) -> u64,
) -> FxHashMap<u32, SetId> {
    let mut goes_on: FxHashMap<u32, SetId> = FxHashMap::default();
    for chunk in marks.known() {
        let set = marks.set(chunk);
        if sets.members(set).len() != 1 {
            continue;
        }
        for target in contents.targets(chunk) {
            if remembered.contains(target)
                && sets.members(marks.set(*target)).len() != 1
                && size(*target) == size(chunk)
            {
                let known = goes_on.entry(regions.of(*target)).or_insert(set);
                *known = sets.union(*known, set);
            }
        }
    }
    // Where the lists of several come together, it is not said whose it is.
    goes_on.retain(|_, set| sets.members(*set).len() == 1);
    goes_on
}

/// Settles regions; says whether any was.
fn apply(
    marks: &mut Marks,
    regions: &mut Regions,
    shared: &FxHashSet<SetId>,
    settled: &FxHashMap<u32, SetId>,
) -> bool {
    let number = u32::try_from(marks.len()).unwrap_or(u32::MAX);
    let mut any = false;
    for chunk in 0..number {
        if marks.is_known(chunk)
            && shared.contains(&marks.set(chunk))
            && let Some(set) = settled.get(&regions.of(chunk))
        {
            marks.settle(chunk, *set);
            any = true;
        }
    }
    any
}

/// Chunks that are joined.
struct Regions(Vec<u32>);

impl Regions {
    fn new(chunks: usize) -> Self {
        Self((0..u32::try_from(chunks).unwrap_or(u32::MAX)).collect())
    }

    /// The chunk that stands for all of a region.
    fn of(&mut self, chunk: u32) -> u32 {
        let mut at = chunk;
        // Halving the way at each step keeps the ways short.
        while let Some(above) = self.0.get(at as usize).copied().filter(|above| *above != at) {
            let next = self.0.get(above as usize).copied().unwrap_or(above);
            if let Some(place) = self.0.get_mut(at as usize) {
                *place = next;
            }
            at = next;
        }
        at
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.of(a), self.of(b));
        if let Some(place) = self.0.get_mut(a.max(b) as usize) {
            *place = a.min(b);
        }
    }
}
