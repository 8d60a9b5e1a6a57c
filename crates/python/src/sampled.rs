//! Are objects laid out as the tables say, as far as a sample of them tells?
//!
//! A table that is of another release leads from an object into the middle of something. So a few
//! objects of each kind whose struct grows from release to release are asked for what must be
//! there: a function for its code, a type for its bases. What does not hold is refused as a whole.

use crate::layout::{Layouts, Ptr};
use crate::types::TypeInfo;
use memwhy_model::{Addr, Flags, HeapBuilder, HeapGraph, ObjectId, ProblemKind, Problems};
use memwhy_target::{Memory, MemoryExt};

/// Objects of a kind that are asked.
const ASKED: usize = 64;
/// Fewer tell nothing.
const FEWEST: usize = 8;

/// What must be in objects of a type: where, and of which type it is.
struct Law {
    /// The type whose objects are asked.
    of: &'static str,
    /// Where in them the address is.
    offset: u64,
    /// What C calls that.
    field: &'static str,
    /// The type of what is there.
    holds: &'static str,
}

fn laws(layouts: &Layouts) -> Vec<Law> {
    let (function, code) = (&layouts.function_object, &layouts.code_object);
    let law = |of, field: crate::layout::Field<Ptr>, holds| Law {
        of,
        offset: field.offset,
        field: field.name,
        holds,
    };
    vec![
        law("function", function.func_code, "code"),
        law("function", function.func_globals, "dict"),
        law("function", function.func_name, "str"),
        law("code", code.name, "str"),
        law("code", code.filename, "str"),
        law("code", code.consts, "tuple"),
        law("module", layouts.module.md_dict, "dict"),
        law("type", layouts.type_object.tp_mro, "tuple"),
        law("type", layouts.type_object.tp_bases, "tuple"),
    ]
}

/// Checks a sample, and marks all objects of the types that fail; says which those are.
pub(crate) fn check(
    memory: &dyn Memory,
    layouts: &Layouts,
    types: &[TypeInfo],
    heap: &mut HeapBuilder,
    problems: &mut Problems,
) -> Vec<&'static str> {
    let mut failed: Vec<&'static str> = Vec::new();
    for law in laws(layouts) {
        let graph = heap.graph();
        let asked = graph.ids().filter(|id| short_name(types, graph, *id) == Some(law.of));
        let (mut all, mut wrong) = (0, 0);
        for id in asked.take(ASKED) {
            // Types that are not ready yet have neither bases nor a dict.
            let Ok(Some(at)) = memory.ptr(graph.addr(id).at(law.offset)) else { continue };
            all += 1;
            wrong += usize::from(!holds(types, graph, at, law.holds));
        }
        if all >= FEWEST && wrong * 4 > all {
            problems.note(ProblemKind::CalibrationFailed, || {
                let Law { of, field, holds, .. } = law;
                format!("{field} is no {holds} in {wrong} of {all} objects of the type {of}")
            });
            if !failed.contains(&law.of) {
                failed.push(law.of);
            }
        }
    }
    for of in &failed {
        let graph = heap.graph();
        let all: Vec<ObjectId> =
            graph.ids().filter(|id| short_name(types, graph, *id) == Some(of)).collect();
        for id in all {
            heap.flag(id, Flags::PARTLY_READ);
        }
        heap.incomplete();
    }
    failed
}

fn holds(types: &[TypeInfo], graph: &HeapGraph, at: Addr, wanted: &str) -> bool {
    graph.find(at).and_then(|id| short_name(types, graph, id)).is_some_and(|name| {
        // Namespaces may be of a subclass of dict.
        name == wanted || (wanted == "dict" && name != "tuple" && name != "str")
    })
}

/// The name of an object's type, without the module of builtin ones.
fn short_name<'t>(types: &'t [TypeInfo], graph: &HeapGraph, id: ObjectId) -> Option<&'t str> {
    let name = types.get(graph.type_of(id).0 as usize)?.name.as_str();
    Some(name.strip_prefix("builtins.").unwrap_or(name))
}
