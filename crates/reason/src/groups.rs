//! By what can the objects of a heap be told apart, and how much has each part?
//!
//! The classifiers of guppy (`bytype`, `bymodule`, `bysize`, `byrcs`) and those that a tree of
//! dominators adds. Every object is in exactly one group, so the groups add up to the heap.

mod keys;

use crate::Ask;
use crate::analyses::RetainedSizes;
use memwhy_model::{Bytes, HeapGraph, ObjectId};
use std::collections::HashMap;

/// In no group.
const NONE: u32 = u32::MAX;

/// By what objects are grouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupBy {
    /// The type.
    #[default]
    Type,
    /// The module that defines the type.
    Module,
    /// What one object takes.
    Size,
    /// The generation of the collector.
    Generation,
    /// The kinds of objects that refer to it.
    Referrer,
    /// The name that alone leads to it.
    Owner,
    /// The type of the object that alone keeps it.
    Dominator,
}

/// Which objects, and what of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// By what to group.
    pub by: GroupBy,
    /// Only objects of the type that is called so.
    pub of_type: Option<String>,
    /// Only what this name, type, module … has: a row of the grouping before.
    pub row: Option<(GroupBy, String)>,
    /// Whether retained sizes are wanted.
    pub retained: bool,
    /// Whether rows are what grew since an earlier moment.
    pub relative: bool,
}

impl Selection {
    /// Whether every object is selected.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.of_type.is_none() && self.row.is_none() && !self.relative
    }

    /// What is selected, in words.
    #[must_use]
    pub fn said(&self) -> String {
        let mut parts: Vec<String> =
            self.of_type.iter().map(|name| format!("type {name}")).collect();
        parts.extend(self.relative.then(|| "more than in the snapshot".to_owned()));
        parts.extend(self.row.iter().map(|(by, key)| format!("{} {key}", by.id())));
        parts.join(", ")
    }
}

impl GroupBy {
    /// The word that users write.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Module => "module",
            Self::Size => "size",
            Self::Generation => "generation",
            Self::Referrer => "referrer",
            Self::Owner => "owner",
            Self::Dominator => "dominator",
        }
    }
}

/// One group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// What its objects have in common.
    pub key: String,
    /// How many they are.
    pub objects: u64,
    /// Their shallow sizes.
    pub bytes: Bytes,
    /// What they take in memory.
    pub footprint: Bytes,
    /// What would be freed with them, at least.
    pub retained: Option<Bytes>,
    /// Part of the selection, 0 to 1, of what rows are sorted by.
    pub share: f64,
    /// The same, with all rows above.
    pub cumulative: f64,
    /// The largest of its objects.
    pub largest: Option<ObjectId>,
}

/// The column that rows are sorted by.
pub use crate::analyses::By;

/// The groups of a selection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Groups {
    /// Number of objects selected.
    pub objects: u64,
    /// Their shallow sizes.
    pub bytes: Bytes,
    /// What they take in memory.
    pub footprint: Bytes,
    /// The rows, most first.
    pub rows: Vec<Group>,
}

impl Groups {
    /// Groups what `selection` asks for, sorted `by`.
    ///
    /// # Errors
    /// If nothing is selected: a sentence for the user.
    pub fn of(ask: &Ask<'_>, selection: &Selection, by: By) -> Result<Self, String> {
        let heap = ask.case().heap.as_ref().ok_or("there is no Python heap")?;
        let selected = selected(ask, heap, selection)?;
        let (mut group_of, keys) = keys::of(ask, heap, selection.by);
        for (id, group) in heap.ids().zip(&mut group_of) {
            if !selected(id) {
                *group = NONE;
            }
        }
        let mut groups = Self::default();
        let mut rows: Vec<Group> =
            keys.into_iter().map(|key| Group { key, ..Group::default() }).collect();
        for (id, group) in heap.ids().zip(&group_of) {
            let Some(row) = rows.get_mut(*group as usize) else { continue };
            let (bytes, footprint) = (heap.size(id), heap.footprint(id));
            row.objects += 1;
            row.bytes += bytes;
            row.footprint += footprint;
            if row.largest.is_none_or(|largest| heap.footprint(largest) < footprint) {
                row.largest = Some(id);
            }
            groups.objects += 1;
            groups.bytes += bytes;
            groups.footprint += footprint;
        }
        if selection.retained {
            let group = |id: ObjectId| group_of.get(id.0 as usize).copied().filter(|g| *g != NONE);
            let kept = ask.get::<RetainedSizes>().of_groups(rows.len(), group);
            for (row, kept) in rows.iter_mut().zip(kept) {
                row.retained = Some(kept);
            }
        }
        rows.retain(|row| row.objects > 0);
        groups.sort(rows, by, selection);
        Ok(groups)
    }

    /// What is more than in `base`, which was grouped alike: rows that grew, by how much.
    #[must_use]
    pub fn grown_since(self, base: &Self, selection: &Selection, by: By) -> Self {
        let known: HashMap<&str, &Group> =
            base.rows.iter().map(|row| (row.key.as_str(), row)).collect();
        let rows = self.rows.into_iter().filter_map(|mut row| {
            if let Some(base) = known.get(row.key.as_str()) {
                row.objects = row.objects.saturating_sub(base.objects);
                row.bytes = row.bytes.minus(base.bytes);
                row.footprint = row.footprint.minus(base.footprint);
                row.retained = row.retained.map(|own| own.minus(base.retained.unwrap_or_default()));
            }
            (row.objects > 0 || row.footprint > Bytes(0)).then_some(row)
        });
        let rows: Vec<Group> = rows.collect();
        let mut grown = Self {
            objects: rows.iter().map(|row| row.objects).sum(),
            bytes: rows.iter().map(|row| row.bytes).sum(),
            footprint: rows.iter().map(|row| row.footprint).sum(),
            rows: Vec::new(),
        };
        grown.sort(rows, by, selection);
        grown
    }

    fn sort(&mut self, mut rows: Vec<Group>, by: By, selection: &Selection) {
        let weight = |row: &Group| match by {
            By::Count => row.objects,
            By::Bytes => row.bytes.0,
            By::Footprint => row.footprint.0,
        };
        // Where retained sizes were asked for they decide, but shares are of what adds up.
        let first = |row: &Group| match row.retained.filter(|_| selection.retained) {
            Some(retained) if by == By::Footprint => retained.0,
            Some(_) | None => weight(row),
        };
        rows.sort_by(|a, b| first(b).cmp(&first(a)).then_with(|| a.key.cmp(&b.key)));
        let whole = Bytes(rows.iter().map(weight).fold(0, u64::saturating_add));
        let mut so_far = Bytes(0);
        for row in &mut rows {
            so_far += Bytes(weight(row));
            row.share = Bytes(weight(row)).share_of(whole);
            row.cumulative = so_far.share_of(whole);
        }
        self.rows = rows;
    }
}

/// Tells which objects are selected.
fn selected<'a>(
    ask: &Ask<'_>,
    heap: &'a HeapGraph,
    selection: &Selection,
) -> Result<impl Fn(ObjectId) -> bool + use<'a>, String> {
    let types: Option<Vec<bool>> = selection.of_type.as_ref().map(|name| {
        let called = |ty: &memwhy_model::TypeRow| {
            ty.name == *name || crate::wording::short_type(&ty.name) == name
        };
        heap.types().iter().map(called).collect()
    });
    if let (Some(name), Some(types)) = (&selection.of_type, &types)
        && !types.contains(&true)
    {
        return Err(match crate::wording::similar(name, heap.types().iter().map(|ty| &*ty.name)) {
            Some(other) => format!("no type is called {name}; there is {other}"),
            None => format!("no type is called {name}"),
        });
    }
    let row = match &selection.row {
        None => None,
        Some((by, key)) => {
            let (groups, keys) = keys::of(ask, heap, *by);
            let at = keys.iter().position(|known| known == key);
            let at = at.ok_or_else(|| format!("no row of this grouping is called {key}"))?;
            Some((groups, u32::try_from(at).unwrap_or(NONE)))
        }
    };
    Ok(move |id: ObjectId| {
        let in_types = types
            .as_ref()
            .is_none_or(|types| types.get(heap.type_of(id).0 as usize).copied().unwrap_or(false));
        let in_row = row.as_ref().is_none_or(|(groups, at)| groups.get(id.0 as usize) == Some(at));
        in_types && in_row
    })
}
