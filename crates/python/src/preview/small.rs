//! Constants and small things: `None`, ranges, slices, cells, weak references, locks. Source:
//! `Objects/object.c: none_repr`, `Objects/rangeobject.c: range_repr`, `Objects/sliceobject.c:
//! slice_repr`, `Objects/cellobject.c: cell_repr`, `Objects/weakrefobject.c: weakref_repr`,
//! `Modules/_threadmodule.c: lock_repr, rlock_repr`.

use super::subject::{Subject, c_name_of};
use super::writer::Writer;
use super::{Family, Write};
use crate::layout::Ptr;
use crate::layout::tables::lock::LockState;
use memwhy_target::{Fault, MemoryExt};

pub(super) static FAMILY: Family = &[
    (&["NoneType", "ellipsis", "NotImplementedType"], constant as Write),
    (&["range"], range),
    (&["xrange"], small_range),
    (&["slice"], slice),
    (&["cell"], cell),
    (&["weakref", "weakref.ReferenceType"], weak_reference),
    (&["weakproxy", "weakref.ProxyType", "weakcallableproxy", "weakref.CallableProxyType"], proxy),
    (&["_thread.lock", "thread.lock"], lock),
    (&["_thread.RLock"], recursive_lock),
];

/// Objects of which each type has one.
#[expect(clippy::unnecessary_wraps, reason = "every writer is called alike")]
fn constant(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    writer.text(match subject.c_name.as_str() {
        "NoneType" => "None",
        "ellipsis" => "Ellipsis",
        _ => "NotImplemented",
    });
    Ok(())
}

/// The word number `index` behind what every object begins with.
fn field(writer: &Writer<'_>, subject: &Subject, index: u64) -> Result<Ptr, Fault> {
    writer.memory.ptr(subject.addr.at(writer.layouts.object.size + index * 8))
}

/// `rangeobject`: start, stop, step, length.
fn range(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let [start, end, step] = three(writer, subject)?;
    writer.text("range(");
    writer.object_or(start, "?");
    writer.text(", ");
    writer.object_or(end, "?");
    let one =
        step.and_then(|step| crate::int::read(writer.memory, writer.layouts, step).ok().flatten());
    if one != Some(1) {
        writer.text(", ");
        writer.object_or(step, "?");
    }
    writer.close(")");
    Ok(())
}

fn three(writer: &Writer<'_>, subject: &Subject) -> Result<[Ptr; 3], Fault> {
    Ok([field(writer, subject, 0)?, field(writer, subject, 1)?, field(writer, subject, 2)?])
}

/// 2.7, `rangeobject`: start, step, length, as numbers.
fn small_range(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let number = |index: u64| {
        let at = subject.addr.at(writer.layouts.object.size + index * 8);
        writer.memory.i64(at)
    };
    let (start, step, length) = (number(0)?, number(1)?, number(2)?);
    let end = start.saturating_add(step.saturating_mul(length));
    writer.text(&match (start, step) {
        (0, 1) => format!("xrange({end})"),
        (_, 1) => format!("xrange({start}, {end})"),
        _ => format!("xrange({start}, {end}, {step})"),
    });
    Ok(())
}

/// `PySliceObject`: start, stop, step.
fn slice(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let parts = three(writer, subject)?;
    writer.text("slice(");
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            writer.text(", ");
        }
        match part {
            Some(part) => writer.item(part),
            None => writer.text("?"),
        }
    }
    writer.close(")");
    Ok(())
}

fn cell(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let content = writer.layouts.cell.ob_ref.read(writer.memory, subject.addr)?;
    writer.text("<cell");
    writer.at(subject.addr);
    match content {
        None => writer.text(": empty"),
        Some(content) => {
            let of = c_name_of(writer.memory, writer.layouts, content)?;
            writer.text(&format!(": {of} object"));
            writer.at(content);
            writer.text(" ");
            writer.object(content);
        }
    }
    writer.close(">");
    Ok(())
}

fn weak_reference(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    weak(writer, subject, "weakref")
}

fn proxy(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    weak(writer, subject, "weakproxy")
}

/// What it leads to follows its address.
fn weak(writer: &mut Writer<'_>, subject: &Subject, what: &str) -> Result<(), Fault> {
    let to = writer.layouts.weak_reference.wr_object.read(writer.memory, subject.addr)?;
    let of = to.map(|to| c_name_of(writer.memory, writer.layouts, to)).transpose()?;
    writer.text(&format!("<{what}"));
    writer.at(subject.addr);
    match (to, of) {
        (Some(to), Some(of)) if of != "NoneType" => {
            writer.text("; to ");
            writer.object(to);
        }
        _ => writer.text("; dead"),
    }
    writer.close(">");
    Ok(())
}

fn lock(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let state = writer.layouts.lock.ok_or(Fault::unmapped(subject.addr))?.state;
    let locked = match state {
        LockState::Mutex(byte) => byte.read(writer.memory, subject.addr)? & 1 != 0,
        LockState::Flag { locked, .. } => locked.read(writer.memory, subject.addr)? != 0,
        // `sem_t` of glibc: zero while it is held.
        LockState::Semaphore(semaphore) => {
            let semaphore = semaphore.read(writer.memory, subject.addr)?;
            writer.memory.u32(semaphore.ok_or(Fault::unmapped(subject.addr))?)? == 0
        }
    };
    let what = if locked { "locked" } else { "unlocked" };
    writer.text(&format!("<{what} {} object", subject.c_name));
    writer.at(subject.addr);
    writer.close(">");
    Ok(())
}

fn recursive_lock(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let fields = writer.layouts.rlock.ok_or(Fault::unmapped(subject.addr))?;
    let owner = fields.owner.read(writer.memory, subject.addr)?;
    let count = fields.count.read(writer.memory, subject.addr)?;
    // Where a lock that is held once counts zero, only its owner tells that it is held.
    let held = if fields.held_once == 0 { owner != 0 } else { count != 0 };
    let count = if held { count.saturating_add(1 - fields.held_once.min(1)) } else { 0 };
    let what = if held { "locked" } else { "unlocked" };
    writer.text(&format!("<{what} {} object owner={owner} count={count}", subject.c_name));
    writer.at(subject.addr);
    writer.close(">");
    Ok(())
}
