//! By which names are objects known: members of modules, attributes of classes?

use crate::heap::Heap;
use crate::layout::{Layouts, TypeFlags};
use crate::{dict, text};
use memwhy_model::{Addr, HeapGraph, ObjectId, Root, RootKind};
use memwhy_target::Memory;

/// A number, a string or bytes with a name is worth naming from this size on.
const WORTH_NAMING: u64 = 64 << 10;
/// Names beyond that many are not collected.
const MOST: usize = 1 << 20;

/// Collects names: of every module in the dicts at `modules`, one of each interpreter, the main
/// one's first, and of every class.
pub(super) fn collect(
    memory: &dyn Memory,
    layouts: &Layouts,
    graph: &HeapGraph,
    heap: &Heap,
    modules: &[Addr],
) -> Vec<Root> {
    let names = Names { memory, layouts, graph, heap };
    let mut roots = Vec::new();
    for (number, at) in modules.iter().enumerate() {
        let whose = if number == 0 { String::new() } else { format!("interpreter {number}: ") };
        for (name, module) in dict::entries(memory, layouts, *at, MOST).unwrap_or_default() {
            let Ok(name) = text::read(memory, layouts, name, 512) else { continue };
            let file = names.file_of(module);
            let Some(members) = names.members_of(module) else { continue };
            let whose = format!("{whose}sys.modules['{name}']");
            names.add(members, &whose, file.as_deref(), &mut roots);
        }
    }
    for info in heap.types.iter().filter(|info| info.has(TypeFlags::HEAPTYPE)) {
        let own = layouts.type_object.tp_dict.read(memory, info.addr);
        if let Ok(Some(own)) = own {
            names.add(own, &info.name, None, &mut roots);
        }
    }
    roots
}

struct Names<'a> {
    memory: &'a dyn Memory,
    layouts: &'a Layouts,
    graph: &'a HeapGraph,
    heap: &'a Heap,
}

impl Names<'_> {
    /// The dict of a module; `None` for whatever else somebody put into `sys.modules`.
    fn members_of(&self, module: Addr) -> Option<Addr> {
        let id = self.heap.index.find(self.graph, module)?;
        let info = self.heap.types.get(self.graph.type_of(id).0 as usize)?;
        // Subclasses of module, which lazy imports use, begin as modules do.
        let like_module = info.basicsize >= self.layouts.module.size && self.is_module(info.addr);
        like_module.then(|| self.layouts.module.md_dict.read(self.memory, module).ok()?)?
    }

    /// Whether the type at `addr` is `module` or derives from it.
    fn is_module(&self, mut addr: Addr) -> bool {
        for _ in 0..16 {
            let known = self.heap.types.iter().find(|info| info.addr == addr);
            if known.is_some_and(|info| info.name == "builtins.module") {
                return true;
            }
            match self.layouts.type_object.tp_base.read(self.memory, addr) {
                Ok(Some(base)) => addr = base,
                _ => return false,
            }
        }
        false
    }

    fn file_of(&self, module: Addr) -> Option<String> {
        let members = self.members_of(module)?;
        let file = dict::get(self.memory, self.layouts, members, "__file__").ok()??;
        text::read(self.memory, self.layouts, file, 4096).ok()
    }

    /// Adds what the dict at `members` names and is worth it.
    fn add(&self, members: Addr, whose: &str, file: Option<&str>, roots: &mut Vec<Root>) {
        let Ok(entries) = dict::entries(self.memory, self.layouts, members, MOST) else { return };
        for (name, value) in entries {
            let Some(object) = self.heap.index.find(self.graph, value) else { continue };
            if roots.len() >= MOST || !self.worth_naming(object) {
                continue;
            }
            let Ok(name) = text::read(self.memory, self.layouts, name, 256) else { continue };
            roots.push(Root {
                kind: RootKind::Name,
                name: format!("{whose}.{name}"),
                object,
                file: file.map(str::to_owned),
                line: None,
            });
        }
    }

    /// Containers and instances, and large flat objects. The program itself (modules, classes,
    /// functions) is named elsewhere.
    fn worth_naming(&self, object: ObjectId) -> bool {
        const PROGRAM: [&str; 12] = [
            "builtins.module",
            "builtins.function",
            "builtins.builtin_function_or_method",
            "builtins.method",
            "builtins.property",
            "builtins.staticmethod",
            "builtins.classmethod",
            "builtins.getset_descriptor",
            "builtins.member_descriptor",
            "builtins.method_descriptor",
            "builtins.wrapper_descriptor",
            "builtins.classmethod_descriptor",
        ];
        let info = self.heap.types.get(self.graph.type_of(object).0 as usize);
        info.is_some_and(|info| {
            let program = info.has(TypeFlags::TYPE_SUBCLASS) || PROGRAM.contains(&&*info.name);
            let container = info.has(TypeFlags::HAVE_GC);
            !program && (container || self.graph.footprint(object).0 >= WORTH_NAMING)
        })
    }
}
