//! Weak references: they keep their callback, not their object.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct WeakReference;

pub(super) static WEAK_REFERENCE: WeakReference = WeakReference;

impl Kind for WeakReference {
    fn names(&self) -> &'static [&'static str] {
        &[
            "weakref",
            "weakref.ReferenceType",
            "weakproxy",
            "weakref.ProxyType",
            "weakcallableproxy",
            "weakref.CallableProxyType",
        ]
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let fields = &object.layouts.weak_reference;
        each(Addr(object.word(fields.wr_callback.offset)?));
        // What a subclass adds, `KeyedRef.key` for one, comes after the fields of C.
        any::fields(object, fields.size, object.basic_size()?, each)
    }
}
