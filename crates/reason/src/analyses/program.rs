//! Which part of the heap is the program itself, and which is what it works on?
//!
//! Modules, classes, functions and code, with the names, constants and documentation they carry,
//! are there from the import on; they are not what grew. The rest is data.

use super::Analysis;
use crate::Ask;
use crate::wording::short_type;
use memwhy_model::{Bytes, HeapGraph, ObjectId};

/// Types whose objects are the program: each of them ends a search for data.
///
/// `type` stands for every class: objects that are the type of other objects belong here, of
/// whatever metaclass. Frames are the program at work.
pub const PROGRAM_TYPES: [&str; 15] = [
    "module",
    "type",
    "function",
    "code",
    "frame",
    "builtin_function_or_method",
    "method_descriptor",
    "wrapper_descriptor",
    "method-wrapper",
    "classmethod_descriptor",
    "getset_descriptor",
    "member_descriptor",
    "classmethod",
    "staticmethod",
    "property",
];

/// Types that code carries as constants and names.
const CONSTANT_TYPES: [&str; 9] =
    ["str", "bytes", "tuple", "int", "float", "complex", "frozenset", "code", "ellipsis"];

/// See the [module](self).
#[derive(Debug)]
pub struct Program;

/// The program as opposed to its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramText {
    /// Objects of the program.
    pub objects: u64,
    /// What they take in memory.
    pub footprint: Bytes,
    /// Number of all other objects.
    pub data_objects: u64,
    /// What those take in memory.
    pub data: Bytes,
    /// For each object, whether it belongs to the program.
    marked: Vec<bool>,
}

impl ProgramText {
    /// Whether an object belongs to the program.
    #[must_use]
    pub fn has(&self, id: ObjectId) -> bool {
        self.marked.get(id.0 as usize).copied().unwrap_or(false)
    }
}

/// For each type, by its place in [`HeapGraph::types`], whether its name is one of `names`.
#[must_use]
pub fn types_named(heap: &HeapGraph, names: &[&str]) -> Vec<bool> {
    heap.types().iter().map(|ty| names.contains(&short_type(&ty.name))).collect()
}

/// The objects that are modules, classes, functions, code and the like.
#[must_use]
pub fn program_objects(heap: &HeapGraph) -> Vec<bool> {
    let stops = types_named(heap, &PROGRAM_TYPES);
    let mut marked: Vec<bool> = heap
        .ids()
        .map(|id| stops.get(heap.type_of(id).0 as usize).copied().unwrap_or(false))
        .collect();
    for class in heap.types().iter().filter_map(|ty| heap.find(ty.addr)) {
        if let Some(mark) = marked.get_mut(class.0 as usize) {
            *mark = true;
        }
    }
    marked
}

impl Analysis for Program {
    /// Empty where there is no heap.
    type Answer = ProgramText;
    const NAME: &'static str = "program";

    fn compute(ask: &Ask<'_>) -> ProgramText {
        ask.heap.as_ref().map(of).unwrap_or_default()
    }
}

fn of(heap: &HeapGraph) -> ProgramText {
    let mut marked = program_objects(heap);
    let is_type = |names: &[&str]| {
        let named = types_named(heap, names);
        move |id: ObjectId| named.get(heap.type_of(id).0 as usize).copied().unwrap_or(false)
    };
    let (is_code, is_constant) = (is_type(&["code"]), is_type(&CONSTANT_TYPES));
    let is_table = is_type(&["dict", "tuple", "str", "mappingproxy"]);
    // A frame's references are the values of its variables: data, however they are typed.
    let is_frame = is_type(&["frame"]);
    let mut todo: Vec<ObjectId> = Vec::new();
    // A class or function has a dict, a tuple of bases or defaults, its names and its text. What
    // a class stores in that dict is data again, unless it is program itself.
    for id in heap.ids().filter(|id| marked[id.0 as usize]).collect::<Vec<_>>() {
        for &to in heap.references(id) {
            let Some(mark) = marked.get_mut(to.0 as usize) else { continue };
            if is_code(id) && is_constant(to) && !*mark {
                *mark = true;
                todo.push(to);
            } else if is_table(to) && !is_frame(id) {
                *mark = true;
            }
        }
    }
    while let Some(id) = todo.pop() {
        for &to in heap.references(id) {
            let Some(mark) = marked.get_mut(to.0 as usize) else { continue };
            if !*mark && is_constant(to) {
                *mark = true;
                todo.push(to);
            }
        }
    }
    let mut text = ProgramText::default();
    for (id, mark) in heap.ids().zip(&marked) {
        let (objects, bytes) = if *mark {
            (&mut text.objects, &mut text.footprint)
        } else {
            (&mut text.data_objects, &mut text.data)
        };
        *objects += 1;
        *bytes += heap.footprint(id);
    }
    text.marked = marked;
    text
}

#[cfg(test)]
mod tests {
    use super::Program;
    use crate::Ask;
    use memwhy_model::{Addr, Bytes, Case, Flags, HeapBuilder, ObjectId, TypeId, TypeRow};

    #[test]
    fn constants_of_code_are_program_and_lists_are_data() {
        let names = ["builtins.code", "builtins.tuple", "builtins.str", "builtins.list"];
        let mut heap = HeapBuilder::default();
        // 0: code -> 1: tuple -> 2: str; 3: list -> 4: str
        for (n, ty) in [0, 1, 2, 3, 2].into_iter().enumerate() {
            heap.push(Addr(0x1000 + n as u64 * 64), TypeId(ty), 64, Flags::default());
        }
        heap.seal_objects();
        for row in [vec![1], vec![2], vec![], vec![4], vec![]] {
            heap.push_references(row.into_iter().map(ObjectId));
        }
        let types = names.map(|name| TypeRow { name: name.into(), ..TypeRow::default() });
        let case = Case { heap: Some(heap.finish(types.into())), ..Case::default() };
        let text = Ask::new(&case).get::<Program>();
        assert_eq!((text.objects, text.data_objects), (3, 2));
        assert_eq!(text.footprint + text.data, Bytes(5 * 64));
        assert!(text.has(ObjectId(2)) && !text.has(ObjectId(4)));
    }
}
