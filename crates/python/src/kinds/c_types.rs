//! What types of `ctypes` know of their instances: in a dict of their own up to 3.12, behind the type
//! from 3.13 on. Source: `Modules/_ctypes/stgdict.c`, `PyCStgDict_sizeof`;
//! `Modules/_ctypes/_ctypes.c`, `CType_Type_sizeof`.

use super::Kind;
use super::{any, dict, type_};
use crate::layout::{Field, Layouts, Ptr};
use crate::object::Object;
use crate::types::TypeInfo;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

#[derive(Debug)]
pub(super) struct StgDict;
#[derive(Debug)]
pub(super) struct CType;

pub(super) static STG_DICT: StgDict = StgDict;
pub(super) static C_TYPE: CType = CType;

/// A format is a line of text.
const LONGEST_FORMAT: usize = 1 << 16;
/// More fields or dimensions are not believed.
const MOST: u64 = 1 << 24;

/// What hangs on the struct at `at`: a format, a shape, what libffi knows.
fn beside(
    object: &Object<'_>,
    at: Addr,
    (format, ndim): (Field<Ptr>, Field<i32>),
    (length, elements): (Field<i64>, Field<Ptr>),
) -> Result<u64, Fault> {
    let memory = object.memory;
    let mut size = 0;
    if let Some(format) = format.read(memory, at)? {
        size += memory.c_string(format, LONGEST_FORMAT)?.len() as u64 + 1;
    }
    size += u64::try_from(ndim.read(memory, at)?).unwrap_or(0).min(MOST) * 8;
    if elements.read(memory, at)?.is_some() {
        let fields = u64::try_from(length.read(memory, at)?).unwrap_or(0).min(MOST);
        size += (fields + 1) * 8;
    }
    Ok(size)
}

impl Kind for StgDict {
    fn names(&self) -> &'static [&'static str] {
        &["StgDict"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let own = dict::shallow(object)?;
        let Some(fields) = object.layouts.stg_dict else { return Ok(own) };
        let (shape, parts) = ((fields.format, fields.ndim), (fields.length, fields.elements));
        // What the struct is larger than a dict is counted twice.
        let more = fields.size.saturating_sub(object.layouts.dict_object.size);
        Ok(own + more + beside(object, object.addr, shape, parts)?)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        dict::pointers(object, each)
    }

    fn leads_to_memory(&self) -> bool {
        true
    }
}

impl Kind for CType {
    fn names(&self) -> &'static [&'static str] {
        &["_ctypes.CType_Type"]
    }

    fn least(&self, layouts: &Layouts, _ty: &TypeInfo) -> u64 {
        layouts.type_object.size
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let layouts = object.layouts;
        let Some(fields) = layouts.stg_info else { return any::shallow(object) };
        // `PyObject_GetTypeData`: behind the type, aligned as malloc does.
        let at = object.addr.at(layouts.heap_type.size.next_multiple_of(16));
        let size = object.ty.basicsize;
        if fields.initialized.read(object.memory, at)? == 0 {
            return Ok(size);
        }
        let (shape, parts) = ((fields.format, fields.ndim), (fields.length, fields.elements));
        Ok(size + beside(object, at, shape, parts)?)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        type_::TYPE.pointers(object, each)
    }

    fn leads_to_memory(&self) -> bool {
        true
    }
}
