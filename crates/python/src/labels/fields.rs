//! Which words of a C struct have a name that Python code knows?

use super::{Each, Named, Names};
use crate::layout::tables::frame_object::FrameContent;
use crate::layout::tables::generator::GeneratorFrame;
use crate::layout::{Field, Layouts, Ptr, TypeFlags};
use crate::object::Object;
use crate::{attributes, text};
use memwhy_model::Addr;

/// Words beyond that many have no names.
const MOST_WORDS: u64 = 8192;

/// Types defined by C but made at run time, whose layout [`known`] has.
pub(super) fn is_known(name: &str) -> bool {
    matches!(
        name,
        "functools.partial"
            | "functools._lru_cache_wrapper"
            | "functools._lru_list_elem"
            | "_asyncio.Task"
            | "_asyncio.Future"
            | "collections.deque"
    )
}

/// Hands out the words of an object that its tables do not explain.
pub(super) fn each(names: &Names<'_>, object: &Object<'_>, family: &str, each: Each<'_>) {
    let fields = known(object.layouts, object.ty.flags, family);
    let slots = slots(names, object);
    let start = object.layouts.object.size;
    let end = if object.ty.has(TypeFlags::TYPE_SUBCLASS) {
        object.ty.basicsize.max(object.layouts.type_object.size)
    } else {
        object.ty.basicsize
    };
    let dict = u64::try_from(object.ty.dict_offset).ok().filter(|offset| *offset > 0);
    for offset in (start..end).step_by(8).take(usize::try_from(MOST_WORDS).unwrap_or(0)) {
        let Ok(word) = object.word(offset) else { break };
        let found = if let Some((_, name)) = fields.iter().find(|(at, _)| *at == offset) {
            Named::Field(name)
        } else if dict == Some(offset) {
            Named::Field("__dict__")
        } else if let Some((_, name)) = slots.iter().find(|(at, _)| *at == offset) {
            Named::Slot(name.clone())
        } else {
            Named::Word(offset)
        };
        each(Addr(word), found);
    }
}

/// Fields of the struct by their offset.
#[expect(clippy::too_many_lines, reason = "one arm a type")]
fn known(layouts: &Layouts, flags: u64, family: &str) -> Vec<(u64, &'static str)> {
    let mut known = Vec::new();
    let mut add = |field: Field<Ptr>, name| known.push((field.offset, name));
    let after_head = layouts.object.size;
    match family {
        "function" => {
            let fields = &layouts.function_object;
            add(fields.func_code, "__code__");
            add(fields.func_globals, "__globals__");
            add(fields.func_name, "__name__");
            add(fields.func_defaults, "__defaults__");
            add(fields.func_closure, "__closure__");
            add(fields.func_doc, "__doc__");
            add(fields.func_dict, "__dict__");
            add(fields.func_module, "__module__");
            fields.func_qualname.into_iter().for_each(|field| add(field, "__qualname__"));
            fields.func_kwdefaults.into_iter().for_each(|field| add(field, "__kwdefaults__"));
            fields.func_annotations.into_iter().for_each(|field| add(field, "__annotations__"));
        }
        "method" | "instancemethod" => {
            let fields = &layouts.method;
            add(fields.im_func, "__func__");
            add(fields.im_self, "__self__");
            fields.im_class.into_iter().for_each(|field| add(field, "im_class"));
        }
        "cell" => add(layouts.cell.ob_ref, "cell_contents"),
        "traceback" => {
            add(layouts.traceback.tb_next, "tb_next");
            add(layouts.traceback.tb_frame, "tb_frame");
        }
        "frame" => {
            add(layouts.frame_object.back, "f_back");
            if let FrameContent::Here { code, globals, builtins, locals, .. } =
                layouts.frame_object.content
            {
                add(code, "f_code");
                add(globals, "f_globals");
                add(builtins, "f_builtins");
                add(locals, "f_locals");
            }
        }
        "generator" | "coroutine" | "async_generator" => {
            if let GeneratorFrame::Object(frame) = layouts.generator.frame {
                add(frame, "gi_frame");
            }
            layouts.generator.code.into_iter().for_each(|field| add(field, "gi_code"));
            layouts.generator.name.into_iter().for_each(|field| add(field, "__name__"));
            layouts.generator.qualname.into_iter().for_each(|field| add(field, "__qualname__"));
        }
        "code" => {
            let fields = &layouts.code_object;
            add(fields.consts, "co_consts");
            add(fields.names, "co_names");
            add(fields.filename, "co_filename");
            add(fields.name, "co_name");
            fields.qualname.into_iter().for_each(|field| add(field, "co_qualname"));
        }
        "functools.partial" => partial(layouts, &mut add),
        "functools._lru_cache_wrapper" => {
            if let Some(fields) = layouts.lru_cache {
                add(fields.cache, "cache");
                add(fields.func, "__wrapped__");
                add(fields.dict, "__dict__");
            }
        }
        "functools._lru_list_elem" => {
            if let Some(fields) = layouts.lru_link {
                add(fields.key, "key");
                add(fields.result, "result");
            }
        }
        "_asyncio.Task" => {
            if let Some(fields) = layouts.task {
                add(fields.loop_, "_loop");
                add(fields.callbacks, "_callbacks");
                add(fields.result, "_result");
                add(fields.coroutine, "_coro");
                add(fields.fut_waiter, "_fut_waiter");
                fields.context.into_iter().for_each(|field| add(field, "_context"));
            }
        }
        "property" => {
            if let Some(fields) = layouts.property {
                add(fields.get, "fget");
                add(fields.set, "fset");
                add(fields.del, "fdel");
                add(fields.doc, "__doc__");
            }
        }
        "module" => add(layouts.module.md_dict, "__dict__"),
        "instance" => {
            if let Some(fields) = layouts.instance {
                add(fields.in_class, "__class__");
                add(fields.in_dict, "__dict__");
            }
        }
        "classobj" => {
            if let Some(fields) = layouts.class_object {
                add(fields.cl_bases, "__bases__");
                add(fields.cl_dict, "__dict__");
                add(fields.cl_name, "__name__");
            }
        }
        "weakref" | "weakref.ReferenceType" | "weakproxy" | "weakcallableproxy" => {
            add(layouts.weak_reference.wr_callback, "__callback__");
        }
        // `PyCFunctionObject`: the definition, then these two, in every release.
        "builtin_function_or_method" | "builtin_method" => {
            known.extend([(after_head + 8, "__self__"), (after_head + 16, "__module__")]);
        }
        // One word after the head, in every release.
        "staticmethod" | "classmethod" => known.push((after_head, "__func__")),
        "mappingproxy" | "dictproxy" => known.push((after_head, "mapping")),
        "super" => known.extend([(after_head, "__thisclass__"), (after_head + 8, "__self__")]),
        "slice" => known.extend([
            (after_head, "start"),
            (after_head + 8, "stop"),
            (after_head + 16, "step"),
        ]),
        "collections.defaultdict" => {
            known.push((layouts.dict_object.size, "default_factory"));
        }
        _ if flags & TypeFlags::TYPE_SUBCLASS != 0 => class(layouts, &mut add),
        _ if flags & TypeFlags::BASE_EXC_SUBCLASS != 0 => exception(layouts, &mut add),
        _ => {}
    }
    known
}

fn partial(layouts: &Layouts, add: &mut impl FnMut(Field<Ptr>, &'static str)) {
    if let Some(fields) = layouts.partial {
        add(fields.function, "func");
        add(fields.args, "args");
        add(fields.keywords, "keywords");
        add(fields.dict, "__dict__");
    }
}

fn class(layouts: &Layouts, add: &mut impl FnMut(Field<Ptr>, &'static str)) {
    let (fields, heap) = (&layouts.type_object, &layouts.heap_type);
    add(fields.tp_dict, "__dict__");
    add(fields.tp_base, "__base__");
    add(fields.tp_bases, "__bases__");
    add(fields.tp_mro, "__mro__");
    add(fields.tp_subclasses, "tp_subclasses");
    add(fields.tp_cache, "tp_cache");
    add(heap.ht_name, "__name__");
    add(heap.ht_slots, "__slots__");
    heap.ht_qualname.into_iter().for_each(|field| add(field, "__qualname__"));
    heap.ht_module.into_iter().for_each(|field| add(field, "ht_module"));
}

fn exception(layouts: &Layouts, add: &mut impl FnMut(Field<Ptr>, &'static str)) {
    let fields = &layouts.base_exception;
    add(fields.dict, "__dict__");
    add(fields.args, "args");
    fields.traceback.into_iter().for_each(|field| add(field, "__traceback__"));
    fields.context.into_iter().for_each(|field| add(field, "__context__"));
    fields.cause.into_iter().for_each(|field| add(field, "__cause__"));
    fields.notes.into_iter().for_each(|field| add(field, "__notes__"));
    fields.message.into_iter().for_each(|field| add(field, "message"));
}

/// Where the slots of an object's class and its bases are.
fn slots(names: &Names<'_>, object: &Object<'_>) -> Vec<(u64, String)> {
    let (memory, layouts) = (names.memory, names.layouts);
    let places = attributes::slot_places(memory, layouts, object.ty.addr).unwrap_or_default();
    let as_text = |(at, name)| Some((at, text::read(memory, layouts, name, 256).ok()?));
    places.into_iter().filter_map(as_text).collect()
}
