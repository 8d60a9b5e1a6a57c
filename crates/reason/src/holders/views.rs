//! Rule: small views of large memory: each keeps all of it.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::{Bytes, ObjectId};
use std::collections::BTreeSet;

/// What a view shows is so little of what it keeps.
const SHOWN: u64 = 8;
/// Views of views of views.
const DEEPEST: usize = 8;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Views;

impl Rule for Views {
    fn id(&self) -> &'static str {
        "views"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        known(scene).into_iter().collect()
    }
}

fn known(scene: &Scene<'_>) -> Option<Known> {
    let mut bases: BTreeSet<ObjectId> = BTreeSet::new();
    let (mut views, mut shown) = (Vec::new(), Bytes(0));
    for view in &scene.ask.case().closeups.views {
        let Some(base) = base_of(scene, view.object) else { continue };
        if scene.heap.footprint(base).0 / SHOWN > view.shown.0 {
            bases.insert(base);
            views.push(view.object);
            shown += view.shown;
        }
    }
    // Bases that something else keeps too are not the views' fault.
    bases.retain(|base| scene.is_kept_by_views(*base));
    let bytes: Bytes = bases.iter().map(|base| scene.heap.footprint(*base)).sum();
    if !scene.much(bytes) {
        return None;
    }
    let first = *views.first()?;
    let way = scene.way(first);
    let container = way.iter().rev().skip(1).copied().find(|id| scene.is_container(*id));
    let users = container.map(|id| scene.users_by_name(id));
    let place = users.and_then(|users| users.first().copied());
    let mut holder = scene.holder(container.unwrap_or(first), place);
    (holder.bytes, holder.objects) = (bytes, views.len() as u64);
    let by = place.map_or_else(String::new, |place| format!("; {} uses it", called(&place)));
    let path = holder.path.clone().unwrap_or_default();
    let kind = scene.kind(first);
    Some(Known {
        rule: "views",
        sentence: format!(
            "{} in {path} show {shown} and keep {bytes} of {}{by}",
            count(views.len() as u64, kind),
            count(bases.len() as u64, "base"),
        ),
        cure: format!("copy what is kept (.copy(), bytes(view)) before it goes into {path}"),
        holder,
    })
}

/// The object whose memory a view shows in the end.
fn base_of(scene: &Scene<'_>, view: ObjectId) -> Option<ObjectId> {
    let mut at = view;
    for _ in 0..DEEPEST {
        let next = scene.references(at).iter().copied().find(|to| {
            matches!(
                scene.kind(*to),
                "memoryview"
                    | "managedbuffer"
                    | "numpy.ndarray"
                    | "bytes"
                    | "bytearray"
                    | "str"
                    | "array.array"
                    | "mmap.mmap"
            )
        });
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    (at != view).then_some(at)
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::{Bytes, closeups::View};

    /// A view of 8 MiB that shows so much of it.
    fn known(shown: Bytes) -> Option<Known> {
        let mut stage = Stage::default();
        stage.function("head", 6, &["HEADS"]);
        let base = stage.object("builtins.bytes", 8 << 10, &[]);
        let buffer = stage.object("builtins.managedbuffer", 0, &[base]);
        let view = stage.object("builtins.memoryview", 0, &[buffer]);
        let heads = stage.object("builtins.list", 0, &[view]);
        stage.name("HEADS", heads);
        stage.case.closeups.views = vec![View { object: view, shown }];
        stage.known("views")
    }

    #[test]
    fn a_small_view_of_much_is_named_with_who_uses_it() {
        let known = known(Bytes(100)).expect("8 MiB for 100 bytes");
        assert!(
            known.sentence.contains("HEADS show 100 B and keep 8.0 MiB of 1 base"),
            "{known:?}"
        );
        assert_eq!(known.holder.line, Some(6));
    }

    #[test]
    fn a_view_of_all_is_none() {
        assert_eq!(known(Bytes::mib(8)), None);
    }
}
