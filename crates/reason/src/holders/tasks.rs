//! Rule: asyncio tasks that wait and wait, or that are done and kept.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::{ObjectId, SourcePlace};
use std::collections::HashMap;

/// A server of any size has fewer tasks that all wait at one place.
const MANY: usize = 100;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Tasks;

impl Rule for Tasks {
    fn id(&self) -> &'static str {
        "tasks"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let tasks = scene.all(|name| {
            name.starts_with("_asyncio.Task") || name.starts_with("asyncio.tasks.Task")
        });
        let mut sites: HashMap<Option<SourcePlace<'_>>, Vec<ObjectId>> = HashMap::new();
        for task in tasks {
            let dict = scene.first_of(task, &["dict"]);
            let coroutine = scene
                .first_of(task, &["coroutine", "generator"])
                .or_else(|| scene.first_of(dict?, &["coroutine", "generator"]));
            let place = coroutine.and_then(|it| scene.ask.case().places.of(it));
            sites.entry(place).or_default().push(task);
        }
        sites.into_iter().filter_map(|(place, tasks)| known(scene, place, &tasks)).collect()
    }
}

fn known(scene: &Scene<'_>, place: Option<SourcePlace<'_>>, tasks: &[ObjectId]) -> Option<Known> {
    if tasks.len() < MANY {
        return None;
    }
    // A task and its coroutine are held by what it waits for, too: they keep it together.
    let parts: Vec<ObjectId> = tasks
        .iter()
        .flat_map(|task| [Some(*task), scene.first_of(*task, &["coroutine", "generator"])])
        .flatten()
        .collect();
    let bytes = scene.retained_by(&parts);
    let first = *tasks.first()?;
    let mut holder = scene.holder(first, place);
    (holder.bytes, holder.objects) = (bytes, tasks.len() as u64);
    let number = count(tasks.len() as u64, "task");
    let (sentence, cure) = match place {
        Some(place) => (
            format!("{number} wait at {}: {bytes}", called(&place)),
            format!(
                "give what {}() awaits a timeout (asyncio.wait_for), or cancel it",
                place.function
            ),
        ),
        None => (
            format!("{number} are done and still kept: {bytes}"),
            "let a task go when it is done: task.add_done_callback(tasks.discard)".into(),
        ),
    };
    Some(Known { rule: "tasks", sentence, cure, holder })
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::ObjectId;

    fn known(many: usize) -> Option<Known> {
        let mut stage = Stage::default();
        let kept = stage.objects(many, "builtins.bytearray", 64);
        let tasks: Vec<ObjectId> = kept
            .into_iter()
            .map(|kept| {
                let coroutine = stage.object("builtins.coroutine", 0, &[kept]);
                stage.place(coroutine, "poll", 27);
                stage.object("_asyncio.Task", 0, &[coroutine])
            })
            .collect();
        let pending = stage.object("builtins.set", 0, &tasks);
        stage.name("PENDING", pending);
        stage.known("tasks")
    }

    #[test]
    fn tasks_that_wait_at_one_line_are_named_with_it() {
        let known = known(150).expect("many");
        assert!(known.sentence.starts_with("150 tasks wait at poll() (app.py:27)"), "{known:?}");
    }

    #[test]
    fn a_server_has_some_tasks() {
        assert_eq!(known(90), None);
    }
}
