//! Rule: many strings that say the same and are not the same object.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::{count, digits};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct DuplicateStrings;

impl Rule for DuplicateStrings {
    fn id(&self) -> &'static str {
        "duplicate-strings"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        known(scene).into_iter().collect()
    }
}

fn known(scene: &Scene<'_>) -> Option<Known> {
    let copies = &scene.ask.case().closeups.copies;
    let (first, times, _) = *copies.examples.first()?;
    if !scene.much(copies.wasted) {
        return None;
    }
    let way = scene.way(first);
    let holder_of = way.iter().rev().skip(1).copied().find(|id| scene.is_container(*id));
    let users = holder_of.and_then(|id| scene.name_of(id)).map(|name| scene.users(name));
    let place = users.and_then(|users| users.first().copied());
    let mut holder = scene.holder(holder_of.unwrap_or(first), place);
    (holder.bytes, holder.objects) = (copies.wasted, copies.strings);
    let text = scene.preview(first, 50).unwrap_or_else(|| "a text".into());
    let at = place.map_or_else(String::new, |place| format!(", used by {}", called(&place)));
    let path = holder.path.clone().unwrap_or_default();
    Some(Known {
        rule: "duplicate-strings",
        sentence: format!(
            "copies of strings take {}: {text} is there {} times ({path}{at}), of {}",
            copies.wasted,
            digits(times),
            count(copies.strings, "string")
        ),
        cure: format!("keep one of each: sys.intern(text), or a dict of known texts, for {path}"),
        holder,
    })
}
