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
    let users = scene.users_by_name(container);
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

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::RootKind;

    /// A dict of 100 values, held by the module, or by a call alone.
    fn known(by_a_call: bool) -> Option<Known> {
        let mut stage = Stage::default();
        stage.function("remember", 12, &["STORE"]);
        let values = stage.objects(100, "builtins.bytearray", 80);
        let entries: Vec<_> = (0..).zip(values).collect();
        let entries: Vec<_> =
            entries.into_iter().map(|(n, value)| (stage.word(&format!("k{n}")), value)).collect();
        let store = stage.dict(&entries);
        if by_a_call {
            stage.root(RootKind::Frame, "MainThread: remember() local 'store'", store);
        } else {
            stage.name("STORE", store);
        }
        stage.known("container")
    }

    #[test]
    fn a_container_of_a_module_is_named_with_who_uses_it() {
        let known = known(false).expect("it keeps all");
        assert!(known.sentence.contains("STORE, a dict of 100 entries"), "{known:?}");
        assert!(known.sentence.ends_with("remember() (app.py:12) uses it"), "{known:?}");
    }

    #[test]
    fn what_a_call_works_on_ends_with_it() {
        assert_eq!(known(true), None);
    }
}
