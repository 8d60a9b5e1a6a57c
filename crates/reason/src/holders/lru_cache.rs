//! Rule: a cache made by `functools.lru_cache` that has no limit, or a large one.
//!
//! On a method each key begins with `self`, so that the cache keeps every instance it was called on.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::{count, digits};
use memwhy_model::ObjectId;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct LruCache;

impl Rule for LruCache {
    fn id(&self) -> &'static str {
        "lru-cache"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        scene
            .heavy_of(&["functools._lru_cache_wrapper"])
            .filter_map(|wrapper| known(scene, wrapper))
            .collect()
    }
}

fn known(scene: &Scene<'_>, wrapper: ObjectId) -> Option<Known> {
    let place = scene.origin(wrapper);
    let cache = scene.first_of(wrapper, &["dict"])?;
    let facts = scene.ask.case().closeups.caches.iter().find(|cache| cache.object == wrapper);
    let entries = scene.members(cache).len().max(usize::try_from(scene.len(cache)).unwrap_or(0));
    let on = place.map_or_else(|| "a function".to_owned(), |place| called(&place));
    let holds_self = keys_begin_with_owner(scene, wrapper, cache);
    let limit = match facts.map(|facts| facts.limit) {
        Some(None) => "maxsize=None".to_owned(),
        Some(Some(limit)) => format!("maxsize={}", digits(limit)),
        None => "its limit is not known".to_owned(),
    };
    let calls = facts.map_or_else(String::new, |facts| {
        format!(", {} and {}", count(facts.hits, "hit"), count_misses(facts.misses))
    });
    let with = if holds_self { ", each with the self it was called on" } else { "" };
    let holder = scene.holder(wrapper, place);
    let sentence = format!(
        "lru_cache on {on} keeps {}{with}: {} ({limit}{calls})",
        count(entries as u64, "result"),
        holder.bytes
    );
    let cure = if holds_self {
        format!("cache per instance (functools.cached_property) instead of lru_cache on {on}")
    } else {
        format!("give the lru_cache on {on} a maxsize that its distinct arguments justify")
    };
    Some(Known { rule: "lru-cache", sentence, cure, holder })
}

fn count_misses(n: u64) -> String {
    if n == 1 { "1 miss".into() } else { format!("{} misses", digits(n)) }
}

/// Whether keys begin with an instance of the class that has the function.
fn keys_begin_with_owner(scene: &Scene<'_>, wrapper: ObjectId, cache: ObjectId) -> bool {
    let way = scene.way(wrapper);
    let in_class = way.iter().rev().skip(1).take(2).any(|id| scene.is_class(*id));
    let first = scene
        .keys(cache)
        .into_iter()
        .find_map(|key| scene.references(key).iter().copied().find(|to| scene.is_instance(*to)));
    in_class && first.is_some()
}
