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
    let users = scene.name_of(container).map(|name| scene.users(name)).unwrap_or_default();
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
