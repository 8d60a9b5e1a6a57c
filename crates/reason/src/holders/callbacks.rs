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

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::ObjectId;

    fn known(many: usize) -> Option<Known> {
        let mut stage = Stage::default();
        let code = stage.object("builtins.code", 0, &[]);
        stage.place(code, "on_done", 9);
        let captured = stage.objects(many, "builtins.bytearray", 64);
        let callbacks: Vec<ObjectId> = captured
            .into_iter()
            .map(|captured| {
                let cell = stage.object("builtins.cell", 0, &[captured]);
                stage.object("builtins.function", 0, &[code, cell])
            })
            .collect();
        let hooks = stage.object("builtins.list", 0, &callbacks);
        stage.name("HOOKS", hooks);
        stage.known("callbacks")
    }

    #[test]
    fn callbacks_that_pile_up_are_named_with_their_code() {
        let known = known(200).expect("they pile up");
        assert_eq!((known.holder.file.as_deref(), known.holder.line), (Some("app.py"), Some(9)));
        assert!(known.sentence.starts_with("sys.modules['app'].HOOKS keeps 200 callbacks"));
    }

    #[test]
    fn a_handful_of_callbacks_is_none() {
        assert_eq!(known(80), None);
    }
}
