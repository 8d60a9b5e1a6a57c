//! Rule: a container that lives as long as the program, and grows.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::{ObjectId, RootKind};

/// A part with so much of the whole is where to look.
const NEARLY_ALL: f64 = 0.7;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Container;

impl Rule for Container {
    fn id(&self) -> &'static str {
        "container"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let containers = scene.heavy().iter().copied().filter(|id| {
            scene.is_container(*id) && !scene.is_namespace(*id) && scene.piles_up(*id, NEARLY_ALL)
        });
        containers.filter_map(|container| known(scene, container)).take(3).collect()
    }
}

fn known(scene: &Scene<'_>, container: ObjectId) -> Option<Known> {
    let way = scene.way(container);
    let root = scene.root_of(*way.first()?)?;
    // What a running function works on ends with it.
    if !matches!(
        root,
        RootKind::Modules | RootKind::Interpreter | RootKind::Name | RootKind::CGlobal
    ) {
        return None;
    }
    let users = scene.name_of(container).map(|name| scene.users(name)).unwrap_or_default();
    let place = users.iter().find(|place| !scene.is_library(place)).copied();
    let holder = scene.holder(container, place);
    let path = scene.path(container);
    let by = place.map_or_else(String::new, |place| format!("; {} uses it", called(&place)));
    Some(Known {
        rule: "container",
        sentence: format!(
            "{path}, a {} of {}, keeps {}{by}",
            scene.kind(container),
            count(scene.len(container), "entry").replace("entrys", "entries"),
            holder.bytes
        ),
        cure: format!("bound {path}, or let its entries go when they are done with"),
        holder,
    })
}
