//! Frames as Python code sees them, and the frames of the interpreter's that they stand for.
//! Source: `Objects/frameobject.c`, `frame_sizeof`, `frame_traverse`; `Python/frame.c`,
//! `_PyFrame_Traverse`.

use super::Kind;
use super::any;
use super::generator::slots;
use crate::layout::Ptr;
use crate::layout::tables::frame_object::{Executing, FrameContent};
use crate::layout::tables::interpreter_frame::StackEnd;
use crate::layout::tables::thread_state::CurrentFrame;
use crate::object::Object;
use crate::runtime::walk_list;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

/// Calls of a thread that are gone through to find out whether a frame is among them; one of more
/// is taken for one that is.
const MOST_CALLS: usize = 1000;

#[derive(Debug)]
pub(super) struct Frame;

pub(super) static FRAME: Frame = Frame;

impl Kind for Frame {
    fn names(&self) -> &'static [&'static str] {
        &["frame"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let fields = &object.layouts.frame_object;
        match fields.content {
            FrameContent::Here { code, localsplus, .. } => {
                Ok(localsplus.offset + slots(object, Addr(object.word(code.offset)?))? * 8)
            }
            FrameContent::Elsewhere { frame, own } => {
                let Some(inner) = object.layouts.interpreter_frame else {
                    return object.basic_size();
                };
                let at = Addr(object.word(frame.offset)?);
                let code = Addr(inner.code.read(object.memory, at)? & !inner.tag_mask);
                Ok(own.offset + inner.localsplus.offset + slots(object, code)? * 8)
            }
        }
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let fields = &object.layouts.frame_object;
        let start = object.layouts.object.size;
        match fields.content {
            FrameContent::Here { lasti, generator, localsplus, .. } => {
                // Numbers follow: lines, blocks.
                let end = lasti.offset.next_multiple_of(8);
                let borrowed = generator.map_or(end, |field| field.offset);
                any::fields(object, start, borrowed, each)?;
                object.scan(borrowed + 8, end, each)?;
                let room = self.shallow(object)?.saturating_sub(localsplus.offset) / 8;
                let live = live(object, room)?;
                object.pointers(object.addr.at(localsplus.offset), live, each)
            }
            // A frame that outlives its call carries its variables; one of a running call points
            // to them on the stack of the thread, which is a root of its own.
            FrameContent::Elsewhere { frame, own } => {
                any::fields(object, start, own.offset, each)?;
                let content = object.addr.at(own.offset);
                if Addr(object.word(frame.offset)?) == content {
                    inner(object, content, each)?;
                }
                Ok(())
            }
        }
    }
}

/// How many of its `room` slots are in use, up to 3.10: the variables, and what is on the stack.
fn live(object: &Object<'_>, room: u64) -> Result<u64, Fault> {
    let FrameContent::Here { valuestack, stacktop, stackdepth, executing, localsplus, .. } =
        object.layouts.frame_object.content
    else {
        return Ok(room);
    };
    let first = object.addr.at(localsplus.offset);
    let stack = Addr(object.word(valuestack.offset)?);
    let variables = stack.checked_since(first).map_or(room, |bytes| bytes / 8).min(room);
    if let Some(top) = stacktop.map(|top| object.word(top.offset)).transpose()?
        && top != 0
    {
        let used = Addr(top).checked_since(first).map_or(room, |bytes| bytes / 8);
        return Ok(used.min(room));
    }
    if let Some(depth) = stackdepth {
        let depth = depth.read(object.memory, object.addr)?;
        return Ok(u64::try_from(depth).map_or(room, |depth| variables + depth).min(room));
    }
    let executing = match executing {
        Some(Executing::Flag(flag)) => flag.read(object.memory, object.addr)? != 0,
        Some(Executing::Thread(thread)) => {
            is_called(object, thread.read(object.memory, object.addr)?)
        }
        None => true,
    };
    Ok(if executing { room } else { variables })
}

/// Whether a frame is among the calls of a thread, which may be long gone.
fn is_called(object: &Object<'_>, thread: Ptr) -> bool {
    let (memory, fields) = (object.memory, &object.layouts.thread_state);
    let CurrentFrame::Object(first) = fields.frame else { return false };
    let first = thread.and_then(|thread| first.read(memory, thread).ok()).flatten();
    let back = object.layouts.frame_object.back;
    let mut found = false;
    let (_, ended) = walk_list(first, MOST_CALLS, |at| {
        found |= at == object.addr;
        if found { None } else { back.read(memory, at).ok().flatten() }
    });
    found || !ended
}

/// Hands out what a frame of the interpreter's at `at`, which belongs to an object, keeps alive:
/// the dicts of the module and of builtins are borrowed from the function.
pub(super) fn inner(
    object: &Object<'_>,
    at: Addr,
    each: &mut dyn FnMut(Addr),
) -> Result<(), Fault> {
    let (memory, Some(fields)) = (object.memory, object.layouts.interpreter_frame) else {
        return Ok(());
    };
    let tagged = |word: u64| Addr(word & !fields.tag_mask);
    let code = tagged(fields.code.read(memory, at)?);
    each(code);
    each(tagged(fields.function.read(memory, at)?));
    for field in [fields.locals, fields.frame_object] {
        each(Addr(memory.u64(field.addr(at))?));
    }
    let first = fields.localsplus.addr(at);
    let room = slots(object, code)?;
    let live = match fields.stack_end {
        StackEnd::Count(count) => u64::try_from(count.read(memory, at)?).unwrap_or(room),
        StackEnd::Pointer(top) => match top.read(memory, at)? {
            Some(top) => top.checked_since(first).map_or(room, |bytes| bytes / 8),
            None => room,
        },
    };
    object.tagged_pointers(first, live.min(room), fields.tag_mask, each)
}
