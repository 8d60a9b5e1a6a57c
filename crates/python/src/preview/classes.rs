//! Types, modules and code. Source: `Objects/typeobject.c: type_repr`, `Objects/classobject.c:
//! class_repr` (2.7), `Lib/importlib/_bootstrap.py: _module_repr`, `Objects/codeobject.c:
//! code_repr`.

use super::subject::{Subject, type_name};
use super::writer::Writer;
use super::{Family, Write};
use crate::layout::TypeFlags;
use crate::{dict, text};
use memwhy_target::Fault;

pub(super) static FAMILY: Family = &[
    (&["type"], class as Write),
    (&["classobj"], old_class),
    (&["module"], module),
    (&["code"], code),
];

fn class(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let flags = writer.layouts.type_object.tp_flags.read(writer.memory, subject.addr)?;
    let heap = flags & TypeFlags::HEAPTYPE != 0;
    let kind = if heap { "class" } else { writer.layouts.wording.static_type };
    let name = type_name(writer.memory, writer.layouts, subject.addr);
    writer.text(&format!("<{kind} '{name}'"));
    writer.close(">");
    Ok(())
}

fn old_class(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let fields = layouts.class_object.ok_or(Fault::unmapped(subject.addr))?;
    let own = fields.cl_dict.read(memory, subject.addr)?;
    let module = own.map(|own| dict::get(memory, layouts, own, "__module__")).transpose()?;
    let name = fields.cl_name.read(memory, subject.addr)?;
    writer.text("<class ");
    writer.name(module.flatten());
    writer.text(".");
    writer.name(name);
    writer.at(subject.addr);
    writer.close(">");
    Ok(())
}

fn module(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let own = layouts.module.md_dict.read(memory, subject.addr)?;
    let own = own.ok_or(Fault::unmapped(subject.addr))?;
    let said = |name| {
        let value = dict::get(memory, layouts, own, name).ok()??;
        text::read(memory, layouts, value, 512).ok()
    };
    writer.text("<module ");
    writer.quoted(said("__name__").as_deref().unwrap_or("?"));
    match said("__file__") {
        Some(file) => {
            writer.text(" from ");
            writer.quoted(&file);
        }
        None => writer.leave_out(),
    }
    writer.close(">");
    Ok(())
}

fn code(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, fields) = (writer.memory, writer.layouts.code_object);
    let name = fields.name.read(memory, subject.addr)?;
    let file = fields.filename.read(memory, subject.addr)?;
    let line = fields.firstlineno.read(memory, subject.addr)?;
    writer.text("<code object ");
    writer.name(name);
    writer.at(subject.addr);
    writer.text(", file \"");
    writer.name(file);
    writer.text(&format!("\", line {line}"));
    writer.close(">");
    Ok(())
}
