//! Futures and tasks of asyncio. Source: `Modules/_asynciomodule.c: FutureObj_repr`,
//! `Lib/asyncio/base_tasks.py: _task_repr_info`.

use super::subject::Subject;
use super::writer::Writer;
use super::{Family, Write};
use memwhy_target::Fault;

pub(super) static FAMILY: Family =
    &[(&["_asyncio.Task"], task as Write), (&["_asyncio.Future"], future)];

fn task(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, addr) = (writer.memory, subject.addr);
    let fields = writer.layouts.task.ok_or(Fault::unmapped(addr))?;
    state(writer, subject)?;
    if let Some(name) = fields.name {
        let name = name.read(memory, addr)?;
        writer.text(" name=");
        writer.object_or(name, "?");
    }
    let coroutine = fields.coroutine.read(memory, addr)?;
    writer.text(" coro=");
    writer.object_or(coroutine, "None");
    writer.close(">");
    Ok(())
}

fn future(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    state(writer, subject)?;
    writer.close(">");
    Ok(())
}

/// A task begins as a future does.
fn state(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let fields = writer.layouts.task.ok_or(Fault::unmapped(subject.addr))?;
    let state = match fields.state.read(writer.memory, subject.addr)? {
        0 => "pending",
        1 => "cancelled",
        2 => "finished",
        _ => "?",
    };
    writer.text(&format!("<{} {state}", subject.short_name()));
    Ok(())
}
