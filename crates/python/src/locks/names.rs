//! What would a person call an object that no module refers to directly?
//!
//! The shortest way to it from the modules, found by one search for all objects that are wanted.

use super::world::World;
use crate::labels::Names;
use crate::{dict, text};
use memwhy_model::{Addr, Label, ObjectId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// Modules of one process.
const MOST_MODULES: usize = 1 << 16;
/// A way that is longer says nothing.
const LONGEST: usize = 12;

/// The names of `wanted`, as far as modules lead to them.
pub(crate) fn of(world: &World<'_>, modules: &[Addr], wanted: &[Addr]) -> FxHashMap<Addr, String> {
    let graph = &world.heap.graph;
    let mut left: FxHashSet<ObjectId> =
        wanted.iter().filter_map(|addr| world.find(*addr)).collect();
    if left.is_empty() {
        return FxHashMap::default();
    }
    let places: FxHashMap<Addr, usize> =
        world.heap.types.iter().enumerate().map(|(at, info)| (info.addr, at)).collect();
    let names = Names {
        memory: world.memory,
        layouts: world.layouts,
        types: &world.heap.types,
        places: &places,
    };
    let opaque: Vec<bool> = world.heap.types.iter().map(|info| is_opaque(&info.name)).collect();
    let mut starts: FxHashMap<ObjectId, String> = FxHashMap::default();
    let mut queue: VecDeque<ObjectId> = VecDeque::new();
    // From where the search came to each object; from itself where it began.
    let mut from: Vec<u32> = vec![u32::MAX; graph.len()];
    for (id, name) in module_members(world, modules) {
        if let Some(place) = from.get_mut(id.0 as usize).filter(|place| **place == u32::MAX) {
            *place = id.0;
            starts.insert(id, name);
            queue.push_back(id);
        }
    }
    let mut found = FxHashMap::default();
    while let Some(id) = queue.pop_front() {
        if left.is_empty() {
            break;
        }
        if opaque.get(graph.type_of(id).0 as usize).copied().unwrap_or(true) {
            continue;
        }
        for &to in graph.references(id) {
            let Some(place) = from.get_mut(to.0 as usize) else { continue };
            if *place != u32::MAX {
                continue;
            }
            *place = id.0;
            queue.push_back(to);
            if left.remove(&to)
                && let Some(name) = way(world, &names, &starts, &from, to)
            {
                found.insert(graph.addr(to), name);
            }
        }
    }
    found
}

/// The dict of every module, with the name of the module; the program itself first.
fn module_members(world: &World<'_>, modules: &[Addr]) -> Vec<(ObjectId, String)> {
    let (memory, layouts) = (world.memory, world.layouts);
    let mut members = Vec::new();
    for (number, at) in modules.iter().enumerate() {
        let whose = if number == 0 { String::new() } else { format!("interpreter {number}: ") };
        for (key, module) in dict::entries(memory, layouts, *at, MOST_MODULES).unwrap_or_default() {
            let Ok(name) = text::read(memory, layouts, key, 256) else { continue };
            let own = layouts.module.md_dict.read(memory, module).ok().flatten();
            let is_module = world.type_name(module).is_some_and(|ty| ty == "builtins.module");
            let Some(own) = own.filter(|_| is_module).and_then(|own| world.find(own)) else {
                continue;
            };
            members.push((own, format!("{whose}{name}")));
        }
    }
    members.sort_by_key(|(_, name)| name != "__main__");
    members
}

/// What ways do not lead through: weak references keep nothing, and what the interpreter keeps for
/// itself leads everywhere.
fn is_opaque(type_name: &str) -> bool {
    matches!(
        type_name,
        "builtins.frame"
            | "builtins.traceback"
            | "builtins.module"
            | "builtins.weakref"
            | "builtins.code"
            | "weakref"
            | "weakref.ReferenceType"
            | "weakref.KeyedRef"
            | "weakref.WeakMethod"
            | "weakref.finalize"
            | "_weakref.ref"
    )
}

fn way(
    world: &World<'_>,
    names: &Names<'_>,
    starts: &FxHashMap<ObjectId, String>,
    from: &[u32],
    to: ObjectId,
) -> Option<String> {
    let graph = &world.heap.graph;
    let mut steps = vec![to];
    let mut at = to;
    while steps.len() <= LONGEST {
        let before = ObjectId(*from.get(at.0 as usize)?);
        if before == at {
            break;
        }
        steps.push(before);
        at = before;
    }
    let mut name = starts.get(&at)?.clone();
    steps.reverse();
    let mut members = true;
    for pair in steps.windows(2) {
        let [a, b] = pair else { continue };
        let info = world.heap.types.get(graph.type_of(*a).0 as usize)?;
        let label = names.one(graph.addr(*a), info, graph.addr(*b), 0);
        name = match &label {
            // The dict of a module or instance: its keys are attributes.
            Label::Field(field) if field == "__dict__" => {
                members = true;
                continue;
            }
            Label::Key(key) if members => format!("{name}.{}", key.trim_matches(['\'', '"'])),
            label => format!("{name}{label}"),
        };
        members = false;
    }
    Some(name)
}
