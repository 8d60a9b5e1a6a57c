//! Rule: functions registered to run at exit, again and again, with what they shall be called with.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::{ObjectId, RootKind};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct AtExit;

impl Rule for AtExit {
    fn id(&self) -> &'static str {
        "atexit"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        known(scene).into_iter().collect()
    }
}

/// The list of 2.7 is a member of the module, that of 3.14 the interpreter's state refers to: of
/// tuples that begin with a function.
fn is_registry(scene: &Scene<'_>, list: ObjectId) -> bool {
    let path = scene.path(list);
    let begins = |tuple: &ObjectId| {
        let first = scene.references(*tuple).first().map(|first| scene.kind(*first));
        let calls = ["function", "method", "builtin_function_or_method", "functools.partial"];
        scene.kind(*tuple) == "tuple" && first.is_some_and(|first| calls.contains(&first))
    };
    let of_state = path.contains("interpreter's state") && !path.contains('[');
    path.contains("'atexit'") || (of_state && scene.members(list).iter().all(begins))
}

/// What is registered: roots of the interpreter, or what is in its list.
fn known(scene: &Scene<'_>) -> Option<Known> {
    let roots = scene.heap.roots().iter();
    let registered =
        roots.filter(|root| root.kind != RootKind::Name && root.name.contains("atexit"));
    let mut objects: Vec<ObjectId> = registered.map(|root| root.object).collect();
    let lists = scene.heavy_of(&["list"]).filter(|list| is_registry(scene, *list));
    objects.extend(lists.flat_map(|list| scene.references(list).iter().copied()));
    let inside = |id: &ObjectId| {
        let own = [*id];
        let items = if scene.is_container(*id) { scene.members(*id) } else { Vec::new() };
        own.into_iter().chain(items).collect::<Vec<_>>()
    };
    // One function may be registered many times.
    let functions: Vec<ObjectId> = objects
        .iter()
        .flat_map(inside)
        .filter(|id| ["function", "method", "functools.partial"].contains(&scene.kind(*id)))
        .collect();
    objects.sort_unstable();
    objects.dedup();
    let bytes = scene.retained_by(&objects);
    if objects.is_empty() || !scene.much(bytes) {
        return None;
    }
    let place = scene.common_origin(functions.iter().copied(), |_| 1);
    let of = place.map_or_else(|| "functions".into(), |place| called(&place));
    let biggest = objects.iter().copied().max_by_key(|id| scene.retained(*id))?;
    let mut holder = scene.holder(biggest, place);
    holder.path = Some("atexit".into());
    (holder.bytes, holder.objects) = (bytes, objects.len() as u64);
    Some(Known {
        rule: "atexit",
        sentence: format!(
            "atexit keeps {} of {of} and what they will be called with: {bytes}",
            count(functions.len() as u64, "registration"),
        ),
        cure: format!("register {of} once, and atexit.unregister() what is done"),
        holder,
    })
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::RootKind;

    /// A bound method of an object of so many KiB, registered.
    fn known(kib: u64) -> Option<Known> {
        let mut stage = Stage::default();
        let function = stage.function("close", 7, &[]);
        let client = stage.object("app.Client", kib, &[]);
        let method = stage.object("builtins.method", 0, &[function, client]);
        stage.root(RootKind::Interpreter, "atexit callback 0, its function", method);
        stage.known("atexit")
    }

    #[test]
    fn what_waits_for_the_exit_is_named_with_its_function() {
        let known = known(8 << 10).expect("much is kept");
        assert!(known.sentence.contains("1 registration of close() (app.py:7)"), "{known:?}");
    }

    #[test]
    fn a_small_object_may_wait_for_the_exit() {
        assert_eq!(known(1 << 10), None);
    }
}
