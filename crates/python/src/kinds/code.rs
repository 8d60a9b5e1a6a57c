//! Code. Source: `Objects/codeobject.c`, `code_sizeof`.

use super::Kind;
use super::any;
use crate::layout::tables::code_object::Bytecode;
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
            Bytecode::Object(_) => size,
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
