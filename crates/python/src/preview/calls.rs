//! What can be called. Source: `Objects/funcobject.c: func_repr`, `Objects/methodobject.c:
//! meth_repr`, `Objects/classobject.c: method_repr`, `Objects/descrobject.c: descr_repr`,
//! `Modules/_functoolsmodule.c: partial_repr`.

use super::subject::{Subject, c_name, c_name_of};
use super::writer::Writer;
use super::{Family, Write};
use crate::dict;
use crate::layout::Ptr;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

pub(super) static FAMILY: Family = &[
    (&["function"], function as Write),
    (&["builtin_function_or_method", "builtin_method"], builtin),
    (&["method", "instancemethod"], method),
    (&["method_descriptor", "classmethod_descriptor"], method_descriptor),
    (&["wrapper_descriptor"], slot_wrapper),
    (&["getset_descriptor"], attribute),
    (&["member_descriptor"], member),
    (&["method-wrapper"], method_wrapper),
    (&["staticmethod", "classmethod"], wrapped),
    (&["functools.partial"], partial),
    (&["functools._lru_cache_wrapper"], cached),
    (&["property"], property),
];

/// The word number `index` behind what every object begins with.
fn field(writer: &Writer<'_>, addr: Addr, index: u64) -> Result<Ptr, Fault> {
    writer.memory.ptr(addr.at(writer.layouts.object.size + index * 8))
}

/// `qualname` of a function, its name where it has none.
fn function_name(writer: &Writer<'_>, function: Addr) -> Result<Ptr, Fault> {
    let fields = writer.layouts.function_object;
    fields.func_qualname.unwrap_or(fields.func_name).read(writer.memory, function)
}

fn function(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let name = function_name(writer, subject.addr)?;
    writer.text("<function ");
    writer.name(name);
    writer.at(subject.addr);
    writer.close(">");
    Ok(())
}

/// `PyCFunctionObject`: the definition, which begins with a C string, then what it is bound to.
fn builtin(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let definition = field(writer, subject.addr, 0)?.ok_or(Fault::unmapped(subject.addr))?;
    let name = memory.ptr(definition)?.ok_or(Fault::unmapped(definition))?;
    let name = memory.c_string(name, 200)?;
    let bound_to = field(writer, subject.addr, 1)?;
    let of = bound_to.map(|object| c_name_of(memory, layouts, object)).transpose()?;
    match (bound_to, of) {
        (Some(object), Some(of)) if of != "module" => {
            writer.text(&format!("<built-in method {name} of {of} object"));
            writer.at(object);
        }
        _ => writer.text(&format!("<built-in function {name}")),
    }
    writer.close(">");
    Ok(())
}

fn method(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let fields = layouts.method;
    let function =
        fields.im_func.read(memory, subject.addr)?.ok_or(Fault::unmapped(subject.addr))?;
    let is_function = c_name_of(memory, layouts, function)? == "function";
    let name = if is_function { function_name(writer, function)? } else { None };
    let bound_to = fields.im_self.read(memory, subject.addr)?;
    writer.text(if bound_to.is_some() { "<bound method " } else { "<unbound method " });
    // 2.7 says whose method it is; later a qualified name does.
    if let Some(class) = fields.im_class {
        let class = class.read(memory, subject.addr)?;
        let name = class.map_or_else(|| "?".to_owned(), |class| class_name(writer, class));
        writer.text(&format!("{name}."));
    }
    match name {
        Some(_) => writer.name(name),
        None => writer.leave_out(),
    }
    if let Some(object) = bound_to {
        writer.text(" of ");
        writer.object(object);
    }
    writer.close(">");
    Ok(())
}

/// `__name__` of a class of either kind.
fn class_name(writer: &Writer<'_>, class: Addr) -> String {
    let (memory, layouts) = (writer.memory, writer.layouts);
    if let Some(fields) = layouts.class_object
        && c_name_of(memory, layouts, class).is_ok_and(|name| name == "classobj")
    {
        let name = fields.cl_name.read(memory, class).ok().flatten();
        let read = |name| crate::text::read(memory, layouts, name, 200).ok();
        return name.and_then(read).unwrap_or_else(|| "?".to_owned());
    }
    let name = c_name(memory, layouts, class).unwrap_or_else(|_| "?".to_owned());
    name.rsplit('.').next().unwrap_or_default().to_owned()
}

fn method_descriptor(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    descriptor(writer, subject, "method", " objects")
}

fn slot_wrapper(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    descriptor(writer, subject, "slot wrapper", " objects")
}

fn attribute(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    descriptor(writer, subject, "attribute", " objects")
}

fn member(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    descriptor(writer, subject, "member", " objects")
}

/// `PyDescrObject`: the type, then the name.
fn descriptor(
    writer: &mut Writer<'_>,
    subject: &Subject,
    what: &str,
    end: &str,
) -> Result<(), Fault> {
    let ty = field(writer, subject.addr, 0)?;
    let name = field(writer, subject.addr, 1)?;
    writer.text(&format!("<{what} '"));
    writer.name(name);
    let of = ty.map(|ty| c_name(writer.memory, writer.layouts, ty)).transpose()?;
    writer.text(&format!("' of '{}'{end}", of.as_deref().unwrap_or("?")));
    writer.close(">");
    Ok(())
}

/// `wrapperobject`: the descriptor, then what it is bound to.
fn method_wrapper(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let descriptor = field(writer, subject.addr, 0)?.ok_or(Fault::unmapped(subject.addr))?;
    let bound_to = field(writer, subject.addr, 1)?.ok_or(Fault::unmapped(subject.addr))?;
    let name = field(writer, descriptor, 1)?;
    let of = c_name_of(writer.memory, writer.layouts, bound_to)?;
    writer.text("<method-wrapper '");
    writer.name(name);
    writer.text(&format!("' of {of} object"));
    writer.at(bound_to);
    writer.close(">");
    Ok(())
}

/// `staticmethod`, `classmethod`: what they wrap is the first field.
fn wrapped(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let inner = field(writer, subject.addr, 0)?;
    if writer.layouts.wording.wrappers_say_what {
        writer.text(&format!("<{}(", subject.short_name()));
        writer.object_or(inner, "?");
        writer.close(")>");
        return Ok(());
    }
    writer.text(&format!("<{} object", subject.short_name()));
    writer.at(subject.addr);
    writer.text(" of ");
    writer.object_or(inner, "?");
    writer.close(">");
    Ok(())
}

fn partial(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts, addr) = (writer.memory, writer.layouts, subject.addr);
    let fields = layouts.partial.ok_or(Fault::unmapped(addr))?;
    let function = fields.function.read(memory, addr)?;
    writer.text("functools.partial(");
    match function {
        Some(function) => writer.item(function),
        None => writer.text("?"),
    }
    if let Some(args) = fields.args.read(memory, addr)? {
        let count = u64::try_from(layouts.var_object.ob_size.read(memory, args)?).unwrap_or(0);
        let count = count.min(writer.worth_reading() as u64);
        for item in memory.words(layouts.tuple_object.ob_item.addr(args), count, 1 << 16)? {
            writer.text(", ");
            writer.item(Addr(item));
        }
    }
    if let Some(keywords) = fields.keywords.read(memory, addr)? {
        for (name, value) in dict::entries(memory, layouts, keywords, writer.worth_reading())? {
            writer.text(", ");
            writer.name(Some(name));
            writer.text("=");
            writer.item(value);
        }
    }
    writer.close(")");
    Ok(())
}

/// What `cache_info()` would say follows the address.
fn cached(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts, addr) = (writer.memory, writer.layouts, subject.addr);
    writer.text("<functools._lru_cache_wrapper object");
    writer.at(addr);
    if let Some(fields) = layouts.lru_cache {
        let [hits, misses, most] = [fields.hits, fields.misses, fields.maxsize]
            .map(|field| field.read(memory, addr).unwrap_or(-1));
        let cache = fields.cache.read(memory, addr)?;
        let size =
            cache.map(|cache| layouts.dict_object.ma_used.read(memory, cache)).transpose()?;
        let function = fields.func.read(memory, addr)?;
        writer.text(" of ");
        let is_function = function
            .is_some_and(|at| c_name_of(memory, layouts, at).is_ok_and(|n| n == "function"));
        match function {
            Some(function) if is_function => {
                let name = function_name(writer, function)?;
                writer.name(name);
            }
            other => writer.object_or(other, "?"),
        }
        let most = if most < 0 { "None".to_owned() } else { most.to_string() };
        writer.text(&format!(" hits={hits} misses={misses} maxsize={most}"));
        writer.text(&format!(" currsize={}", size.unwrap_or(0)));
    }
    writer.close(">");
    Ok(())
}

fn property(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    writer.text("<property object");
    writer.at(subject.addr);
    let getter = writer.layouts.property.and_then(|fields| {
        let getter = fields.get.read(writer.memory, subject.addr).ok()??;
        let is_function = c_name_of(writer.memory, writer.layouts, getter).ok()? == "function";
        is_function.then_some(getter)
    });
    if let Some(getter) = getter {
        writer.text(" of ");
        let name = function_name(writer, getter)?;
        writer.name(name);
    }
    writer.close(">");
    Ok(())
}
