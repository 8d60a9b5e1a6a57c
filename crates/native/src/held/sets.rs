//! Which holders lead to a chunk, as one small number?
//!
//! A set has a few members, or *many*. That keeps what is learnt about millions of chunks in four
//! bytes each, and lets it settle: a set grows at most so many times.

use rustc_hash::FxHashMap;

/// Members of a set; more are `MANY`.
const MOST: usize = 8;
/// Different sets; combinations beyond are `MANY`.
const MOST_SETS: usize = 1 << 16;

/// A set of holders, by its place in [`Sets`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SetId(pub(super) u32);

impl SetId {
    /// Nobody.
    pub(super) const EMPTY: Self = Self(0);
    /// More than are told apart.
    pub(super) const MANY: Self = Self(1);
}

/// Every set that occurs.
#[derive(Debug)]
pub(super) struct Sets {
    members: Vec<Vec<u32>>,
    known: FxHashMap<Vec<u32>, SetId>,
    unions: FxHashMap<(SetId, SetId), SetId>,
}

impl Sets {
    pub(super) fn new() -> Self {
        let members = vec![Vec::new(), Vec::new()];
        Self { members, known: FxHashMap::default(), unions: FxHashMap::default() }
    }

    /// The set of one.
    pub(super) fn of(&mut self, holder: u32) -> SetId {
        self.intern(vec![holder])
    }

    fn intern(&mut self, members: Vec<u32>) -> SetId {
        if members.len() > MOST {
            return SetId::MANY;
        }
        if let Some(known) = self.known.get(&members) {
            return *known;
        }
        if self.members.len() >= MOST_SETS {
            return SetId::MANY;
        }
        let id = SetId(u32::try_from(self.members.len()).unwrap_or(SetId::MANY.0));
        self.members.push(members.clone());
        self.known.insert(members, id);
        id
    }

    /// Both together.
    pub(super) fn union(&mut self, a: SetId, b: SetId) -> SetId {
        if a == b || b == SetId::EMPTY || a == SetId::MANY {
            return a;
        }
        if a == SetId::EMPTY || b == SetId::MANY {
            return b;
        }
        let key = (a.min(b), a.max(b));
        if let Some(known) = self.unions.get(&key) {
            return *known;
        }
        let mut members = self.members(a).to_vec();
        members.extend_from_slice(self.members(b));
        members.sort_unstable();
        members.dedup();
        let union = self.intern(members);
        self.unions.insert(key, union);
        union
    }

    /// The members, ascending; none of *many*.
    pub(super) fn members(&self, id: SetId) -> &[u32] {
        self.members.get(id.0 as usize).map(Vec::as_slice).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{SetId, Sets};

    #[test]
    fn unions_do_not_depend_on_their_order_and_end_at_many() {
        let mut sets = Sets::new();
        let one: Vec<SetId> = (0..10).map(|n| sets.of(n)).collect();
        let (ab, ba) = (sets.union(one[0], one[1]), sets.union(one[1], one[0]));
        assert_eq!(ab, ba);
        assert_eq!(sets.members(ab), [0, 1]);
        let all = one.iter().fold(SetId::EMPTY, |sum, next| sets.union(sum, *next));
        assert_eq!(all, SetId::MANY);
        assert_eq!(sets.union(all, ab), SetId::MANY);
        assert_eq!(sets.union(ab, ab), ab);
    }
}
