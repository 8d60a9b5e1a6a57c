//! What is there to know of one object?

use crate::analyses::reachability::{Held, Reachability};
use crate::analyses::{Referrers, RetainedSizes};
use crate::{Ask, Path, Paths};
use memwhy_model::{Addr, Bytes, Flags, Label, ObjectId, PreviewLength};

/// More references than that are not named one by one but as they are shown.
const MANY: usize = 20_000;

/// One object up close.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Closeup {
    /// The object.
    pub this: Related,
    /// Its reference count; `None` where it has none.
    pub reference_count: Option<u32>,
    /// Facts about it.
    pub flags: Flags,
    /// By what it is held.
    pub held: Held,
    /// How many objects would be freed with it, itself included.
    pub retained_objects: u64,
    /// The nearest object without which it would not be there.
    pub dominator: Option<Related>,
    /// A shortest way to it from a root.
    pub path: Option<Path>,
    /// What it refers to, in slot order; keys of dicts are in the labels of their values.
    pub references: Vec<Related>,
    /// How many references it has.
    pub reference_total: u64,
    /// What refers to it, the nearest to a root first.
    pub referrers: Vec<Related>,
    /// How many references to it there are.
    pub referrer_total: u64,
}

/// An object beside another one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Related {
    /// Where it is.
    pub addr: Addr,
    /// How one refers to the other.
    pub label: Option<Label>,
    /// Its type.
    pub type_name: String,
    /// Its shallow size.
    pub size: Bytes,
    /// What it takes in memory.
    pub footprint: Bytes,
    /// What would be freed with it.
    pub retained: Bytes,
    /// What its `repr()` begins with.
    pub preview: Option<String>,
}

/// Looks at `object`, and at no more than `top` of its neighbours on each side.
#[must_use]
pub fn closeup(ask: &Ask<'_>, object: ObjectId, top: usize) -> Closeup {
    let Some(heap) = &ask.case().heap else { return Closeup::default() };
    let (reached, kept) = (ask.get::<Reachability>(), ask.get::<RetainedSizes>());
    let referrers = ask.get::<Referrers>();
    let mut nearest: Vec<(usize, ObjectId)> = referrers
        .of(object)
        .iter()
        .take(MANY)
        .map(|from| (distance(&reached, *from), *from))
        .collect();
    nearest.sort_unstable();
    nearest.dedup();
    let referring = nearest.iter().take(top).map(|(_, from)| {
        let at = heap.references(*from).iter().position(|to| *to == object);
        let details = ask.case().details.as_ref();
        let label = at.and_then(|at| details?.label(heap, *from, at));
        related(ask, *from, label, PreviewLength::Short)
    });
    Closeup {
        this: related(ask, object, None, PreviewLength::Long),
        reference_count: heap.reference_count(object),
        flags: heap.flags(object),
        held: reached.held_by(object),
        retained_objects: kept.objects(object),
        dominator: kept
            .dominator(object)
            .map(|above| related(ask, above, None, PreviewLength::Short)),
        path: Paths::new(ask).to(object),
        references: references(ask, object, top),
        reference_total: heap.references(object).len() as u64,
        referrers: referring.collect(),
        referrer_total: referrers.of(object).len() as u64,
    }
}

/// Steps from a root; what nothing leads to is furthest away.
fn distance(reached: &crate::analyses::Reached, object: ObjectId) -> usize {
    match reached.way_to(object).len() {
        0 => usize::MAX,
        steps => steps,
    }
}

fn references(ask: &Ask<'_>, object: ObjectId, top: usize) -> Vec<Related> {
    let Some(heap) = &ask.case().heap else { return Vec::new() };
    let targets = heap.references(object);
    let details = ask.case().details.as_ref();
    let mut shown = Vec::new();
    let all = details.filter(|_| targets.len() <= MANY).map(|details| details.labels(heap, object));
    for (at, to) in targets.iter().enumerate() {
        if shown.len() >= top {
            break;
        }
        let label = match &all {
            Some(labels) => labels.get(at).cloned(),
            None => details.and_then(|details| details.label(heap, object, at)),
        };
        // A buffer may repeat what a field has: 3.12's values are found both ways.
        let repeats = matches!(label, Some(Label::Word(0)))
            && targets.iter().take(at).any(|known| known == to);
        if label != Some(Label::IsKey) && !repeats {
            shown.push(related(ask, *to, label, PreviewLength::Short));
        }
    }
    shown
}

/// An object as it is shown beside another one.
#[must_use]
pub fn related(
    ask: &Ask<'_>,
    object: ObjectId,
    label: Option<Label>,
    length: PreviewLength,
) -> Related {
    let Some(heap) = &ask.case().heap else { return Related::default() };
    let row = heap.type_row(heap.type_of(object));
    let details = ask.case().details.as_ref();
    Related {
        addr: heap.addr(object),
        label,
        type_name: row.map_or_else(|| "?".to_owned(), |row| row.name.clone()),
        size: heap.size(object),
        footprint: heap.footprint(object),
        retained: ask.get::<RetainedSizes>().bytes(object),
        preview: details.and_then(|details| details.preview(heap, object, length)),
    }
}
