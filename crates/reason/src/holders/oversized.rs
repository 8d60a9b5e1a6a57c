//! Rule: a dict, set or list that once was large and has kept its room.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::{Bytes, ObjectId};

/// What an entry takes: two pointers and a hash, with a third of the room to spare; one pointer.
const DICT_ENTRY: u64 = 40;
const ITEM: u64 = 8;
/// A table with less than that in use is nearly empty.
const IN_USE: u64 = 8;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Oversized;

impl Rule for Oversized {
    fn id(&self) -> &'static str {
        "oversized"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let containers = scene.heavy().iter().copied().filter(|id| scene.is_container(*id));
        containers.filter_map(|container| known(scene, container)).collect()
    }
}

fn known(scene: &Scene<'_>, container: ObjectId) -> Option<Known> {
    let each = if ["list", "tuple", "collections.deque"].contains(&scene.kind(container)) {
        ITEM
    } else {
        DICT_ENTRY
    };
    let (takes, needs) = (scene.heap.footprint(container), scene.len(container) * each);
    let spare = takes.minus(Bytes(needs));
    if takes.0 / IN_USE < needs || !scene.much(spare) {
        return None;
    }
    let users = scene.users_by_name(container);
    let place = users.first().copied();
    let mut holder = scene.holder(container, place);
    holder.bytes = spare;
    let path = scene.path(container);
    let by = place.map_or_else(String::new, |place| format!("; {} uses it", called(&place)));
    Some(Known {
        rule: "oversized",
        sentence: format!(
            "{path}, a {}, has {} and room for many more: {takes}{by}",
            scene.kind(container),
            count(scene.len(container), "entry").replace("entrys", "entries"),
        ),
        cure: format!("make {path} anew when it has been emptied: it never gives its room back"),
        holder,
    })
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;

    /// A dict of 6 MiB that has so many entries.
    fn known(entries: usize) -> Option<Known> {
        let mut stage = Stage::default();
        stage.function("forget", 8, &["SEEN"]);
        let key = stage.word("x");
        let to = vec![key; entries * 2];
        let seen = stage.object("builtins.dict", 6 << 10, &to);
        stage.name("SEEN", seen);
        stage.known("oversized")
    }

    #[test]
    fn room_that_nobody_needs_any_more_is_named() {
        let known = known(2).expect("it is nearly empty");
        assert!(known.sentence.contains("SEEN, a dict, has 2 entries and room for many more"));
        assert_eq!(known.holder.line, Some(8));
    }

    #[test]
    fn a_dict_that_is_full_is_none() {
        assert_eq!(known(100_000), None);
    }
}
