//! Rule: values of `threading.local` whose threads have ended.
//!
//! The one written in C keeps them as long as CPython's state of the thread, which is for ever where
//! C code entered with `PyGILState_Ensure` and never left, and in 2.7 in a forked process; that of
//! `_threading_local` as long as somebody has the `Thread` object.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::{ObjectId, TypeRow};
use std::collections::{HashMap, HashSet};

/// Fewer threads may just have ended.
const MANY: u64 = 50;
/// `threading.local` in C, as 2.7 and 3 call it.
const IN_C: [&str; 2] = ["thread._local", "_thread._local"];
/// What an instance of the one in Python has its values in.
const IN_PYTHON: &str = "_threading_local._localimpl";
/// Classes derive from it over fewer steps.
const DEEPEST: usize = 8;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct ThreadLocals;

impl Rule for ThreadLocals {
    fn id(&self) -> &'static str {
        "thread-locals"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let in_c = classes_in_c(scene);
        let is_local = |ty: &TypeRow| {
            let class = scene.heap.find(ty.addr);
            ty.name == IN_PYTHON || class.is_some_and(|class| in_c.contains(&class))
        };
        let locals = scene.of_types(is_local);
        locals.into_iter().filter_map(|local| known(scene, local)).collect()
    }
}

/// The one in C and the classes that derive from it: their objects are laid out alike.
fn classes_in_c(scene: &Scene<'_>) -> HashSet<ObjectId> {
    let rows = scene.heap.types().iter().filter(|ty| IN_C.contains(&ty.name.as_str()));
    let mut known: HashSet<ObjectId> = rows.filter_map(|ty| scene.heap.find(ty.addr)).collect();
    let classes = if known.is_empty() { Vec::new() } else { scene.classes() };
    for _ in 0..DEEPEST {
        let before = known.len();
        for class in &classes {
            let bases = scene.references(*class).iter().filter(|to| scene.kind(**to) == "tuple");
            if bases.flat_map(|bases| scene.references(*bases)).any(|base| known.contains(base)) {
                known.insert(*class);
            }
        }
        if known.len() == before {
            break;
        }
    }
    known
}

fn known(scene: &Scene<'_>, local: ObjectId) -> Option<Known> {
    // One value for each thread: a dict, in Python beside a weak reference to the thread.
    let is_value = |id: &ObjectId| match scene.kind(*id) {
        "dict" => true,
        "tuple" => scene.first_of(*id, &["dict"]).is_some(),
        _ => false,
    };
    let tables = scene.references(local).iter().copied().filter(|id| scene.kind(*id) == "dict");
    let table = tables.max_by_key(|table| {
        if scene.members(*table).iter().all(is_value) { scene.len(*table) } else { 0 }
    })?;
    let entries = scene.len(table);
    let threads = &scene.ask.case().threads;
    let alive = threads.iter().filter(|thread| thread.is_python).count() as u64;
    if entries.saturating_sub(alive) < MANY {
        return None;
    }
    let values: Vec<ObjectId> =
        scene.references(table).iter().skip(1).step_by(2).copied().filter(is_value).collect();
    let (in_python, object) = match instance_of(scene, local) {
        Some(instance) => (true, instance),
        None => (false, local),
    };
    let place = scene.users_by_name(object).first().copied();
    let mut holder = scene.holder(object, place);
    (holder.bytes, holder.objects) = (scene.retained_by(&values), values.len() as u64);
    let path = scene.path(object);
    let by = place.map_or_else(String::new, |place| format!("; {} uses it", called(&place)));
    let keeper = if in_python { keeper_of_threads(scene) } else { None };
    let (why, cure) = match keeper {
        Some(keeper) => (
            format!("as {keeper} has their Thread objects"),
            format!("take threads out of {keeper} when they have ended"),
        ),
        None if in_python => (
            "as their Thread objects are still there".into(),
            "let Thread objects go when they have ended".into(),
        ),
        None => (
            match states(scene) {
                0 => "and nobody has taken them away".into(),
                states => format!("as CPython still has the states of {}", count(states, "thread")),
            },
            "have C code that enters Python leave it again (PyGILState_Release), or empty what is \
             kept for a thread before it ends"
                .into(),
        ),
    };
    Some(Known {
        rule: "thread-locals",
        sentence: format!(
            "{path}, a threading.local, has values for {}, of which {alive} at most {}, {why}: {}{by}",
            count(entries, "thread"),
            if alive == 1 { "is alive" } else { "are alive" },
            holder.bytes
        ),
        cure,
        holder,
    })
}

/// The `threading.local` of Python that has its values in `local`, if that is such a part.
fn instance_of(scene: &Scene<'_>, local: ObjectId) -> Option<ObjectId> {
    if scene.kind(local) != IN_PYTHON {
        return None;
    }
    let way = scene.way(local);
    way.iter().rev().skip(1).copied().find(|id| scene.is_instance(*id)).or(Some(local))
}

/// What has most of the `Thread` objects of the program.
fn keeper_of_threads(scene: &Scene<'_>) -> Option<String> {
    let mut keepers: HashMap<ObjectId, u64> = HashMap::new();
    for thread in scene.all(|name| name.starts_with("threading.") && name.ends_with("Thread")) {
        let way = scene.way(thread);
        if let Some(keeper) = way.iter().rev().skip(1).find(|id| scene.is_container(**id)) {
            *keepers.entry(*keeper).or_default() += 1;
        }
    }
    let (keeper, count) = keepers.into_iter().max_by_key(|(id, count)| (*count, *id))?;
    (count >= MANY).then(|| scene.path(keeper))
}

/// How many states of threads CPython has that are no threads any more.
fn states(scene: &Scene<'_>) -> u64 {
    let case = scene.ask.case();
    let alive: HashSet<u32> = case.threads.iter().map(|thread| thread.tid).collect();
    let known = case.interpreters.iter().flat_map(|interpreter| &interpreter.threads);
    known.filter(|tid| !alive.contains(tid)).count() as u64
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::InterpreterFacts;

    /// What is kept for 100 threads, by the one in C or the one in Python.
    fn known(in_python: bool, alive: u32) -> Option<Known> {
        let mut stage = Stage::default();
        stage.function("work", 4, &["LOCAL"]);
        let rows = stage.objects(100, "builtins.bytearray", 80);
        let entries: Vec<_> = rows
            .into_iter()
            .map(|rows| {
                let value = stage.attributes(&[("rows", rows)]);
                let weak = stage.object("builtins.weakref", 0, &[]);
                let beside = if in_python { "builtins.tuple" } else { "" };
                let value = match beside {
                    "" => value,
                    tuple => stage.object(tuple, 0, &[weak, value]),
                };
                (weak, value)
            })
            .collect();
        let table = stage.dict(&entries);
        let local = if in_python {
            let inner = stage.object("_threading_local._localimpl", 0, &[table]);
            stage.object("_threading_local.local", 0, &[inner])
        } else {
            // One of a class that derives from it.
            let base = stage.class("_thread._local", 1);
            let bases = stage.object("builtins.tuple", 0, &[base]);
            let class = stage.class("app.Local", 2);
            stage.refer(class, bases);
            stage.object("app.Local", 0, &[table])
        };
        stage.name("LOCAL", local);
        if in_python {
            let threads = stage.objects(100, "threading.Thread", 0);
            let started = stage.object("builtins.list", 0, &threads);
            stage.name("STARTED", started);
        } else {
            let states = InterpreterFacts { threads: (1..=100).collect(), ..Default::default() };
            stage.case.interpreters = vec![states];
        }
        stage.threads(alive);
        stage.known("thread-locals")
    }

    #[test]
    fn values_that_c_code_never_let_go_are_named_with_the_states_of_threads() {
        let known = known(false, 2).expect("98 threads are gone");
        assert!(known.sentence.contains("LOCAL, a threading.local, has values for 100 threads"));
        assert!(known.sentence.contains("as CPython still has the states of 98 threads"));
        assert_eq!(known.holder.line, Some(4));
    }

    #[test]
    fn values_that_thread_objects_keep_are_named_with_what_has_those() {
        let known = known(true, 1).expect("99 threads are gone");
        let why = "as sys.modules['app'].STARTED has their Thread objects";
        assert!(known.sentence.contains(why), "{known:?}");
        assert!(known.sentence.ends_with("work() (app.py:4) uses it"), "{known:?}");
    }

    #[test]
    fn values_of_threads_that_are_there_are_theirs() {
        assert_eq!(known(false, 90), None);
        assert_eq!(known(true, 90), None);
    }
}
