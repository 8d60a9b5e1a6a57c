//! How is a way from object to object written, as a person would?
//!
//! `app.Request.response → app.Response.request → back`: attributes follow their object, and a dict
//! of attributes is left out.

use super::Origin;
use super::origin::kind;
use crate::Ask;
use crate::wording::short_type;
use memwhy_model::{HeapGraph, Label, ObjectId, SourcePlace};

/// Objects of a longer way that are written: its beginning and its end tell.
const WRITTEN: usize = 12;

/// The way around a cycle, each step with the reference that leads on; the last leads back.
#[must_use]
pub fn around(ask: &Ask<'_>, way: &[ObjectId]) -> String {
    let Some(heap) = &ask.heap else { return String::new() };
    let steps = steps(ask, heap, way);
    let mut written: Vec<String> =
        steps.iter().map(|(name, label)| format!("{name}{label}")).collect();
    if written.len() > WRITTEN {
        let left_out = written.len() - WRITTEN;
        written.splice(WRITTEN / 2..written.len() - WRITTEN / 2, [format!("… {left_out} more …")]);
    }
    written.push("back".into());
    written.join(" → ")
}

/// The reference that closes a cycle, `app.Response.request`, and the object that has it.
#[must_use]
pub fn closing(ask: &Ask<'_>, way: &[ObjectId]) -> Option<(String, ObjectId)> {
    let heap = ask.heap.as_ref()?;
    let (name, label) = steps(ask, heap, way).pop()?;
    // The dict that holds the attribute is its object's.
    let last = *way.last()?;
    let holder = match way.len().checked_sub(2).and_then(|at| way.get(at)) {
        Some(before) if kind(heap, last) == "dict" && !is_plain(heap, *before) => *before,
        _ => last,
    };
    Some((format!("{name}{label}"), holder))
}

/// Where in the source what closes a cycle is written, or the nearest before it that has a place.
#[must_use]
pub fn closing_place<'c>(ask: &Ask<'c>, way: &[ObjectId]) -> Option<SourcePlace<'c>> {
    let origin = ask.get::<Origin>();
    let holder = closing(ask, way).map(|(_, holder)| holder);
    let rest = way.iter().rev().copied();
    holder.into_iter().chain(rest).find_map(|object| origin.of(ask, object))
}

/// Whether an object has items rather than attributes.
fn is_plain(heap: &HeapGraph, id: ObjectId) -> bool {
    ["dict", "list", "tuple", "set", "frozenset", "cell"].contains(&kind(heap, id))
}

/// Each object on the way with the label of what leads to the next one, dicts of attributes merged
/// with what they belong to.
fn steps(ask: &Ask<'_>, heap: &HeapGraph, way: &[ObjectId]) -> Vec<(String, String)> {
    let next = way.iter().cycle().skip(1);
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut merged = false;
    for (from, to) in way.iter().zip(next) {
        let place = heap.references(*from).iter().position(|one| one == to);
        let details = ask.details.as_ref();
        let label = place.and_then(|place| details?.label(heap, *from, place));
        if let Some((_, before)) = steps.last_mut().filter(|_| merged) {
            *before = match &label {
                Some(Label::Key(key)) if is_name(key) => {
                    format!(".{}", key.trim_matches(['\'', '"']))
                }
                Some(label) => format!("{before}{label}"),
                None => format!("{before}[?]"),
            };
            merged = false;
            continue;
        }
        merged = matches!(&label, Some(Label::Field(name)) if name == "__dict__");
        let name = short_type(kind(heap, *from)).to_owned();
        steps.push((name, label.map_or_else(String::new, |label| label.to_string())));
    }
    steps
}

/// Whether a key is written as an attribute.
fn is_name(key: &str) -> bool {
    let name = key.trim_matches(['\'', '"']);
    name.len() + 2 == key.len()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}
