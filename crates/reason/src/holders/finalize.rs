//! Rule: `weakref.finalize` with a method of the very object: the registry keeps it alive for ever.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::ObjectId;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Finalize;

impl Rule for Finalize {
    fn id(&self) -> &'static str {
        "finalize"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        known(scene).into_iter().collect()
    }
}

fn known(scene: &Scene<'_>) -> Option<Known> {
    let entries = scene.all(|name| name.ends_with("finalize._Info"));
    let bytes = scene.retained_by(&entries);
    if entries.is_empty() || !scene.much(bytes) {
        return None;
    }
    let methods: Vec<ObjectId> = entries
        .iter()
        .flat_map(|entry| scene.references(*entry).iter().copied())
        .filter(|to| ["method", "function", "functools.partial"].contains(&scene.kind(*to)))
        .collect();
    let bound = methods.iter().filter(|id| scene.kind(**id) == "method").count();
    let place = scene.common_origin(methods.iter().copied(), |_| 1);
    let of = place.map_or_else(|| "a function".into(), |place| called(&place));
    let biggest = entries.iter().copied().max_by_key(|entry| scene.retained(*entry))?;
    let mut holder = scene.holder(biggest, place);
    holder.path = Some("weakref.finalize._registry".into());
    (holder.bytes, holder.objects) = (bytes, entries.len() as u64);
    let why = if bound * 2 > entries.len() {
        ", a bound method: it keeps the object whose end it waits for"
    } else {
        ""
    };
    Some(Known {
        rule: "finalize",
        sentence: format!(
            "weakref.finalize keeps {} of {of}{why}: {bytes}",
            count(entries.len() as u64, "call"),
        ),
        cure: format!(
            "give weakref.finalize a function that does not refer to the object, not {of}"
        ),
        holder,
    })
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;

    fn known(kib: u64) -> Option<Known> {
        let mut stage = Stage::default();
        let close = stage.function("Client.close", 40, &[]);
        let client = stage.object("app.Client", kib, &[]);
        let method = stage.object("builtins.method", 0, &[close, client]);
        let info = stage.object("weakref.finalize._Info", 0, &[method]);
        let registry = stage.object("builtins.list", 0, &[info]);
        stage.name("_registry", registry);
        stage.known("finalize")
    }

    #[test]
    fn a_method_of_the_object_itself_is_named() {
        let known = known(8 << 10).expect("the client is kept");
        assert!(known.sentence.contains("Client.close() (app.py:40), a bound method"), "{known:?}");
    }

    #[test]
    fn little_that_waits_for_its_end_is_no_finding() {
        assert_eq!(known(100), None);
    }
}
