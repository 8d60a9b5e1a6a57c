//! Rule: a queue that fills faster than it is emptied, and what its consumer is doing.

use super::scene::Scene;
use super::{Known, Rule};
use crate::analyses::origin::at;
use crate::wording::count;
use memwhy_model::{ObjectId, SourcePlace};

/// Types of queues, as their modules name them.
const QUEUES: [&str; 11] = [
    "queue.Queue",
    "queue.LifoQueue",
    "queue.PriorityQueue",
    "Queue.Queue",
    "Queue.LifoQueue",
    "Queue.PriorityQueue",
    "_queue.SimpleQueue",
    "asyncio.queues.Queue",
    "asyncio.queues.LifoQueue",
    "asyncio.queues.PriorityQueue",
    "multiprocessing.queues.Queue",
];

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Queue;

impl Rule for Queue {
    fn id(&self) -> &'static str {
        "queue"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let named = |id: ObjectId| {
            // Of the old style in 2.7: then only its attributes tell.
            let text = || scene.preview(id).unwrap_or_default();
            QUEUES.contains(&scene.kind(id))
                || (scene.kind(id) == "instance" && text().contains("Queue."))
        };
        let queues = scene.heavy().iter().copied().filter(|id| named(*id));
        queues.filter_map(|queue| known(scene, queue)).collect()
    }
}

fn known(scene: &Scene<'_>, queue: ObjectId) -> Option<Known> {
    let dict = scene.first_of(queue, &["dict"]);
    let items = scene
        .first_of(queue, &["collections.deque", "list"])
        .or_else(|| scene.first_of(dict?, &["collections.deque", "list"]))?;
    let consumer = consumer(scene, queue);
    let path = scene.path(queue);
    let (place, doing) = match &consumer {
        Some((function, place, thread)) => (
            Some(*place),
            format!("; {function}, which uses it, is at {} now, in thread {thread}", at(place)),
        ),
        None => (None, String::new()),
    };
    let holder = scene.holder(queue, place);
    Some(Known {
        rule: "queue",
        sentence: format!(
            "{path} holds {}, {}{doing}",
            count(scene.len(items), "item"),
            holder.bytes
        ),
        cure: format!(
            "give {path} a maxsize, and see what its consumer waits for: memwhy stacks {}",
            scene.ask.about.target()
        ),
        holder,
    })
}

/// A function that a thread is in and that has the queue: as a variable, or under its name.
fn consumer<'c>(scene: &Scene<'c>, queue: ObjectId) -> Option<(String, SourcePlace<'c>, u32)> {
    let addr = scene.heap.addr(queue);
    let users = scene.users_by_name(queue);
    let mut best: Option<(bool, String, SourcePlace<'c>, u32)> = None;
    for thread in &scene.ask.case().threads {
        for frame in &thread.frames {
            let holds = frame.locals.iter().any(|local| local.value == addr);
            let named =
                users.iter().any(|user| frame.file == user.file && frame.function == user.function);
            if frame.function == "<module>" || !(holds || named) {
                continue;
            }
            let place =
                SourcePlace { file: &frame.file, function: &frame.function, line: frame.line };
            // A method of the queue itself has it too; who called that tells more.
            let own = scene.is_library(&place);
            let better = best.as_ref().is_none_or(|(known_own, ..)| *known_own && !own);
            if better {
                best = Some((own, format!("{}()", frame.function), place, thread.tid));
            }
        }
    }
    best.map(|(_, function, place, tid)| (function, place, tid))
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::Frame;

    fn known(kib: u64) -> Option<Known> {
        let mut stage = Stage::default();
        stage.function("consume", 17, &["JOBS"]);
        let items = stage.objects(100, "builtins.bytearray", kib);
        let items = stage.object("collections.deque", 0, &items);
        let attributes = stage.attributes(&[("queue", items)]);
        let queue = stage.object("queue.Queue", 0, &[attributes]);
        stage.name("JOBS", queue);
        stage.threads(1);
        stage.case.threads[0].frames = vec![Frame {
            function: "consume".into(),
            file: "app.py".into(),
            line: Some(19),
            ..Frame::default()
        }];
        stage.known("queue")
    }

    #[test]
    fn a_queue_is_named_with_where_its_consumer_stands() {
        let known = known(80).expect("it fills");
        assert!(known.sentence.starts_with("sys.modules['app'].JOBS holds 100 items"), "{known:?}");
        assert!(known.sentence.contains("consume(), which uses it, is at app.py:19 now"));
    }

    #[test]
    fn a_queue_of_little_is_none() {
        assert_eq!(known(10), None);
    }
}
