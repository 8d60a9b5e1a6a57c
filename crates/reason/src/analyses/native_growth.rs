//! Which memory of C has grown between two moments, by size, content and holder?
//!
//! What both moments call by the same size, content and holder is one row; so rows add up to the
//! growth of all chunks that are no object's own.

use super::{Analysis, Change};
use crate::Ask;
use crate::wording::{content_name, count, holder_name};
use memwhy_model::{Bytes, Case, Content, Holding};
use std::collections::BTreeMap;

/// Growth of one kind of chunks that is worth a sentence.
pub const WORTH_SAYING: i64 = 1 << 20;
/// From this share of all growth on it is the one to look into.
const HALF: f64 = 0.5;

/// See the [module](self).
#[derive(Debug)]
pub struct NativeGrowth;

/// Chunks of one size, content and holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NativeRow {
    /// The least size of the class, 0 where several are added up.
    pub class: u64,
    /// The sizes that there were, from the smallest to the largest.
    pub sizes: (u64, u64),
    /// What they begin with.
    pub content: Content,
    /// Who has them; only kind and names say something here.
    pub holder: Holding,
    /// How many there are.
    pub chunks: Change,
    /// What they take.
    pub bytes: Change,
}

impl Analysis for NativeGrowth {
    /// Rows that changed, most growth first; none where there is no earlier moment.
    type Answer = Vec<NativeRow>;
    const NAME: &'static str = "growth of memory of C";

    fn compute(ask: &Ask<'_>) -> Self::Answer {
        let Some(before) = ask.before() else { return Vec::new() };
        let mut rows = BTreeMap::new();
        add(before, &mut rows, |change| &mut change.before);
        add(ask.case(), &mut rows, |change| &mut change.after);
        let mut rows: Vec<NativeRow> = rows.into_values().collect();
        rows.retain(|row| row.bytes.growth() != 0 || row.chunks.growth() != 0);
        rows.sort_by_key(|row| std::cmp::Reverse((row.bytes.growth(), row.chunks.growth())));
        rows
    }
}

type Key = (&'static str, Vec<String>, Content, u64);

fn add(case: &Case, rows: &mut BTreeMap<Key, NativeRow>, side: fn(&mut Change) -> &mut u64) {
    let Some(native) = &case.native_memory else { return };
    for group in &native.contents {
        let Some(holder) = native.holder_of(group) else { continue };
        let key = (holder.kind.id(), holder.names.clone(), group.content.clone(), group.class);
        let row = rows.entry(key).or_insert_with(|| NativeRow {
            class: group.class,
            sizes: group.sizes,
            content: group.content.clone(),
            holder: Holding {
                kind: holder.kind,
                names: holder.names.clone(),
                ..Holding::default()
            },
            ..NativeRow::default()
        });
        row.sizes = (row.sizes.0.min(group.sizes.0), row.sizes.1.max(group.sizes.1));
        *side(&mut row.chunks) += group.all.chunks;
        *side(&mut row.bytes) += group.all.bytes.0;
    }
}

/// The chunks that grew most, where memory of C is at least half of what RSS grew by.
#[must_use]
pub fn dominant(ask: &Ask<'_>) -> Option<NativeRow> {
    let before = ask.before()?.rss();
    let rows = ask.get::<NativeGrowth>();
    let grown: i64 = rows.iter().map(|row| row.bytes.growth().max(0)).sum();
    let grown = Bytes(u64::try_from(grown).unwrap_or(0));
    let most = rows.first().filter(|row| row.bytes.growth() >= WORTH_SAYING)?;
    (grown >= ask.rss().minus(before).part(HALF)).then(|| most.clone())
}

/// `memory of C grew by 80.0 MiB in 20,000 chunks of 4,112 B that …, kept by lxml.etree._Document`.
#[must_use]
pub fn said(row: &NativeRow) -> String {
    let chunks = u64::try_from(row.chunks.growth()).unwrap_or(0);
    let by = Bytes(row.bytes.growth().unsigned_abs());
    format!(
        "memory of C grew by {by} in {} of {} that {}, kept by {}",
        count(chunks, "chunk"),
        crate::wording::size_range(row.sizes),
        content_name(&row.content),
        holder_name(&row.holder)
    )
}

#[cfg(test)]
mod tests {
    use super::{NativeGrowth, dominant, said};
    use crate::Ask;
    use memwhy_model::{
        Bytes, Case, Content, ContentGroup, ContentKind, HolderKind, Holding, NativeMemory, Owner,
        Tally,
    };

    /// So many chunks of a document's nodes, and so many that nobody has.
    fn case(nodes: u64, lost: u64) -> Case {
        let holding = |kind, names: &[&str]| Holding {
            kind,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Holding::default()
        };
        let group = |holder, chunks, kind| ContentGroup {
            class: 112,
            sizes: (112, 112),
            content: Content { kind, ..Content::default() },
            holder,
            all: Tally { chunks, bytes: Bytes(chunks * 112) },
            ..ContentGroup::default()
        };
        // The order of rows is that of bytes, and so differs between moments.
        let mut holders =
            vec![holding(HolderKind::Type, &["xml.Document"]), holding(HolderKind::Nobody, &[])];
        let (mut of_nodes, mut of_lost) = (0, 1);
        if lost > nodes {
            holders.swap(0, 1);
            (of_nodes, of_lost) = (1, 0);
        }
        let contents = vec![
            group(of_nodes, nodes, ContentKind::Chunks),
            group(of_lost, lost, ContentKind::Zeroes),
        ];
        let native = NativeMemory { holders, contents, ..NativeMemory::default() };
        Case { native_memory: Some(native), ..Case::default() }
    }

    #[test]
    fn growth_has_an_owner_and_adds_up() {
        let (before, after) = (case(10, 5), case(1000, 2000));
        let ask = Ask::since(&before, &after);
        let rows = ask.get::<NativeGrowth>();
        let grown: Vec<(HolderKind, i64)> =
            rows.iter().map(|row| (row.holder.kind, row.chunks.growth())).collect();
        assert_eq!(grown, [(HolderKind::Nobody, 1995), (HolderKind::Type, 990)]);
        let told = said(&rows[1]);
        assert!(told.contains("108.3 KiB in 990 chunks of 112 B"), "{told}");
        assert!(told.ends_with("kept by xml.Document"), "{told}");
    }

    #[test]
    fn what_makes_up_half_of_all_growth_is_the_one_to_look_into() {
        let resident = |of: Case, mib| Case {
            accounting: of.accounting.with(Owner::MallocNative, Bytes::mib(mib)),
            ..of
        };
        let (before, after) = (resident(case(10, 5), 10), resident(case(50_000, 5), 16));
        let row = dominant(&Ask::since(&before, &after)).expect("5.3 of 6 MiB");
        assert_eq!(row.holder.names, ["xml.Document"]);
        let elsewhere = resident(case(50_000, 5), 60);
        assert_eq!(dominant(&Ask::since(&before, &elsewhere)), None);
    }

    #[test]
    fn nothing_grew_over_itself() {
        let case = case(10, 5);
        assert!(Ask::since(&case, &case).get::<NativeGrowth>().is_empty());
        assert!(Ask::new(&case).get::<NativeGrowth>().is_empty());
    }
}
