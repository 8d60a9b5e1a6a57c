//! Which holder leads to each chunk?
//!
//! From what is certain to what is a guess. Objects of types and variables of libraries are known to
//! lead to memory of C; stacks, unmanaged memory, memory of the interpreter and data (a number may
//! look like an address) come after, for what is left.
//!
//! Among types and libraries nobody comes first: every chunk has the set of all that lead to it, so
//! that one alone is said to keep a chunk if there is no other way to it, which is to say that it
//! dominates the chunk. [`super::regions`] says whose the others are.

use super::contents::Contents;
use super::sets::{SetId, Sets};
use super::{Rank, Root, regions};

/// What is known of each chunk.
#[derive(Debug)]
pub(super) struct Marks {
    rank: Vec<Option<Rank>>,
    set: Vec<SetId>,
    /// Whether the holder has the address itself.
    direct: Vec<bool>,
}

/// Whether what has that rank is known to lead to memory of C.
pub(super) const fn is_known(rank: Rank) -> bool {
    matches!(rank, Rank::Type | Rank::Library)
}

/// What is known is marked alike.
const fn tier(rank: Rank) -> Rank {
    if is_known(rank) { Rank::Type } else { rank }
}

/// Those in one row begin together.
const ORDER: [&[Rank]; 5] = [
    &[Rank::Type, Rank::Library],
    &[Rank::Threads],
    &[Rank::Memory],
    &[Rank::Interpreter],
    &[Rank::Data],
];

impl Marks {
    /// Follows `roots` through `contents`. `open` says of a chunk that it is in use and that nobody
    /// said whose it is.
    pub(super) fn of(
        chunks: usize,
        roots: &[Root],
        contents: &Contents,
        sets: &mut Sets,
        open: impl Fn(u32) -> bool,
        size: impl Fn(u32) -> u64,
    ) -> Self {
        let mut marks = Self {
            rank: vec![None; chunks],
            set: vec![SetId::EMPTY; chunks],
            direct: vec![false; chunks],
        };
        let mut queue: Vec<u32> = Vec::new();
        for together in ORDER {
            queue.clear();
            for rank in together {
                for root in roots.iter().filter(|root| root.rank == *rank && open(root.target)) {
                    if marks.give(root.target, tier(*rank)) {
                        marks.is_direct(root.target);
                        queue.push(root.target);
                    }
                }
            }
            let mut next = 0;
            while let Some(chunk) = queue.get(next).copied() {
                next += 1;
                let Some(rank) = marks.rank(chunk) else { continue };
                for target in contents.targets(chunk) {
                    if open(*target) && marks.give(*target, rank) {
                        queue.push(*target);
                    }
                }
            }
        }
        marks.join_sets(roots, contents, sets, queue);
        regions::settle(&mut marks, roots, contents, sets, size);
        marks
    }

    /// Lets every chunk know all holders of its rank that lead to it.
    fn join_sets(
        &mut self,
        roots: &[Root],
        contents: &Contents,
        sets: &mut Sets,
        mut todo: Vec<u32>,
    ) {
        todo.clear();
        for root in roots {
            if self.rank(root.target) != Some(tier(root.rank)) {
                continue;
            }
            let own = sets.of(root.holder);
            if self.join(root.target, own, sets) {
                todo.push(root.target);
            }
        }
        while let Some(chunk) = todo.pop() {
            let (rank, set) = (self.rank(chunk), self.set(chunk));
            for target in contents.targets(chunk) {
                if self.rank(*target) == rank && self.join(*target, set, sets) {
                    todo.push(*target);
                }
            }
        }
    }

    fn give(&mut self, chunk: u32, rank: Rank) -> bool {
        match self.rank.get_mut(chunk as usize) {
            Some(none @ None) => {
                *none = Some(rank);
                true
            }
            Some(Some(_)) | None => false,
        }
    }

    fn is_direct(&mut self, chunk: u32) {
        if let Some(direct) = self.direct.get_mut(chunk as usize) {
            *direct = true;
        }
    }

    fn join(&mut self, chunk: u32, more: SetId, sets: &mut Sets) -> bool {
        let Some(set) = self.set.get_mut(chunk as usize) else { return false };
        let union = sets.union(*set, more);
        let grown = union != *set;
        *set = union;
        grown
    }

    /// What leads to a chunk; nothing where nothing does.
    pub(super) fn rank(&self, chunk: u32) -> Option<Rank> {
        self.rank.get(chunk as usize).copied().flatten()
    }

    /// Which holders of that rank do.
    pub(super) fn set(&self, chunk: u32) -> SetId {
        self.set.get(chunk as usize).copied().unwrap_or_default()
    }

    pub(super) const fn len(&self) -> usize {
        self.rank.len()
    }

    /// Whether types or libraries lead to a chunk.
    pub(super) fn is_known(&self, chunk: u32) -> bool {
        self.rank(chunk).is_some_and(is_known)
    }

    /// The chunks that types or libraries lead to.
    pub(super) fn known(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.rank).filter(|(_, rank)| rank.is_some_and(is_known)).map(|(at, _)| at)
    }

    /// Says whose a shared chunk is.
    pub(super) fn settle(&mut self, chunk: u32, holders: SetId) {
        if let Some(set) = self.set.get_mut(chunk as usize) {
            *set = holders;
        }
    }

    /// Whether one of them has the address of the chunk itself.
    pub(super) fn direct(&self, chunk: u32) -> bool {
        self.direct.get(chunk as usize).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::Marks;
    use crate::held::contents::Contents;
    use crate::held::sets::Sets;
    use crate::held::{Rank, Root};

    const TYPE: Rank = Rank::Type;

    type Told = Vec<(Option<Rank>, Vec<u32>, bool)>;

    fn marks(links: &[&[u32]], roots: &[(u32, u32, Rank)]) -> Told {
        // All of different sizes.
        sized(links, roots, &|chunk| 32 + 16 * u64::from(chunk))
    }

    fn sized(links: &[&[u32]], roots: &[(u32, u32, Rank)], size: &dyn Fn(u32) -> u64) -> Told {
        let roots: Vec<Root> = roots
            .iter()
            .map(|(target, holder, rank)| Root { target: *target, holder: *holder, rank: *rank })
            .collect();
        let contents = Contents::of_links(links);
        let mut sets = Sets::new();
        let marks = Marks::of(links.len(), &roots, &contents, &mut sets, |_| true, size);
        let told = |chunk: u32| {
            (marks.rank(chunk), sets.members(marks.set(chunk)).to_vec(), marks.direct(chunk))
        };
        (0..u32::try_from(links.len()).unwrap()).map(told).collect()
    }

    #[test]
    fn what_one_type_alone_leads_to_is_its_own_and_the_rest_is_both_types() {
        // 0 and 1 are known to types 7 and 8; both lead to 3, only one to 2; 4 and 5 are a lost
        // circle.
        let told = marks(&[&[2, 3], &[3], &[], &[], &[5], &[4]], &[(0, 7, TYPE), (1, 8, TYPE)]);
        assert_eq!(told[2], (Some(TYPE), vec![7], false));
        assert_eq!(told[3], (Some(TYPE), vec![7, 8], false));
        assert_eq!(told[0], (Some(TYPE), vec![7], true));
        assert_eq!((&told[4], &told[5]), (&(None, vec![], false), &(None, vec![], false)));
    }

    #[test]
    fn shared_memory_is_of_those_that_come_in_by_the_shortest_way_as_a_whole() {
        // A document: type 1 has its head 0, then a chain 1, 2, 3. Type 2 has 4, and a stale word in
        // 5 behind it leads into the middle of the chain, from where on both lead.
        let links: &[&[u32]] = &[&[1], &[2], &[1, 3], &[0], &[5], &[2]];
        let told = marks(links, &[(0, 1, TYPE), (4, 2, TYPE)]);
        assert!(told[..4].iter().all(|(_, holders, _)| *holders == [1]), "{told:?}");
        assert!(told[4..].iter().all(|(_, holders, _)| *holders == [2]), "{told:?}");
        // What a library has itself is its own, though objects lead there through a context.
        let links: &[&[u32]] = &[&[1], &[2], &[]];
        let told = marks(links, &[(0, 1, TYPE), (1, 9, Rank::Library)]);
        assert_eq!((&told[1].1, &told[2].1), (&vec![9], &vec![9]));
    }

    #[test]
    fn the_rest_of_a_list_is_whose_its_beginning_is() {
        // A variable of library 9 has the address of 2, in the middle of type 1's list.
        let links: &[&[u32]] = &[&[1], &[2], &[3], &[]];
        let told = sized(links, &[(0, 1, TYPE), (2, 9, Rank::Library)], &|_| 64);
        assert!(told.iter().all(|(_, holders, _)| *holders == [1]), "{told:?}");
    }

    #[test]
    fn a_guess_takes_only_what_is_left() {
        let told =
            marks(&[&[1], &[], &[]], &[(0, 0, Rank::Data), (1, 5, TYPE), (2, 0, Rank::Threads)]);
        assert_eq!(told[0].0, Some(Rank::Data));
        assert_eq!(told[1], (Some(TYPE), vec![5], true));
        assert_eq!(told[2].0, Some(Rank::Threads));
    }
}
