//! Rule: a session of an object-relational mapper that remembers every row it ever loaded.

use super::scene::{Scene, in_brackets};
use super::{Known, Rule};
use crate::wording::{count, short_type};
use memwhy_model::ObjectId;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct OrmSession;

impl Rule for OrmSession {
    fn id(&self) -> &'static str {
        "orm-session"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let sessions = scene.heavy().iter().copied().filter(|id| {
            let kind = scene.kind(*id);
            kind.ends_with("Session") && !scene.is_class(*id)
        });
        sessions.filter_map(|session| known(scene, session)).collect()
    }
}

fn known(scene: &Scene<'_>, session: ObjectId) -> Option<Known> {
    // The part that keeps most: the identity map, or what waits to be written.
    let attributes = scene.references(session).iter().copied();
    let dict = scene.first_of(session, &["dict"]);
    let inner = dict.into_iter().flat_map(|dict| scene.references(dict).iter().copied());
    // Where attributes are values of their own, the dict among them is the map itself.
    let own = dict.filter(|dict| scene.is_dict_of(session, *dict));
    let inner = inner.filter(|_| own.is_some());
    let map = attributes
        .chain(inner)
        .filter(|id| Some(*id) != own && !scene.is_class(*id))
        .max_by_key(|id| scene.retained(*id))?;
    let map = if scene.is_container(map) {
        map
    } else {
        // SQLAlchemy's WeakInstanceDict has the dict inside.
        let inside = scene.references(map).iter().copied().filter(|id| scene.is_container(*id));
        inside.max_by_key(|id| scene.retained(*id))?
    };
    let place = scene.origin(session);
    let holder = scene.holder(session, place);
    let path = scene.path(map);
    Some(Known {
        rule: "orm-session",
        sentence: format!(
            "a {}{} remembers {} in {path}: {}",
            short_type(scene.kind(session)),
            in_brackets(place.as_ref()),
            count(scene.len(map), "object"),
            holder.bytes
        ),
        cure:
            "let a session live as long as one request: close() or expunge_all() it, and load in \
               chunks (yield_per)"
                .into(),
        holder,
    })
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;

    fn known(kib: u64) -> Option<Known> {
        let mut stage = Stage::default();
        stage.class("orm.Session", 50);
        let rows = stage.objects(100, "app.User", kib);
        let keys = stage.objects(100, "builtins.tuple", 0);
        let entries: Vec<_> = keys.into_iter().zip(rows).collect();
        let map = stage.dict(&entries);
        let session = stage.object("orm.Session", 0, &[map]);
        stage.name("SESSION", session);
        stage.known("orm-session")
    }

    #[test]
    fn a_session_that_remembers_everything_is_named() {
        let known = known(80).expect("it remembers much");
        assert!(known.sentence.starts_with("a orm.Session (app.py:50) remembers 100 objects"));
    }

    #[test]
    fn a_session_of_one_request_is_none() {
        assert_eq!(known(10), None);
    }
}
