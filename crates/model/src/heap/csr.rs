//! Which objects does each object refer to, in four bytes a reference?

use super::ObjectId;
use std::ops::Range;

/// Compressed rows: the references of object `n` are `targets[offsets[n]..offsets[n + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Csr {
    offsets: Vec<u32>,
    targets: Vec<ObjectId>,
}

impl Csr {
    /// Appends the row of the next object. References beyond 2^32 in all are dropped, and `false`
    /// says so: a heap of that many references is beyond what one machine word indexes here.
    pub fn push_row(&mut self, targets: impl IntoIterator<Item = ObjectId>) -> bool {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.targets.extend(targets);
        let fits = u32::try_from(self.targets.len());
        self.targets.truncate(u32::MAX as usize);
        self.offsets.push(fits.unwrap_or(u32::MAX));
        fits.is_ok()
    }

    /// Where the references of one object are among all; nowhere for an id that has no row.
    #[must_use]
    pub fn range(&self, id: ObjectId) -> Range<usize> {
        let n = id.0 as usize;
        match (self.offsets.get(n), self.offsets.get(n + 1)) {
            (Some(&start), Some(&end)) => start as usize..end as usize,
            _ => 0..0,
        }
    }

    /// The references of one object; none for an id that has no row.
    #[must_use]
    pub fn row(&self, id: ObjectId) -> &[ObjectId] {
        self.targets.get(self.range(id)).unwrap_or_default()
    }

    /// Number of references.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Gives back what growing left over.
    pub fn shrink(&mut self) {
        self.offsets.shrink_to_fit();
        self.targets.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::{Csr, ObjectId};

    #[test]
    fn rows_come_back_as_they_were_pushed() {
        let mut graph = Csr::default();
        assert!(graph.push_row([ObjectId(2), ObjectId(1)]));
        assert!(graph.push_row([]));
        assert!(graph.push_row([ObjectId(0)]));
        assert_eq!(graph.row(ObjectId(0)), [ObjectId(2), ObjectId(1)]);
        assert_eq!(graph.row(ObjectId(1)), []);
        assert_eq!(graph.row(ObjectId(2)), [ObjectId(0)]);
        assert_eq!(graph.row(ObjectId(3)), []);
    }
}
