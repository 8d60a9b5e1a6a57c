//! What do rules look at?
//!
//! The heap with who keeps how much, the objects that keep much, and the source that things come
//! from.

use super::{LEAST, LEAST_SHARE};
use crate::analyses::origin::kind;
use crate::analyses::{KeptAlive, Origin, Origins, Program, Reachability, Reached, RetainedSizes};
use crate::wording::short_type;
use crate::{Ask, Holder, Paths};
use memwhy_model::{
    Bytes, HeapGraph, Label, ObjectId, Owner, PreviewLength, RootKind, SourcePlace, TypeRow,
};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Objects that keep much: more of them are parts of these.
const HEAVY: usize = 4000;
/// Characters of a path in a sentence.
const LONGEST_PATH: usize = 90;
/// Members of a container that are looked at: what these are the others are too.
const SAMPLE: usize = 512;

/// What rules look at.
pub struct Scene<'a> {
    /// The case.
    pub ask: &'a Ask<'a>,
    /// Its heap.
    pub heap: &'a HeapGraph,
    kept: Rc<KeptAlive>,
    reached: Rc<Reached>,
    origin: Rc<Origins>,
    data: Bytes,
    heavy: Vec<ObjectId>,
    paths: Paths<'a>,
    /// The folder of the standard library, with a slash: where the module `os` is.
    library: Option<&'a str>,
}

impl<'a> Scene<'a> {
    /// Nothing to look at without a heap.
    pub(super) fn new(ask: &'a Ask<'a>) -> Option<Self> {
        let heap = ask.case().heap.as_ref()?;
        let kept = ask.get::<RetainedSizes>();
        let program = ask.get::<Program>();
        let data = ask.resident(Owner::PythonObjects).minus(program.footprint);
        let mut scene = Self {
            ask,
            heap,
            kept,
            reached: ask.get::<Reachability>(),
            origin: ask.get::<Origin>(),
            data: Bytes(data.0.min(program.data.0)),
            heavy: Vec::new(),
            paths: Paths::new(ask),
            library: library(heap),
        };
        scene.heavy = heap.ids().filter(|id| scene.much(scene.retained(*id))).collect();
        let kept = Rc::clone(&scene.kept);
        scene.heavy.sort_unstable_by_key(|id| (Reverse(kept.bytes(*id)), *id));
        scene.heavy.truncate(HEAVY);
        Some(scene)
    }

    /// Whether so much is a reason why the process is big.
    pub(super) fn much(&self, bytes: Bytes) -> bool {
        bytes >= LEAST && bytes.share_of(self.data) >= LEAST_SHARE
    }

    /// The objects that keep much, most first.
    pub(super) fn heavy(&self) -> &[ObjectId] {
        &self.heavy
    }

    /// Those of a type.
    pub(super) fn heavy_of<'s>(&'s self, types: &'s [&str]) -> impl Iterator<Item = ObjectId> + 's {
        self.heavy.iter().copied().filter(|id| types.contains(&self.kind(*id)))
    }

    /// All objects of which the type's name satisfies `wanted`.
    pub(super) fn all(&self, wanted: impl Fn(&str) -> bool) -> Vec<ObjectId> {
        self.of_types(|ty| wanted(short_type(&ty.name)))
    }

    /// All objects of the types that `wanted` says yes to.
    pub(super) fn of_types(&self, wanted: impl Fn(&TypeRow) -> bool) -> Vec<ObjectId> {
        let wanted: Vec<bool> = self.heap.types().iter().map(wanted).collect();
        let is = |id: &ObjectId| wanted.get(self.heap.type_of(*id).0 as usize) == Some(&true);
        if !wanted.contains(&true) {
            return Vec::new();
        }
        self.heap.ids().filter(is).collect()
    }

    /// What would be freed with an object.
    pub(super) fn retained(&self, id: ObjectId) -> Bytes {
        self.kept.bytes(id)
    }

    /// What would be freed with several: those that another one keeps count with that.
    pub(super) fn retained_by(&self, objects: &[ObjectId]) -> Bytes {
        let members: HashSet<ObjectId> = objects.iter().copied().collect();
        let mut below: HashMap<ObjectId, bool> = HashMap::new();
        let mut sum = Bytes(0);
        for id in &members {
            if !self.is_below(*id, &members, &mut below) {
                sum += self.retained(*id);
            }
        }
        sum
    }

    /// Whether one of `members` dominates `id`.
    fn is_below(
        &self,
        id: ObjectId,
        members: &HashSet<ObjectId>,
        known: &mut HashMap<ObjectId, bool>,
    ) -> bool {
        let mut way = Vec::new();
        let mut at = self.kept.dominator(id);
        let answer = loop {
            let Some(here) = at else { break false };
            if members.contains(&here) {
                break true;
            }
            if let Some(known) = known.get(&here) {
                break *known;
            }
            way.push(here);
            at = self.kept.dominator(here);
        };
        known.extend(way.into_iter().map(|here| (here, answer)));
        answer
    }

    /// The short name of an object's type.
    pub(super) fn kind(&self, id: ObjectId) -> &'a str {
        kind(self.heap, id)
    }

    /// What an object refers to.
    pub(super) fn references(&self, id: ObjectId) -> &'a [ObjectId] {
        self.heap.references(id)
    }

    /// The first that an object refers to of one of these types.
    pub(super) fn first_of(&self, id: ObjectId, types: &[&str]) -> Option<ObjectId> {
        self.references(id).iter().copied().find(|to| types.contains(&self.kind(*to)))
    }

    /// Whether an object is a class.
    pub(super) fn is_class(&self, id: ObjectId) -> bool {
        self.origin.is_class(id) || ["type", "classobj"].contains(&self.kind(id))
    }

    /// Every class.
    pub(super) fn classes(&self) -> Vec<ObjectId> {
        self.heap.ids().filter(|id| self.is_class(*id)).collect()
    }

    /// Whether an object is an instance of a class of the program.
    pub(super) fn is_instance(&self, id: ObjectId) -> bool {
        let ty = self.heap.type_row(self.heap.type_of(id));
        !self.is_class(id) && ty.is_some_and(|ty| !ty.name.starts_with("builtins."))
    }

    /// Whether a dict is the namespace of a module, a class or an instance.
    pub(super) fn is_namespace(&self, id: ObjectId) -> bool {
        let way = self.way(id);
        let holder = way.len().checked_sub(2).and_then(|at| way.get(at)).copied();
        self.is_dict(id)
            && holder.is_some_and(|holder| {
                self.is_class(holder)
                    || self.kind(holder) == "module"
                    || self.is_dict_of(holder, id)
            })
    }

    /// Whether a dict is the `__dict__` of an object, and not the value of an attribute.
    pub(super) fn is_dict_of(&self, object: ObjectId, dict: ObjectId) -> bool {
        let at = self.references(object).iter().position(|to| *to == dict);
        let label = at.and_then(|at| self.label(object, at));
        matches!(label, Some(Label::Field(name)) if name == "__dict__")
    }

    /// How an object refers to one of those it refers to.
    fn label(&self, object: ObjectId, at: usize) -> Option<Label> {
        self.ask.case().details.as_ref()?.label(self.heap, object, at)
    }

    /// Whether what an object keeps is not nearly all kept by one part of it.
    pub(super) fn piles_up(&self, id: ObjectId, nearly_all: f64) -> bool {
        let whole = self.retained(id);
        let parts = self.references(id).iter().filter(|to| self.kept.dominator(**to) == Some(id));
        let largest = parts.map(|to| self.retained(*to)).max();
        largest.is_none_or(|largest| largest.share_of(whole) < nearly_all)
    }

    /// What keeps the object of a root.
    pub(super) fn root_of(&self, id: ObjectId) -> Option<RootKind> {
        self.reached.root_of(self.heap, id).map(|root| root.kind)
    }

    /// Whether only views keep a base: all that dominates it up to the container is one, or it
    /// has no other referrer.
    pub(super) fn is_kept_by_views(&self, base: ObjectId) -> bool {
        let above = self.kept.dominator(base);
        above.is_none_or(|above| {
            !self.references(above).contains(&base) || !self.is_container(above)
        })
    }

    /// Whether an object holds others by index, key or as elements.
    pub(super) fn is_container(&self, id: ObjectId) -> bool {
        [
            "list",
            "dict",
            "tuple",
            "set",
            "frozenset",
            "collections.deque",
            "collections.OrderedDict",
            "collections.defaultdict",
        ]
        .contains(&self.kind(id))
    }

    /// Whether an object is a dict, also one of the kinds that derive from it.
    pub(super) fn is_dict(&self, id: ObjectId) -> bool {
        ["dict", "collections.OrderedDict", "collections.defaultdict"].contains(&self.kind(id))
    }

    /// Some members of a container: items, elements, or the values of a dict.
    pub(super) fn members(&self, id: ObjectId) -> Vec<ObjectId> {
        let all = self.references(id);
        let (first, step) = if self.is_dict(id) { (1, 2) } else { (0, 1) };
        let values: Vec<ObjectId> = all.iter().skip(first).step_by(step).copied().collect();
        let step = (values.len() / SAMPLE).max(1);
        values.into_iter().step_by(step).collect()
    }

    /// Some keys of a dict.
    pub(super) fn keys(&self, id: ObjectId) -> Vec<ObjectId> {
        let all = self.references(id);
        let step = (all.len() / 2 / SAMPLE).max(1) * 2;
        all.iter().step_by(step).copied().collect()
    }

    /// How many items, elements or entries a container has.
    pub(super) fn len(&self, id: ObjectId) -> u64 {
        let references = self.references(id).len() as u64;
        if self.is_dict(id) { references / 2 } else { references }
    }

    /// The objects on a shortest way from a root, `id` last.
    pub(super) fn way(&self, id: ObjectId) -> Vec<ObjectId> {
        self.reached.way_to(id)
    }

    /// Where in the source an object comes from.
    pub(super) fn origin(&self, id: ObjectId) -> Option<SourcePlace<'a>> {
        self.origin.of(self.ask, id)
    }

    /// The most common place that objects come from, each weighed by `weight`.
    pub(super) fn common_origin(
        &self,
        objects: impl IntoIterator<Item = ObjectId>,
        weight: impl Fn(ObjectId) -> u64,
    ) -> Option<SourcePlace<'a>> {
        let mut places: HashMap<SourcePlace<'a>, u64> = HashMap::new();
        for id in objects {
            if let Some(place) = self.origin(id) {
                *places.entry(place).or_default() += weight(id);
            }
        }
        places.into_iter().max_by_key(|(place, weight)| (*weight, Reverse(*place))).map(|(p, _)| p)
    }

    /// The code that uses what an object is called: the key of a dict, or an attribute.
    pub(super) fn users_by_name(&self, id: ObjectId) -> Vec<SourcePlace<'a>> {
        let way = self.way(id);
        let holder = way.len().checked_sub(2).and_then(|at| way.get(at)).copied();
        let label = holder.and_then(|holder| {
            let at = self.references(holder).iter().position(|to| *to == id)?;
            Some((holder, at, self.label(holder, at)?))
        });
        match label {
            Some((holder, at, Label::Key(key))) => {
                // A key that was not found would make another object look like it.
                let before = at.checked_sub(1).and_then(|at| self.references(holder).get(at));
                let name = before.copied().filter(|name| {
                    self.kind(*name) == "str" && self.preview(*name).as_deref() == Some(&key)
                });
                name.map(|name| self.users(name)).unwrap_or_default()
            }
            Some((_, _, Label::Attribute(name))) => self.users_of(&name),
            Some(_) | None => Vec::new(),
        }
    }

    /// The code that uses a name, by the names that code carries. The program's own comes first,
    /// then that of packages that are installed, then modules as a whole, the standard library last.
    fn users(&self, name: ObjectId) -> Vec<SourcePlace<'a>> {
        let case = self.ask.case();
        let uses = |code: &ObjectId| {
            let names = self.references(*code).iter().filter(|to| self.kind(**to) == "tuple");
            names.into_iter().any(|names| self.references(*names).contains(&name))
        };
        let codes = self.all(|name| name == "code").into_iter().filter(uses);
        let mut places: Vec<SourcePlace<'a>> =
            codes.filter_map(|code| case.places.of(code)).collect();
        places.sort_by_key(|place| {
            (self.is_library(place), place.function == "<module>", is_installed(place), *place)
        });
        places
    }

    /// Whether a place is in the standard library or the interpreter itself.
    pub(super) fn is_library(&self, place: &SourcePlace<'_>) -> bool {
        let file = place.file;
        let inside = self.library.is_some_and(|folder| file.starts_with(folder));
        file.starts_with('<') || (inside || file.contains("/lib/python")) && !is_installed(place)
    }

    /// The code that uses what `text` names, where the heap has that string.
    pub(super) fn users_of(&self, attribute: &str) -> Vec<SourcePlace<'a>> {
        let Some(details) = &self.ask.case().details else { return Vec::new() };
        let quoted = [format!("'{attribute}'"), format!("u'{attribute}'")];
        let size = attribute.len() as u64;
        let named = self.all(|name| name == "str").into_iter().find(|id| {
            let fits = self.heap.size(*id).0.saturating_sub(size) < 64;
            fits && details
                .preview(self.heap, *id, PreviewLength::Short)
                .is_some_and(|text| quoted.contains(&text))
        });
        named.map(|name| self.users(name)).unwrap_or_default()
    }

    /// The holder that an object is, with a place in the source.
    pub(super) fn holder(&self, id: ObjectId, place: Option<SourcePlace<'_>>) -> Holder {
        let path = self.paths.to(id).unwrap_or_default();
        let file = place.map(|place| place.file.to_owned()).or(path.file);
        Holder {
            path: Some(short(&path.text)).filter(|text| !text.is_empty()),
            object: self.heap.addr(id),
            type_name: self.heap.type_row(self.heap.type_of(id)).map(|ty| ty.name.clone()),
            line: place.map_or(path.line, |place| place.line),
            file,
            hold: crate::Hold::Retains,
            objects: self.kept.objects(id),
            bytes: self.retained(id),
            also_reached_from: 0,
        }
    }

    /// The way to an object as Python would write it.
    pub(super) fn path(&self, id: ObjectId) -> String {
        let path = self.paths.to(id).unwrap_or_default();
        if path.text.is_empty() { self.heap.addr(id).to_string() } else { short(&path.text) }
    }

    /// What an object begins with when it is printed.
    pub(super) fn preview(&self, id: ObjectId) -> Option<String> {
        self.ask.case().details.as_ref()?.preview(self.heap, id, PreviewLength::Short)
    }
}

/// A path that a sentence can hold: keys may be long.
fn short(path: &str) -> String {
    let count = path.chars().count();
    if count <= LONGEST_PATH {
        return path.to_owned();
    }
    let half = LONGEST_PATH / 2;
    let begin: String = path.chars().take(half).collect();
    let end: String = path.chars().skip(count - half).collect();
    format!("{begin}…{end}")
}

/// Where the standard library is: an interpreter that was never installed has it elsewhere.
fn library(heap: &HeapGraph) -> Option<&str> {
    let mut of_os = heap.roots().iter().filter(|root| root.name.starts_with("sys.modules['os']."));
    let file = of_os.find_map(|root| root.file.as_deref())?;
    file.rfind('/').and_then(|slash| file.get(..=slash))
}

/// Whether a place is in a package that somebody installed.
pub(super) fn is_installed(place: &SourcePlace<'_>) -> bool {
    ["/site-packages/", "/dist-packages/"].iter().any(|folder| place.file.contains(folder))
}

/// ` (app/cache.py:31)`, nothing where no place is known.
pub(super) fn in_brackets(place: Option<&SourcePlace<'_>>) -> String {
    place.map_or_else(String::new, |place| format!(" ({})", crate::analyses::origin::at(place)))
}

/// `handle() (app.py:9)`, or the file alone.
pub(super) fn called(place: &SourcePlace<'_>) -> String {
    format!("{}() ({})", place.function, crate::analyses::origin::at(place))
}
