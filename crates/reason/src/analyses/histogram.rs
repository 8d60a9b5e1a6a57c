//! Of which types are the objects, and how much does each take?

use super::Analysis;
use crate::Ask;
use memwhy_model::{Bytes, HeapGraph};
use std::collections::HashMap;

/// See the [module](self).
#[derive(Debug)]
pub struct Histogram;

/// What a histogram is sorted by and what its shares are shares of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Number of objects.
    Count,
    /// Shallow size, as `sys.getsizeof` states it.
    Bytes,
    /// What the objects take in memory, with the buffers they hold directly.
    #[default]
    Footprint,
}

/// All types; those of one name are one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Types {
    /// Number of objects.
    pub objects: u64,
    /// Their shallow sizes.
    pub bytes: Bytes,
    /// What they take in memory.
    pub footprint: Bytes,
    /// One row per name, in no order that matters.
    rows: Vec<TypeShare>,
}

/// The types of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypeShare {
    /// Module and name.
    pub name: String,
    /// How many type objects have this name: classes made again and again show here.
    pub types: u64,
    /// Number of objects.
    pub count: u64,
    /// Their shallow sizes.
    pub bytes: Bytes,
    /// What they take in memory.
    pub footprint: Bytes,
    /// Part of the whole, 0 to 1, of what the rows are sorted by.
    pub share: f64,
    /// The same, with all rows above.
    pub cumulative: f64,
}

impl TypeShare {
    fn key(&self, by: By) -> u64 {
        match by {
            By::Count => self.count,
            By::Bytes => self.bytes.0,
            By::Footprint => self.footprint.0,
        }
    }
}

impl Types {
    /// The rows, most first.
    #[must_use]
    pub fn by(&self, by: By) -> Vec<TypeShare> {
        let mut rows = self.rows.clone();
        rows.sort_by(|a, b| b.key(by).cmp(&a.key(by)).then_with(|| a.name.cmp(&b.name)));
        let whole = Bytes(rows.iter().fold(0u64, |sum, row| sum.saturating_add(row.key(by))));
        let mut so_far = Bytes(0);
        for row in &mut rows {
            so_far += Bytes(row.key(by));
            row.share = Bytes(row.key(by)).share_of(whole);
            row.cumulative = so_far.share_of(whole);
        }
        rows
    }

    /// The rows, in no order that matters; shares are not filled in.
    pub(super) fn rows(&self) -> &[TypeShare] {
        &self.rows
    }

    fn of(heap: &HeapGraph) -> Self {
        let mut named: HashMap<&str, TypeShare> = HashMap::new();
        for ty in heap.types().iter().filter(|ty| ty.count > 0) {
            let row = named.entry(&ty.name).or_default();
            row.types += 1;
            row.count += ty.count;
            row.bytes += ty.bytes;
            row.footprint += ty.footprint;
        }
        let mut types = Self::default();
        for (name, mut row) in named {
            name.clone_into(&mut row.name);
            types.objects += row.count;
            types.bytes += row.bytes;
            types.footprint += row.footprint;
            types.rows.push(row);
        }
        types
    }
}

impl Analysis for Histogram {
    /// Empty where there is no heap.
    type Answer = Types;
    const NAME: &'static str = "histogram";

    fn compute(ask: &Ask<'_>) -> Types {
        ask.heap.as_ref().map(Types::of).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{By, Histogram};
    use crate::Ask;
    use memwhy_model::{Addr, Bytes, Case, Flags, HeapBuilder, ObjectId, TypeId, TypeRow};

    fn case() -> Case {
        let mut heap = HeapBuilder::default();
        for (n, ty) in [0, 0, 0, 1, 2].into_iter().enumerate() {
            heap.push(Addr(n as u64 * 64), TypeId(ty), 64, Flags::default());
        }
        heap.seal_objects();
        heap.set_size(ObjectId(3), 64, 56, 1000);
        let named = |name: &str| TypeRow { name: name.into(), ..TypeRow::default() };
        let graph = heap.finish(vec![named("app.A"), named("builtins.dict"), named("app.A")]);
        Case { heap: Some(graph), ..Case::default() }
    }

    #[test]
    fn types_of_one_name_are_one_row() {
        let case = case();
        let rows = Ask::new(&case).get::<Histogram>().by(By::Count);
        assert_eq!((rows[0].name.as_str(), rows[0].count, rows[0].types), ("app.A", 4, 2));
        assert!((rows[0].share - 0.8).abs() < 1e-9);
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        let case = case();
        let rows = Ask::new(&case).get::<Histogram>().by(By::Footprint);
        assert_eq!((rows[0].name.as_str(), rows[0].footprint), ("builtins.dict", Bytes(1064)));
        assert!((rows.last().expect("two rows").cumulative - 1.0).abs() < 1e-9);
    }
}
