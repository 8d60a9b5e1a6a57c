//! Rule: callbacks that are registered and never taken back, with all that they have captured.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::ObjectId;

/// So many fifths of the members are callbacks.
const MOSTLY: usize = 4;
/// Fewer of them are a program's own.
const MANY: u64 = 100;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Callbacks;

impl Rule for Callbacks {
    fn id(&self) -> &'static str {
        "callbacks"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let containers = scene.heavy().iter().copied().filter(|id| scene.is_container(*id));
        containers.filter_map(|container| known(scene, container)).collect()
    }
}

fn known(scene: &Scene<'_>, container: ObjectId) -> Option<Known> {
    let members = scene.members(container);
    let callbacks: Vec<ObjectId> = members
        .iter()
        .copied()
        .filter(|id| {
            let kind = scene.kind(*id);
            ["function", "method", "instancemethod", "functools.partial"].contains(&kind)
        })
        .collect();
    let mostly = callbacks.len() * 5 >= members.len() * MOSTLY;
    if members.is_empty() || !mostly || scene.len(container) < MANY {
        return None;
    }
    let place = scene.common_origin(callbacks, |_| 1);
    let holder = scene.holder(container, place);
    let path = scene.path(container);
    let of = place.map_or_else(|| "functions".into(), |place| called(&place));
    Some(Known {
        rule: "callbacks",
        sentence: format!(
            "{path} keeps {}, most of them {of}, and what they have captured: {}",
            count(scene.len(container), "callback"),
            holder.bytes
        ),
        cure: format!(
            "take callbacks out of {path} again, or hold them weakly (weakref.WeakMethod)"
        ),
        holder,
    })
}
