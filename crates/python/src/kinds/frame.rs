//! Frames as Python code sees them. Source: `Objects/frameobject.c`, `frame_sizeof`.

use super::Kind;
use super::any;
use super::generator::slots;
use crate::layout::Layouts;
use crate::layout::tables::frame_object::FrameContent;
use crate::object::Object;
use crate::types::TypeInfo;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct Frame;

pub(super) static FRAME: Frame = Frame;

impl Kind for Frame {
    fn names(&self) -> &'static [&'static str] {
        &["frame"]
    }

    fn least(&self, _layouts: &Layouts, ty: &TypeInfo) -> u64 {
        ty.basicsize
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
            FrameContent::Here { localsplus, .. } => {
                any::fields(object, start, localsplus.offset, each)?;
                let room = self.shallow(object)?.saturating_sub(localsplus.offset) / 8;
                object.pointers(object.addr.at(localsplus.offset), room, each)
            }
            // A frame that outlives its call carries its variables; one of a running call points
            // to them on the stack of the thread, which is a root of its own.
            FrameContent::Elsewhere { frame, own } => {
                any::fields(object, start, own.offset, each)?;
                let content = object.addr.at(own.offset);
                if Addr(object.word(frame.offset)?) != content {
                    return Ok(());
                }
                let words = self.shallow(object)?.saturating_sub(own.offset) / 8;
                let tags = object.layouts.interpreter_frame.map_or(0, |inner| inner.tag_mask);
                object.tagged_pointers(content, words, tags, each)
            }
        }
    }
}
