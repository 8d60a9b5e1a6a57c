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

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::closeups::Cache;

    /// A cache of 100 results of so many KiB each, beside other data.
    fn known(kib: u64) -> Option<Known> {
        let mut stage = Stage::default();
        let function = stage.function("load", 11, &[]);
        let results = stage.objects(100, "builtins.bytearray", kib);
        let entries: Vec<_> = (0..).zip(results).collect();
        let entries: Vec<_> =
            entries.into_iter().map(|(n, result)| (stage.word(&format!("k{n}")), result)).collect();
        let cache = stage.dict(&entries);
        let wrapper = stage.object("functools._lru_cache_wrapper", 0, &[function, cache]);
        stage.name("load", wrapper);
        stage.case.closeups.caches =
            vec![Cache { object: wrapper, limit: None, hits: 0, misses: 100 }];
        stage.known("lru-cache")
    }

    #[test]
    fn a_cache_without_limit_is_named_with_its_function() {
        let known = known(80).expect("it keeps much");
        assert!(known.sentence.starts_with("lru_cache on load() (app.py:11) keeps 100 results"));
        assert!(known.sentence.contains("maxsize=None, 0 hits and 100 misses"), "{known:?}");
    }

    #[test]
    fn a_cache_of_little_is_none() {
        assert_eq!(known(10), None);
    }
}
