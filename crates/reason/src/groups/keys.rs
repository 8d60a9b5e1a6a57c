//! What is the key of each object, under each grouping?

use super::{GroupBy, NONE};
use crate::Ask;
use crate::analyses::program::{program_objects, types_named};
use crate::analyses::reachability::Held;
use crate::analyses::{Program, Reachability, ReferredBy, Referrers, RetainedSizes};
use crate::wording::short_type;
use memwhy_model::{Flags, HeapGraph, ObjectId, RootKind};
use std::collections::HashMap;

/// Referrers looked at of one object: further ones are of the same kinds.
const LOOKED_AT: usize = 256;
/// Kinds of referrers that a key names.
const NAMED: usize = 4;

/// The group of every object, and the key of every group.
pub(super) fn of(ask: &Ask<'_>, heap: &HeapGraph, by: GroupBy) -> (Vec<u32>, Vec<String>) {
    match by {
        GroupBy::Type => by_type(heap, str::to_owned),
        GroupBy::Module => by_type(heap, |name| module_of(name).to_owned()),
        GroupBy::Size => by_size(heap),
        GroupBy::Generation => by_generation(heap),
        GroupBy::Referrer => by_referrer(ask, heap),
        GroupBy::Owner => by_owner(ask, heap),
        GroupBy::Dominator => by_dominator(ask, heap),
    }
}

/// Gives every new key a number.
#[derive(Default)]
struct Keys {
    numbers: HashMap<String, u32>,
    keys: Vec<String>,
}

impl Keys {
    fn number(&mut self, key: &str) -> u32 {
        if let Some(known) = self.numbers.get(key) {
            return *known;
        }
        let number = u32::try_from(self.keys.len()).unwrap_or(NONE);
        self.numbers.insert(key.to_owned(), number);
        self.keys.push(key.to_owned());
        number
    }
}

fn by_type(heap: &HeapGraph, key: impl Fn(&str) -> String) -> (Vec<u32>, Vec<String>) {
    let mut keys = Keys::default();
    let numbers: Vec<u32> = heap.types().iter().map(|ty| keys.number(&key(&ty.name))).collect();
    let number = |id| numbers.get(heap.type_of(id).0 as usize).copied().unwrap_or(NONE);
    (heap.ids().map(number).collect(), keys.keys)
}

/// The module in a type's full name.
fn module_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(module, _)| module)
}

fn by_size(heap: &HeapGraph) -> (Vec<u32>, Vec<String>) {
    let mut numbers: HashMap<u64, u32> = HashMap::new();
    let mut keys = Vec::new();
    let mut number = |id| {
        let size = heap.size(id);
        *numbers.entry(size.0).or_insert_with(|| {
            keys.push(format!("{} B", size.0));
            u32::try_from(keys.len() - 1).unwrap_or(NONE)
        })
    };
    (heap.ids().map(&mut number).collect(), keys)
}

fn by_generation(heap: &HeapGraph) -> (Vec<u32>, Vec<String>) {
    // The last where no lists say more: builds without GIL have none.
    let keys = [
        "generation 0, the youngest",
        "generation 1",
        "generation 2, the oldest",
        "put aside by gc.freeze()",
        "not tracked by the collector",
        "tracked by the collector",
    ];
    let number = |id| {
        let flags = heap.flags(id);
        match flags.generation() {
            Some(number) => u32::from(number),
            None => 4 + u32::from(flags.has(Flags::TRACKED)),
        }
    };
    (heap.ids().map(number).collect(), keys.map(str::to_owned).into())
}

/// What an object is to those it refers to: `dict of app.Session` for the attributes of an instance
/// that are kept in a dict.
struct Kinds<'h> {
    heap: &'h HeapGraph,
    referrers: &'h ReferredBy,
    is_dict: Vec<bool>,
    is_module: Vec<bool>,
    is_class: Vec<bool>,
    is_container: Vec<bool>,
}

impl<'h> Kinds<'h> {
    fn new(heap: &'h HeapGraph, referrers: &'h ReferredBy) -> Self {
        const CONTAINERS: [&str; 12] = [
            "dict",
            "list",
            "tuple",
            "set",
            "frozenset",
            "collections.deque",
            "cell",
            "frame",
            "function",
            "collections.OrderedDict",
            "collections.defaultdict",
            "mappingproxy",
        ];
        Self {
            heap,
            referrers,
            is_dict: types_named(heap, &["dict"]),
            is_module: types_named(heap, &["module"]),
            is_class: types_named(heap, &["type"]),
            is_container: types_named(heap, &CONTAINERS),
        }
    }

    fn is(&self, which: &[bool], id: ObjectId) -> bool {
        which.get(self.heap.type_of(id).0 as usize).copied().unwrap_or(false)
    }

    /// The type, and whether it is the dict of an object of that type.
    fn of(&self, id: ObjectId) -> (u32, bool) {
        if self.is(&self.is_dict, id) {
            let referrers = self.referrers.of(id);
            let mut looked_at = referrers.iter().take(LOOKED_AT).copied();
            let program = looked_at
                .find(|from| self.is(&self.is_module, *from) || self.is(&self.is_class, *from));
            let only = match referrers {
                [only] if !self.is(&self.is_container, *only) => Some(*only),
                _ => None,
            };
            if let Some(owner) = program.or(only) {
                return (self.heap.type_of(owner).0, true);
            }
        }
        (self.heap.type_of(id).0, false)
    }

    fn name(&self, (ty, is_dict): (u32, bool)) -> String {
        let row = self.heap.types().get(ty as usize);
        let name = row.map_or("?", |row| short_type(&row.name));
        if is_dict { format!("dict of {name}") } else { name.to_owned() }
    }
}

fn by_referrer(ask: &Ask<'_>, heap: &HeapGraph) -> (Vec<u32>, Vec<String>) {
    let referrers = ask.get::<Referrers>();
    let kinds = Kinds::new(heap, &referrers);
    let mut numbers: HashMap<Vec<(u32, bool)>, u32> = HashMap::new();
    let mut keys = Keys::default();
    let mut found = Vec::new();
    let mut number = |id| {
        found.clear();
        for from in referrers.of(id).iter().take(LOOKED_AT) {
            let kind = kinds.of(*from);
            if !found.contains(&kind) {
                found.push(kind);
            }
        }
        found.sort_unstable();
        if let Some(known) = numbers.get(&found) {
            return *known;
        }
        let mut names: Vec<String> = found.iter().map(|kind| kinds.name(*kind)).collect();
        names.sort();
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        let key = match (names.is_empty(), more) {
            (true, _) => "nothing".to_owned(),
            (false, 0) => names.join(", "),
            (false, more) => format!("{} and {more} more", names.join(", ")),
        };
        let number = keys.number(&key);
        numbers.insert(found.clone(), number);
        number
    };
    (heap.ids().map(&mut number).collect(), keys.keys)
}

fn by_dominator(ask: &Ask<'_>, heap: &HeapGraph) -> (Vec<u32>, Vec<String>) {
    let referrers = ask.get::<Referrers>();
    let kinds = Kinds::new(heap, &referrers);
    let kept = ask.get::<RetainedSizes>();
    let mut numbers: HashMap<(u32, bool), u32> = HashMap::new();
    let mut keys = Keys::default();
    let tops = keys.number("several, or a root itself");
    let nothing = keys.number("nothing: garbage, or alive only by its count");
    let mut number = |id| match kept.dominator(id) {
        Some(dominator) => {
            let kind = kinds.of(dominator);
            *numbers.entry(kind).or_insert_with(|| keys.number(&kinds.name(kind)))
        }
        None if kept.is_top(id) => tops,
        None => nothing,
    };
    (heap.ids().map(&mut number).collect(), keys.keys)
}

/// The nearest name on the way up the tree of dominators; objects without one are told apart by
/// what holds them.
fn by_owner(ask: &Ask<'_>, heap: &HeapGraph) -> (Vec<u32>, Vec<String>) {
    let (kept, reached) = (ask.get::<RetainedSizes>(), ask.get::<Reachability>());
    let program = ask.get::<Program>();
    let is_program = program_objects(heap);
    let mut keys = Keys::default();
    let mut named: HashMap<ObjectId, u32> = HashMap::new();
    // Of what calls have only variables are in a file; the rest has better names elsewhere.
    let lasting = |root: &memwhy_model::Root| {
        root.kind == RootKind::Name || (root.kind == RootKind::Frame && root.file.is_some())
    };
    // Of several names of one object the shortest is shown.
    let mut roots: Vec<_> = heap.roots().iter().filter(|root| lasting(root)).collect();
    roots.sort_by_key(|root| (root.kind, root.name.len(), &root.name));
    for root in roots {
        let program = is_program.get(root.object.0 as usize).copied().unwrap_or(true);
        if !program {
            named.entry(root.object).or_insert_with(|| keys.number(&root.name));
        }
    }
    let text = keys.number("the program: modules, classes, functions, code");
    let several = keys.number("several names");
    let c = keys.number("C: a variable, a stack, memory of malloc's");
    let forever = keys.number("the interpreter: objects that last");
    let nothing = keys.number("nothing: garbage, or alive only by its count");
    let mut owners = vec![NONE; heap.len()];
    let mut way = Vec::new();
    for id in heap.ids() {
        let mut at = Some(id);
        let owner = loop {
            let Some(here) = at else { break None };
            match owners.get(here.0 as usize) {
                Some(&NONE) => {}
                Some(known) => break Some(*known),
                None => break None,
            }
            way.push(here);
            if let Some(name) = named.get(&here) {
                break Some(*name);
            }
            at = kept.dominator(here);
        };
        // From the top down: whoever is below has what is above, or what holds it.
        let mut owner = owner;
        while let Some(here) = way.pop() {
            let own = named.get(&here).copied().or(owner.filter(|owner| *owner < text));
            let own = own.unwrap_or_else(|| match reached.held_by(here) {
                Held::Nothing => nothing,
                Held::Forever => forever,
                Held::C => c,
                // What only the program has is part of it: small attributes, constants.
                Held::Python if program.has(here) || owner == Some(text) => text,
                Held::Python => several,
            });
            owners[here.0 as usize] = own;
            owner = Some(own);
        }
    }
    (owners, keys.keys)
}
