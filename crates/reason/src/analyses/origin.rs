//! Where in the source does an object come from?
//!
//! Code knows its place; everything else leads to code: a function has some, a method a function,
//! a class its methods, an instance its class.

use super::Analysis;
use crate::Ask;
use crate::wording::short_type;
use memwhy_model::{HeapGraph, Label, ObjectId, SourcePlace, TypeId};
use std::collections::HashSet;

/// References of a class's dict that are looked at.
const MEMBERS: usize = 4096;

/// How far what wraps a function may be from it: `partial` of a method of an instance.
const WRAPPINGS: u32 = 4;

/// See the [module](self).
#[derive(Debug)]
pub struct Origin;

/// What is needed to look places up: which objects are classes.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    classes: HashSet<ObjectId>,
}

impl Analysis for Origin {
    /// Empty where there is no heap.
    type Answer = Origins;
    const NAME: &'static str = "origin";

    fn compute(ask: &Ask<'_>) -> Origins {
        let Some(heap) = &ask.heap else { return Origins::default() };
        // Classes without instances are known by their metaclass.
        let rows = heap.types().iter().filter_map(|ty| heap.find(ty.addr));
        let mut classes: HashSet<ObjectId> = rows.collect();
        let metaclasses: HashSet<TypeId> = classes.iter().map(|id| heap.type_of(*id)).collect();
        classes.extend(heap.ids().filter(|id| metaclasses.contains(&heap.type_of(*id))));
        Origins { classes }
    }
}

impl Origins {
    /// The place that an object leads to, if one is known.
    #[must_use]
    pub fn of<'c>(&self, ask: &Ask<'c>, object: ObjectId) -> Option<SourcePlace<'c>> {
        self.within(ask, object, WRAPPINGS)
    }

    fn within<'c>(&self, ask: &Ask<'c>, object: ObjectId, left: u32) -> Option<SourcePlace<'c>> {
        let case = ask.case();
        let heap = case.heap.as_ref()?;
        if let Some(place) = case.places.of(object) {
            return Some(place);
        }
        let left = left.checked_sub(1)?;
        let first = |names: &[&str]| {
            let mut to = heap.references(object).iter();
            to.find(|to| names.contains(&kind(heap, **to))).copied()
        };
        match kind(heap, object) {
            "function" | "frame" => self.within(ask, first(&["code"])?, left),
            "method"
            | "instancemethod"
            | "staticmethod"
            | "classmethod"
            | "property"
            | "functools.partial"
            | "functools._lru_cache_wrapper" => {
                self.within(ask, first(&["function", "method", "functools.partial"])?, left)
            }
            "classobj" => Self::of_class(ask, object),
            "instance" => Self::of_class(ask, first(&["classobj"])?),
            _ if self.classes.contains(&object) => Self::of_class(ask, object),
            _ => {
                let class = heap.find(heap.type_row(heap.type_of(object))?.addr)?;
                Self::of_class(ask, class)
            }
        }
    }

    /// Where a class begins, as its methods tell: at the first of them.
    fn of_class<'c>(ask: &Ask<'c>, class: ObjectId) -> Option<SourcePlace<'c>> {
        let case = ask.case();
        let heap = case.heap.as_ref()?;
        let members = members(heap, class)?;
        let functions = heap.references(members).iter().take(MEMBERS);
        let functions = functions.filter(|to| kind(heap, **to) == "function");
        let places = functions.filter_map(|function| {
            let mut code = heap.references(*function).iter();
            case.places.of(*code.find(|to| kind(heap, **to) == "code")?)
        });
        places.min_by_key(|place| place.line)
    }

    /// Whether an object is the type of others.
    #[must_use]
    pub fn is_class(&self, object: ObjectId) -> bool {
        self.classes.contains(&object)
    }

    /// The function that a class has under a name, its own or that of a base.
    #[must_use]
    pub fn method(&self, ask: &Ask<'_>, class: ObjectId, name: &str) -> Option<ObjectId> {
        let (heap, details) = (ask.heap.as_ref()?, ask.details.as_ref()?);
        let mut todo = vec![class];
        let mut seen = Vec::new();
        while let Some(class) = todo.pop() {
            if seen.len() > 64 || seen.contains(&class) {
                continue;
            }
            seen.push(class);
            if let Some(members) = members(heap, class) {
                let labels = details.labels(heap, members);
                let named = labels.iter().zip(heap.references(members)).find(|(label, _)| {
                    matches!(label, Label::Key(key) | Label::Attribute(key)
                             if key.trim_matches(['\'', '"']) == name)
                });
                if let Some((_, found)) = named {
                    return Some(*found);
                }
            }
            let bases = heap.references(class).iter();
            let bases = bases.filter(|to| kind(heap, **to) == "tuple");
            let bases = bases.flat_map(|tuple| heap.references(*tuple));
            let is_class =
                |to: &&ObjectId| self.classes.contains(to) || kind(heap, **to) == "classobj";
            todo.extend(bases.filter(is_class));
        }
        None
    }

    /// The class of an object: its type, or in 2.7 the class of an instance of the old style.
    #[must_use]
    pub fn class_of(&self, heap: &HeapGraph, object: ObjectId) -> Option<ObjectId> {
        if kind(heap, object) == "instance" {
            let mut to = heap.references(object).iter();
            return to.find(|to| kind(heap, **to) == "classobj").copied();
        }
        heap.find(heap.type_row(heap.type_of(object))?.addr)
    }
}

/// The short name of an object's type.
#[must_use]
pub fn kind(heap: &HeapGraph, object: ObjectId) -> &str {
    heap.type_row(heap.type_of(object)).map_or("", |ty| short_type(&ty.name))
}

/// The dict of a class: the first that it refers to.
fn members(heap: &HeapGraph, class: ObjectId) -> Option<ObjectId> {
    let mut to = heap.references(class).iter();
    to.find(|to| kind(heap, **to) == "dict").copied()
}

/// `app/cache.py:31`, or the file alone.
#[must_use]
pub fn at(place: &SourcePlace<'_>) -> String {
    match place.line {
        Some(line) => format!("{}:{line}", place.file),
        None => place.file.to_owned(),
    }
}
