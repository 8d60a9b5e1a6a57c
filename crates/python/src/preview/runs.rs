//! Running and suspended code: generators, coroutines, frames, tracebacks. Source:
//! `Objects/genobject.c: gen_repr, coro_repr, async_gen_repr`, `Objects/frameobject.c: frame_repr`.

use super::subject::Subject;
use super::writer::Writer;
use super::{Family, Write};
use crate::frames::Stacks;
use crate::layout::tables::frame_object::FrameContent;
use crate::layout::tables::generator::GeneratorFrame;
use memwhy_model::{Addr, Frame};
use memwhy_target::Fault;

pub(super) static FAMILY: Family = &[
    (&["generator", "coroutine", "async_generator"], generator as Write),
    (&["frame"], frame),
    (&["traceback"], traceback),
];

/// How far a generator is.
enum State {
    Suspended,
    Running,
    Finished,
}

/// The state and the line where it stands follow the address.
fn generator(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts, addr) = (writer.memory, writer.layouts, subject.addr);
    let fields = layouts.generator;
    let (state, at) = match fields.frame {
        GeneratorFrame::Inside { frame, state } => match state.read(memory, addr)? {
            state if state >= fields.finished_from => (State::Finished, None),
            state if state == fields.executing => (State::Running, Some(frame.addr(addr))),
            _ => (State::Suspended, Some(frame.addr(addr))),
        },
        GeneratorFrame::Object(frame) => match frame.read(memory, addr)? {
            None => (State::Finished, None),
            // Only while it runs has a frame one that it returns to.
            Some(at) if layouts.frame_object.back.read(memory, at)?.is_some() => {
                (State::Running, Some(at))
            }
            Some(at) => (State::Suspended, Some(at)),
        },
    };
    let stands = at.and_then(|at| called(writer, at));
    writer.text(&format!("<{} object ", subject.c_name));
    let name = fields.qualname.or(fields.name).map(|name| name.read(memory, addr)).transpose()?;
    match (name.flatten(), &stands) {
        (Some(name), _) => writer.name(Some(name)),
        (None, Some(frame)) => writer.text(&frame.function),
        // The name of its code outlives its frame.
        (None, None) => {
            let code = fields.code.map(|code| code.read(memory, addr)).transpose()?.flatten();
            let name = code.map(|code| layouts.code_object.name.read(memory, code)).transpose()?;
            writer.name(name.flatten());
        }
    }
    writer.at(addr);
    writer.text(match state {
        State::Suspended => " suspended",
        State::Running => " running",
        State::Finished => " finished",
    });
    if let Some(line) = stands.and_then(|frame| frame.line) {
        writer.text(&format!(" line {line}"));
    }
    writer.close(">");
    Ok(())
}

/// What the frame at `at` says of itself: up to 3.10 a frame object, later a frame of the
/// interpreter's.
fn called(writer: &Writer<'_>, at: Addr) -> Option<Frame> {
    Stacks::new(writer.memory, writer.layouts).frame(at).ok().flatten()
}

/// The frame of the interpreter's that a frame object stands for.
fn inner(writer: &Writer<'_>, addr: Addr) -> Result<Addr, Fault> {
    match writer.layouts.frame_object.content {
        FrameContent::Here { .. } => Ok(addr),
        FrameContent::Elsewhere { frame, .. } => {
            frame.read(writer.memory, addr)?.ok_or(Fault::unmapped(addr))
        }
    }
}

fn frame(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let called = called(writer, inner(writer, subject.addr)?);
    writer.text(if writer.layouts.wording.frames_say_where { "<frame" } else { "<frame object" });
    writer.at(subject.addr);
    if let Some(called) = called {
        writer.text(", file ");
        writer.quoted(&called.file);
        match called.line {
            Some(line) => writer.text(&format!(", line {line}")),
            None => writer.text(", line None"),
        }
        let name = called.function.rsplit('.').next().unwrap_or_default().to_owned();
        writer.text(&format!(", code {name}"));
    }
    writer.close(">");
    Ok(())
}

/// Where the exception passed follows the address.
fn traceback(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let fields = writer.layouts.traceback;
    let frame = fields.tb_frame.read(writer.memory, subject.addr)?;
    let at = frame.and_then(|frame| inner(writer, frame).ok());
    let called = at.and_then(|at| called(writer, at));
    writer.text("<traceback object");
    writer.at(subject.addr);
    if let Some(called) = called {
        let line = fields.tb_lineno.read(writer.memory, subject.addr)?;
        writer.text(&format!(" in {}", called.function));
        // It is worked out when it is asked for, from 3.12 on.
        if line > 0 {
            writer.text(&format!(" line {line}"));
        }
    }
    writer.close(">");
    Ok(())
}
