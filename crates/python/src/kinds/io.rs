//! Files and buffers of `io`. Source: `Modules/_io/`, the `__sizeof__` methods.

use super::Kind;
use super::any;
use crate::layout::tables::bytes_io::BytesIoBuffer;
use crate::layout::tables::object::Count;
use crate::object::Object;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct StringIo;
#[derive(Debug)]
pub(super) struct BytesIo;
#[derive(Debug)]
pub(super) struct Buffered;

pub(super) static STRING_IO: StringIo = StringIo;
pub(super) static BYTES_IO: BytesIo = BytesIo;
pub(super) static BUFFERED: Buffered = Buffered;

impl Kind for StringIo {
    fn names(&self) -> &'static [&'static str] {
        &["_io.StringIO"]
    }
}

impl Kind for BytesIo {
    fn names(&self) -> &'static [&'static str] {
        &["_io.BytesIO"]
    }

    /// `bytesio_sizeof` adds the bytes object that it writes to, unless somebody else has it too.
    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let own = any::shallow(object)?;
        let Some(fields) = object.layouts.bytes_io else { return Ok(own) };
        let buf = match fields.buffer {
            BytesIoBuffer::Object(buf) => buf.read(object.memory, object.addr)?,
            BytesIoBuffer::Block { buf_size, .. } => {
                return Ok(own + object.word(buf_size.offset)?.min(1 << 47));
            }
        };
        let Some(buf) = buf else { return Ok(own) };
        let mut head = [0; 32];
        object.memory.read(buf, &mut head)?;
        let layouts = object.layouts;
        let shared = layouts.object.refcount.of(&head) != Some(Count::Mortal(1));
        let len = layouts.var_object.ob_size.from(&head).and_then(|len| u64::try_from(len).ok());
        match len {
            Some(len) if !shared && len < 1 << 47 => {
                Ok(own + layouts.bytes_object.ob_sval.offset + len + 1)
            }
            _ => Ok(own),
        }
    }
}

impl Kind for Buffered {
    fn names(&self) -> &'static [&'static str] {
        &["_io.BufferedReader", "_io.BufferedWriter", "_io.BufferedRandom"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let own = any::shallow(object)?;
        let Some(fields) = object.layouts.buffered else { return Ok(own) };
        if object.word(fields.buffer.offset)? == 0 {
            return Ok(own);
        }
        let size = object.word(fields.buffer_size.offset)?;
        if size < 1 << 47 { Ok(own + size) } else { Err(Fault::too_long(object.addr)) }
    }
}
