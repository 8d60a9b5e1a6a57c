//! Who has each resident byte?
//!
//! Walks claim ranges of addresses, each on the [`Layer`] where it lies: a pool lies in an arena,
//! an arena in a mapping. [`Partition::settle`] then gives every resident byte to the innermost
//! claim on it. Owners therefore add up to RSS by construction; what no claim covers goes to the
//! owner of the mapping, and what smaps counts but no page shows stays as *unexplained*.

use crate::{AddrRange, Bytes, MappingFacts, PageState, ProblemKind, Problems, Residency};
use serde::{Deserialize, Serialize};

/// Who a byte belongs to. The ids are stable: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
#[repr(u8)]
pub enum Owner {
    /// Live Python objects and the buffers they hold directly.
    PythonObjects,
    /// Objects that only unreachable cycles hold.
    PythonGarbage,
    /// Objects alive by a reference count that nothing accounts for.
    PythonOrphans,
    /// Structures of the interpreter, raw blocks, headers of pools.
    PythonRuntime,
    /// Blocks for numbers in which there are none, 2.7.
    #[serde(rename = "python.free")]
    PythonFree,
    /// Free blocks, free pools and never used pools of pymalloc.
    PymallocFree,
    /// Free blocks, free pages and free slices of CPython's mimalloc.
    MimallocFree,
    /// malloc chunks in use that no Python object holds.
    MallocNative,
    /// Freed chunks that malloc keeps.
    MallocFree,
    /// Chunk headers, arena headers, slack at the ends of chunks.
    MallocOverhead,
    /// The heap of an allocator that is recognised but not walked.
    OtherAllocator,
    /// Stacks of threads, with their thread-local storage.
    StackNative,
    /// Pages of files as they are on disk.
    FileClean,
    /// Pages of private file mappings that the process has changed.
    FileDirty,
    /// Shared memory: tmpfs, shared anonymous mappings.
    Shmem,
    /// Anonymous memory that no allocator is known to have made.
    AnonOther,
}

impl Owner {
    /// Every owner, in the order of reports.
    pub const ALL: [Self; 16] = [
        Self::PythonObjects,
        Self::PythonGarbage,
        Self::PythonOrphans,
        Self::PythonRuntime,
        Self::PythonFree,
        Self::PymallocFree,
        Self::MimallocFree,
        Self::MallocNative,
        Self::MallocFree,
        Self::MallocOverhead,
        Self::OtherAllocator,
        Self::StackNative,
        Self::FileClean,
        Self::FileDirty,
        Self::Shmem,
        Self::AnonOther,
    ];

    /// The id used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::PythonObjects => "python.objects",
            Self::PythonGarbage => "python.garbage",
            Self::PythonOrphans => "python.orphans",
            Self::PythonRuntime => "python.runtime",
            Self::PythonFree => "python.free",
            Self::PymallocFree => "pymalloc.free",
            Self::MimallocFree => "mimalloc.free",
            Self::MallocNative => "malloc.native",
            Self::MallocFree => "malloc.free",
            Self::MallocOverhead => "malloc.overhead",
            Self::OtherAllocator => "allocator.other",
            Self::StackNative => "stack.native",
            Self::FileClean => "file.clean",
            Self::FileDirty => "file.dirty",
            Self::Shmem => "shmem",
            Self::AnonOther => "anon.other",
        }
    }

    /// The place of this owner in [`Owner::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl From<Owner> for &'static str {
    fn from(owner: Owner) -> Self {
        owner.id()
    }
}

impl TryFrom<String> for Owner {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|owner| owner.id() == id);
        known.ok_or_else(|| format!("there is no owner {id}"))
    }
}

/// How deep a claim lies; a deeper one wins over those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Layer {
    /// A whole mapping, for want of anything better.
    Mapping,
    /// Part of a mapping: a stack, the heap of an allocator, a loaded image's data.
    Region,
    /// A chunk of malloc.
    Chunk,
    /// An arena, pool or block of pymalloc; an object outside of them.
    Block,
}

const LAYERS: usize = 4;
const OWNER_SHIFT: u32 = 56;
const END_MASK: u64 = (1 << OWNER_SHIFT) - 1;

/// A claim in 16 bytes: a million of them are common. x86-64 user addresses have 47 or 56 bits.
#[derive(Clone, Copy, Debug)]
struct Claim {
    start: u64,
    end_and_owner: u64,
}

impl Claim {
    fn end(self) -> u64 {
        self.end_and_owner & END_MASK
    }

    fn owner(self) -> Owner {
        let index = usize::from((self.end_and_owner >> OWNER_SHIFT) as u8);
        Owner::ALL.get(index).copied().unwrap_or(Owner::AnonOther)
    }
}

/// Claims on the address space of one target.
#[derive(Debug, Default)]
pub struct Partition {
    layers: [Vec<Claim>; LAYERS],
}

impl Partition {
    /// Gives `range` to `owner`, unless a deeper layer says otherwise.
    pub fn claim(&mut self, layer: Layer, range: AddrRange, owner: Owner) {
        if range.is_empty() || range.end.0 > END_MASK {
            return;
        }
        let claims = &mut self.layers[layer as usize];
        if let Some(last) = claims.last_mut()
            && last.end() == range.start.0
            && last.owner() == owner
        {
            last.end_and_owner = pack(range.end.0, owner);
            return;
        }
        claims.push(Claim { start: range.start.0, end_and_owner: pack(range.end.0, owner) });
    }

    /// Gives every resident byte to its innermost owner.
    ///
    /// `mappings` ascend and carry the RSS that smaps states for each. Their `owners` are filled
    /// in, and the sum over all of them is returned. Overlaps within one layer are a
    /// [`ProblemKind::OwnersConflict`]: the earlier claim keeps the bytes.
    pub fn settle(
        mut self,
        mappings: &mut [MappingFacts],
        pages: &Residency,
        problems: &mut Problems,
    ) -> Accounting {
        for claims in &mut self.layers {
            claims.sort_unstable_by_key(|claim| claim.start);
            drop_overlaps(claims, problems);
        }
        let mut sum = Accounting::default();
        let mut cursors = [0; LAYERS];
        for mapping in mappings.iter_mut() {
            let mut by_owner = [0u64; Owner::ALL.len()];
            for run in pages.within(mapping.range) {
                match run.state {
                    PageState::Zero => {}
                    PageState::File => by_owner[mapping.file_owner().index()] += run.range.len(),
                    PageState::Anon => {
                        self.split(run.range, mapping.anon_owner(), &mut cursors, &mut by_owner);
                    }
                }
            }
            mapping.unexplained = reconcile(mapping, &mut by_owner, problems);
            mapping.owners = Owner::ALL
                .into_iter()
                .zip(by_owner)
                .filter(|(_, n)| *n > 0)
                .map(|(owner, n)| (owner, Bytes(n)))
                .collect();
            sum.rss += mapping.rss;
            sum.unexplained += mapping.unexplained;
            for (owner, bytes) in &mapping.owners {
                sum.resident[owner.index()] += *bytes;
            }
        }
        for claim in self.layers.iter().flatten() {
            sum.claimed[claim.owner().index()] += Bytes(claim.end() - claim.start);
        }
        sum
    }

    /// Splits the anonymous pages of `range` by innermost claim; `rest` has what nobody claims.
    fn split(
        &self,
        range: AddrRange,
        rest: Owner,
        cursors: &mut [usize; LAYERS],
        by_owner: &mut [u64; Owner::ALL.len()],
    ) {
        let mut at = range.start.0;
        while at < range.end.0 {
            let mut until = range.end.0;
            let mut owner = rest;
            for (claims, cursor) in self.layers.iter().zip(cursors.iter_mut()) {
                while claims.get(*cursor).is_some_and(|claim| claim.end() <= at) {
                    *cursor += 1;
                }
                if let Some(claim) = claims.get(*cursor) {
                    if claim.start <= at {
                        owner = claim.owner();
                        until = until.min(claim.end());
                    } else {
                        until = until.min(claim.start);
                    }
                }
            }
            by_owner[owner.index()] += until - at;
            at = until;
        }
    }
}

fn pack(end: u64, owner: Owner) -> u64 {
    end | ((owner as u64) << OWNER_SHIFT)
}

fn drop_overlaps(claims: &mut Vec<Claim>, problems: &mut Problems) {
    let mut end = 0;
    claims.retain_mut(|claim| {
        if claim.start < end {
            problems.note(ProblemKind::OwnersConflict, || {
                format!("{:#x}-{:#x} as {}", claim.start, claim.end(), claim.owner().id())
            });
            claim.start = end;
        }
        end = end.max(claim.end());
        claim.start < claim.end()
    });
}

/// Makes the owners of one mapping agree with its RSS in smaps; returns what stays unexplained.
///
/// The two sources are read a moment apart, and zero pages are told apart only since Linux 6.7.
fn reconcile(
    mapping: &MappingFacts,
    by_owner: &mut [u64; Owner::ALL.len()],
    problems: &mut Problems,
) -> Bytes {
    let seen: u64 = by_owner.iter().sum();
    let stated = mapping.rss.0;
    if seen <= stated {
        return Bytes(stated - seen);
    }
    problems.note(ProblemKind::ResidencyMismatch, || {
        format!("{}: {} B in pages, {stated} B in smaps", mapping.range, seen)
    });
    let mut excess = seen - stated;
    while excess > 0 {
        let Some(most) = by_owner.iter_mut().max() else { break };
        let taken = excess.min(*most);
        if taken == 0 {
            break;
        }
        *most -= taken;
        excess -= taken;
    }
    Bytes(0)
}

/// What one owner has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerBytes {
    /// Who.
    pub owner: Owner,
    /// Of RSS.
    pub resident: Bytes,
    /// Of the address space, resident or not; nothing where pages rather than ranges decide.
    pub claimed: Bytes,
}

impl OwnerBytes {
    const fn none(owner: Owner) -> Self {
        Self { owner, resident: Bytes(0), claimed: Bytes(0) }
    }
}

/// The sum of all mappings: owners and unexplained together are RSS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Accounting {
    /// RSS as smaps states it.
    pub rss: Bytes,
    /// What smaps counts but no page accounts for.
    pub unexplained: Bytes,
    resident: [Bytes; Owner::ALL.len()],
    claimed: [Bytes; Owner::ALL.len()],
}

impl Accounting {
    /// How much of RSS `owner` has.
    #[must_use]
    pub fn resident(&self, owner: Owner) -> Bytes {
        self.resident[owner.index()]
    }

    /// Every owner, those without a byte included.
    pub fn owners(&self) -> impl Iterator<Item = OwnerBytes> + '_ {
        Owner::ALL.into_iter().map(|owner| OwnerBytes {
            owner,
            resident: self.resident[owner.index()],
            claimed: self.claimed[owner.index()],
        })
    }

    /// For cases made by hand: sets what `owner` has and adds it to RSS.
    #[must_use]
    pub fn with(mut self, owner: Owner, bytes: Bytes) -> Self {
        self.resident[owner.index()] += bytes;
        self.rss += bytes;
        self
    }
}

/// How the sum is written down: owners by name, so that one more of them is no other format.
#[derive(Serialize, Deserialize)]
struct Written {
    rss: Bytes,
    unexplained: Bytes,
    owners: Vec<OwnerBytes>,
}

impl From<Accounting> for Written {
    fn from(sum: Accounting) -> Self {
        let owners = sum.owners().filter(|o| *o != OwnerBytes::none(o.owner)).collect();
        Self { rss: sum.rss, unexplained: sum.unexplained, owners }
    }
}

impl TryFrom<Written> for Accounting {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { rss, unexplained, owners } = written;
        let mut sum = Self { rss, unexplained, ..Self::default() };
        for OwnerBytes { owner, resident, claimed } in owners {
            sum.resident[owner.index()] += resident;
            sum.claimed[owner.index()] += claimed;
        }
        let owned: Bytes = sum.resident.into_iter().sum();
        if owned + unexplained != rss {
            return Err(format!("owners and unexplained are not the RSS of {} bytes", rss.0));
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::{Layer, Owner, Partition};
    use crate::{
        Addr, AddrRange, Bytes, MappingFacts, PageRun, PageState, ProblemKind, Problems, Residency,
    };

    fn range(start: u64, end: u64) -> AddrRange {
        AddrRange::new(Addr(start), Addr(end))
    }

    fn mapping(rss: u64) -> MappingFacts {
        MappingFacts { range: range(0x1000, 0x9000), rss: Bytes(rss), ..MappingFacts::default() }
    }

    fn anon(start: u64, end: u64) -> Residency {
        Residency::new([PageRun { range: range(start, end), state: PageState::Anon }])
    }

    #[test]
    fn the_innermost_claim_wins() {
        let mut claims = Partition::default();
        claims.claim(Layer::Region, range(0x1000, 0x9000), Owner::OtherAllocator);
        claims.claim(Layer::Block, range(0x2100, 0x2200), Owner::PythonObjects);
        claims.claim(Layer::Chunk, range(0x2000, 0x3000), Owner::MallocFree);
        let mut problems = Problems::default();
        let mut maps = [mapping(0x3000)];
        let sum = claims.settle(&mut maps, &anon(0x1000, 0x4000), &mut problems);
        assert_eq!(sum.resident(Owner::PythonObjects), Bytes(0x100));
        assert_eq!(sum.resident(Owner::MallocFree), Bytes(0xf00));
        assert_eq!(sum.resident(Owner::OtherAllocator), Bytes(0x2000));
        assert_eq!(sum.unexplained, Bytes(0));
        assert!(problems.is_empty());
    }

    #[test]
    fn owners_and_residual_add_up_whatever_the_sources_say() {
        for stated in [0, 0x1000, 0x3000, 0x8000] {
            let mut claims = Partition::default();
            claims.claim(Layer::Chunk, range(0x1800, 0x2800), Owner::MallocNative);
            claims.claim(Layer::Chunk, range(0x2000, 0x3000), Owner::MallocFree);
            let mut problems = Problems::default();
            let mut maps = [mapping(stated)];
            let sum = claims.settle(&mut maps, &anon(0x1000, 0x4000), &mut problems);
            let owners: Bytes = sum.owners().map(|o| o.resident).sum();
            assert_eq!(owners + sum.unexplained, sum.rss);
            assert_eq!(sum.rss, Bytes(stated));
            assert_eq!(problems.count(ProblemKind::OwnersConflict), 1);
        }
    }

    #[test]
    fn a_zero_page_is_nobodys() {
        let pages =
            Residency::new([PageRun { range: range(0x1000, 0x2000), state: PageState::Zero }]);
        let mut maps = [mapping(0)];
        let sum = Partition::default().settle(&mut maps, &pages, &mut Problems::default());
        assert_eq!(sum.rss, Bytes(0));
    }
}
