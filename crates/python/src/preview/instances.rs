//! Instances of classes: their attributes stand for what a `__repr__` in Python would say. Source:
//! `Objects/typeobject.c: object_repr`, `Lib/enum.py: Enum.__repr__`, `Lib/collections/__init__.py:
//! namedtuple`.

use super::subject::{Subject, c_name_of, class_attribute};
use super::writer::Writer;
use super::{Family, Write, containers};
use crate::layout::TypeFlags;
use crate::{attributes, dict, text};
use memwhy_model::Addr;
use memwhy_target::Fault;

pub(super) static FAMILY: Family = &[(&["instance"], old_instance as Write)];

/// Attributes are read up to this number.
const MOST_ATTRIBUTES: usize = 64;

/// `<app.Session user='x' since=5>`; with its address where it has no attributes.
pub(super) fn instance(writer: &mut Writer<'_>, subject: &Subject) {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let name = subject.type_name(memory, layouts);
    let limit = writer.worth_reading().min(MOST_ATTRIBUTES);
    let mut found = attributes::slots(memory, layouts, subject.addr, limit).unwrap_or_default();
    // Those of a class whose place cannot be read are left out, not the instance.
    let others = attributes::attributes(memory, layouts, subject.addr, limit).unwrap_or_default();
    found.extend(others);
    writer.text(&format!("<{name}"));
    if found.is_empty() {
        writer.text(" object");
        writer.at(subject.addr);
    }
    said(writer, &found);
}

/// 2.7: an instance of a class that is no type.
fn old_instance(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts, addr) = (writer.memory, writer.layouts, subject.addr);
    let (Some(fields), Some(class)) = (layouts.instance, layouts.class_object) else {
        return Err(Fault::unmapped(addr));
    };
    let of = fields.in_class.read(memory, addr)?.ok_or(Fault::unmapped(addr))?;
    let own = class.cl_dict.read(memory, of)?;
    let module = own.map(|own| dict::get(memory, layouts, own, "__module__")).transpose()?;
    let name = class.cl_name.read(memory, of)?;
    writer.text("<");
    writer.name(module.flatten());
    writer.text(".");
    writer.name(name);
    let found = match fields.in_dict.read(memory, addr)? {
        Some(own) => dict::entries(memory, layouts, own, MOST_ATTRIBUTES)?,
        None => Vec::new(),
    };
    if found.is_empty() {
        writer.text(" instance");
        writer.at(addr);
    }
    said(writer, &found);
    Ok(())
}

fn said(writer: &mut Writer<'_>, attributes: &[(Addr, Addr)]) {
    for (name, value) in attributes {
        if writer.full() {
            writer.leave_out();
            break;
        }
        writer.text(" ");
        writer.name(Some(*name));
        writer.text("=");
        writer.item(*value);
    }
    writer.close(">");
}

/// Writes what is known to have a `__repr__` of a fixed form: members of enumerations and named
/// tuples. `false` where it is neither, and nothing was written.
pub(super) fn speaks_for_itself(writer: &mut Writer<'_>, subject: &Subject) -> bool {
    if subject.flags & TypeFlags::HEAPTYPE == 0 {
        return false;
    }
    member(writer, subject).or_else(|| tuple(writer, subject)).is_some()
}

fn member(writer: &mut Writer<'_>, subject: &Subject) -> Option<()> {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let meta = c_name_of(memory, layouts, subject.ty).ok()?;
    if meta != "EnumMeta" && meta != "EnumType" {
        return None;
    }
    let get = |name| attributes::get(memory, layouts, subject.addr, name).ok().flatten();
    let name = text::read(memory, layouts, get("_name_")?, 200).ok()?;
    let value = get("_value_")?;
    writer.text(&format!("<{}.{name}: ", subject.short_name()));
    writer.object(value);
    writer.close(">");
    Some(())
}

fn tuple(writer: &mut Writer<'_>, subject: &Subject) -> Option<()> {
    if subject.flags & TypeFlags::TUPLE_SUBCLASS == 0 || !subject.has_own_repr {
        return None;
    }
    let fields = class_attribute(writer.memory, writer.layouts, subject.ty, None, "_fields")?;
    containers::named_tuple(writer, subject, fields)
}
