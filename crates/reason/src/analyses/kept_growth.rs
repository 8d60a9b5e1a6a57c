//! Of the places that alone keep much, which keep more than they did?
//!
//! The same comparison as that of names in [`super::Growth`], by retained sizes: what several names
//! lead to is in none of them, and what one keeps is counted once.

use super::growth::{HolderGrowth, compared};
use super::{Analysis, Keepers};
use crate::Ask;

/// See the [module](self).
#[derive(Debug)]
pub struct KeptGrowth;

impl Analysis for KeptGrowth {
    /// Most grown first; empty where there is no earlier case.
    type Answer = Vec<HolderGrowth>;
    const NAME: &'static str = "growth of what is kept";

    fn compute(ask: &Ask<'_>) -> Vec<HolderGrowth> {
        let Some(before) = ask.before() else { return Vec::new() };
        let (was, is) = (Ask::new(before).get::<Keepers>(), ask.get::<Keepers>());
        compared(&was, &is, is.iter().chain(was.iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::KeptGrowth;
    use crate::Ask;
    use memwhy_model::{Addr, Case, Flags, HeapBuilder, ObjectId, Root, RootKind, TypeId, TypeRow};

    /// A list under a name that keeps so many pairs, each with a buffer of 10 KB.
    fn case(pairs: u32) -> Case {
        let mut heap = HeapBuilder::default();
        for n in 0..=u64::from(pairs) * 2 {
            heap.push(Addr(0x1000 + n * 64), TypeId(u32::from(n > 0)), 64, Flags::default());
        }
        heap.seal_objects();
        heap.push_references((1..=pairs).map(ObjectId));
        for n in 1..=pairs {
            heap.push_references([ObjectId(pairs + n)]);
        }
        for n in 1..=pairs {
            heap.push_references([]);
            heap.set_size(ObjectId(pairs + n), 64, 64, 10_000);
        }
        heap.roots([Root {
            kind: RootKind::Modules,
            name: "sys.modules['app'].LIST".into(),
            object: ObjectId(0),
            file: Some("app.py".into()),
            line: Some(3),
        }]);
        let types = ["builtins.list", "app.Pair"];
        let types = types.map(|name| TypeRow { name: name.into(), ..TypeRow::default() });
        Case { heap: Some(heap.finish(types.into())), ..Case::default() }
    }

    #[test]
    fn what_is_kept_alone_grows_by_what_was_added() {
        let (before, after) = (case(3), case(8));
        let grown = Ask::since(&before, &after).get::<KeptGrowth>();
        let first = grown.first().expect("the list");
        assert_eq!(first.holder.path.as_deref(), Some("sys.modules['app'].LIST"));
        assert_eq!((first.objects.growth(), first.bytes.growth()), (10, 5 * 10_128));
        assert!(Ask::since(&before, &before).get::<KeptGrowth>().is_empty());
        assert!(Ask::new(&after).get::<KeptGrowth>().is_empty());
    }
}
