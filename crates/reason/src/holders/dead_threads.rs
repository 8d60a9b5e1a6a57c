//! Rule: what was put aside for threads that have ended, and is kept under their names.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::ObjectId;

/// Fewer threads may just have ended.
const MANY: u64 = 50;
/// So many fifths of the keys or members are threads.
const MOSTLY: usize = 4;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct DeadThreads;

impl Rule for DeadThreads {
    fn id(&self) -> &'static str {
        "dead-threads"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let containers = scene.heavy().iter().copied().filter(|id| scene.is_container(*id));
        containers.filter_map(|container| known(scene, container)).collect()
    }
}

fn known(scene: &Scene<'_>, container: ObjectId) -> Option<Known> {
    let looked_at =
        if scene.is_dict(container) { scene.keys(container) } else { scene.members(container) };
    let threads = looked_at.iter().filter(|id| is_thread(scene, **id)).count();
    let mostly = threads > 0 && threads * 5 >= looked_at.len() * MOSTLY;
    let entries = scene.len(container);
    let alive = scene.ask.case().threads.iter().filter(|thread| thread.is_python).count() as u64;
    let dead = entries.saturating_sub(alive);
    if !mostly || dead < MANY {
        return None;
    }
    let users = scene.users_by_name(container);
    let place = users.first().copied();
    let holder = scene.holder(container, place);
    let path = scene.path(container);
    let by = place.map_or_else(String::new, |place| format!("; {} uses it", called(&place)));
    Some(Known {
        rule: "dead-threads",
        sentence: format!(
            "{path} has entries for {}, and only {} alive: {}{by}",
            count(entries, "thread"),
            if alive == 1 { "1 is".to_owned() } else { format!("{alive} are") },
            holder.bytes
        ),
        cure: format!("use threading.local() or contextvars instead of {path}, or remove entries"),
        holder,
    })
}

fn is_thread(scene: &Scene<'_>, id: ObjectId) -> bool {
    let kind = scene.kind(id);
    kind.starts_with("threading.") && kind.ends_with("Thread")
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;

    /// A table by thread, of 100 entries.
    fn known(alive: u32) -> Option<Known> {
        let mut stage = Stage::default();
        stage.function("work", 5, &["CONTEXTS"]);
        let values = stage.objects(100, "builtins.bytearray", 80);
        let keys = stage.objects(100, "threading.Thread", 0);
        let entries: Vec<_> = keys.into_iter().zip(values).collect();
        let contexts = stage.dict(&entries);
        stage.name("CONTEXTS", contexts);
        stage.threads(alive);
        stage.known("dead-threads")
    }

    #[test]
    fn a_table_by_threads_that_are_gone_is_named() {
        let known = known(2).expect("98 are gone");
        assert!(known.sentence.contains("entries for 100 threads, and only 2 are alive"));
        assert_eq!(known.holder.line, Some(5));
    }

    #[test]
    fn a_table_by_threads_that_are_there_is_none() {
        assert_eq!(known(90), None);
    }
}
