//! Rule: coroutines that nobody awaits, and generators that nobody finishes.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::{ObjectId, SourcePlace};
use std::collections::{HashMap, HashSet};

/// Fewer of them are work that goes on.
const MANY: usize = 100;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Coroutines;

impl Rule for Coroutines {
    fn id(&self) -> &'static str {
        "coroutines"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let tasks = scene.all(|name| name.contains("asyncio") && name.contains("Task"));
        let run: HashSet<ObjectId> =
            tasks.into_iter().flat_map(|task| scene.references(task).iter().copied()).collect();
        let mut sites: HashMap<(SourcePlace<'_>, &str), Vec<ObjectId>> = HashMap::new();
        for id in scene.all(|name| ["coroutine", "generator", "async_generator"].contains(&name)) {
            if let Some(place) = scene.ask.case().places.of(id).filter(|_| !run.contains(&id)) {
                sites.entry((place, scene.kind(id))).or_default().push(id);
            }
        }
        sites
            .into_iter()
            .filter_map(|((place, kind), them)| known(scene, &place, kind, &them))
            .collect()
    }
}

fn known(
    scene: &Scene<'_>,
    place: &SourcePlace<'_>,
    kind: &str,
    them: &[ObjectId],
) -> Option<Known> {
    if them.len() < MANY {
        return None;
    }
    let mut holder = scene.holder(*them.first()?, Some(*place));
    (holder.bytes, holder.objects) = (scene.retained_by(them), them.len() as u64);
    let (state, cure) = if kind == "coroutine" {
        ("that no task runs", format!("await {}(), or close() the coroutine", place.function))
    } else {
        ("that are not finished", format!("finish or close() what {}() returns", place.function))
    };
    Some(Known {
        rule: "coroutines",
        sentence: format!(
            "{} {state}, of {}, kept at {}: {}",
            count(them.len() as u64, kind),
            called(place),
            holder.path.as_deref().unwrap_or("no name"),
            holder.bytes
        ),
        cure,
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
        let kept = stage.objects(many, "builtins.bytearray", 64);
        let coroutines: Vec<ObjectId> = kept
            .into_iter()
            .map(|kept| {
                let coroutine = stage.object("builtins.coroutine", 0, &[kept]);
                stage.place(coroutine, "fetch", 21);
                coroutine
            })
            .collect();
        let jobs = stage.object("builtins.list", 0, &coroutines);
        stage.name("JOBS", jobs);
        stage.known("coroutines")
    }

    #[test]
    fn coroutines_that_no_task_runs_are_named_with_their_line() {
        let known = known(150).expect("many");
        assert!(known.sentence.starts_with("150 coroutines that no task runs, of fetch()"));
        assert_eq!(known.holder.line, Some(21));
    }

    #[test]
    fn a_few_coroutines_are_work_that_goes_on() {
        assert_eq!(known(90), None);
    }
}
