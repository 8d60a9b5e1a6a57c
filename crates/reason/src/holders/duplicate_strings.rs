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
    let users = holder_of.map(|id| scene.users_by_name(id));
    let place = users.and_then(|users| users.first().copied());
    let mut holder = scene.holder(holder_of.unwrap_or(first), place);
    (holder.bytes, holder.objects) = (copies.wasted, copies.strings);
    let text = scene.preview(first).unwrap_or_else(|| "a text".into());
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

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::{Bytes, closeups::Copies};

    /// Copies that waste so many MiB, beside 8 MiB of other data.
    fn known(mib: u64) -> Option<Known> {
        let mut stage = Stage::default();
        stage.function("parse", 3, &["ROWS"]);
        let text = stage.word("Berlin");
        let other = stage.object("builtins.bytearray", 8 << 10, &[]);
        let rows = stage.object("builtins.list", 0, &[text, other]);
        stage.name("ROWS", rows);
        let wasted = Bytes::mib(mib);
        let examples = vec![(text, 1000, wasted)];
        stage.case.closeups.copies = Copies { strings: 2000, wasted, examples };
        stage.known("duplicate-strings")
    }

    #[test]
    fn copies_are_named_with_one_of_them_and_who_uses_it() {
        let known = known(6).expect("much is wasted");
        assert!(known.sentence.contains("'Berlin' is there 1,000 times"), "{known:?}");
        assert!(known.sentence.contains("used by parse() (app.py:3)"), "{known:?}");
    }

    #[test]
    fn copies_that_waste_little_are_not_told() {
        assert_eq!(known(1), None);
    }
}
