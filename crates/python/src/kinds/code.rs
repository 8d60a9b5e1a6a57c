//! Code. Source: `Objects/codeobject.c`, `code_sizeof`.

use super::Kind;
use super::any;
use crate::layout::tables::code_object::{Bytecode, Variables};
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct Code;

pub(super) static CODE: Code = Code;

impl Kind for Code {
    fn names(&self) -> &'static [&'static str] {
        &["code"]
    }

    /// Since 3.11 instructions lie behind the fields, and their size is rounded up
    /// (`_PyObject_VAR_SIZE`).
    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let size = any::shallow(object)?;
        Ok(match object.layouts.code_object.bytecode {
            Bytecode::Inside { .. } => size.next_multiple_of(8),
            Bytecode::Object(_) => size + beside(object)?,
        })
    }

    /// The instructions that lie behind the fields since 3.11 are no pointers.
    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let end = match object.layouts.code_object.bytecode {
            Bytecode::Inside { adaptive, .. } => adaptive.offset,
            Bytecode::Object(_) => object.ty.basicsize,
        };
        any::fields(object, object.layouts.object.size, end, each)
    }
}

/// Up to 3.10, the array of cells that are arguments and the cache of global names.
fn beside(object: &Object<'_>) -> Result<u64, Fault> {
    /// `sizeof(_PyOpcache)`.
    const CACHED: u64 = 32;
    let (memory, layouts) = (object.memory, object.layouts);
    let fields = &layouts.code_object;
    let mut size = 0;
    if let (Some(map), Variables::Separate { cellvars, .. }) = (fields.cell2arg, fields.variables)
        && object.word(map.offset)? != 0
        && let Some(cells) = cellvars.read(memory, object.addr)?
    {
        size += length(object, cells)? * 8;
    }
    let places = fields.opcache_size.map(|field| field.read(memory, object.addr)).transpose()?;
    if let Some(places) = places.filter(|places| *places > 0) {
        // A byte for each instruction says where in the cache it looks.
        if let Bytecode::Object(code) = fields.bytecode
            && let Some(code) = code.read(memory, object.addr)?
        {
            size += length(object, code)? / 2;
        }
        size += u64::from(places) * CACHED;
    }
    Ok(size)
}

/// How many items a tuple or string of this code has: nobody writes code of a gigabyte.
fn length(object: &Object<'_>, of: Addr) -> Result<u64, Fault> {
    let items = object.layouts.var_object.ob_size.read(object.memory, of)?;
    u64::try_from(items).ok().filter(|n| *n < 1 << 30).ok_or(Fault::too_long(of))
}
