//! Compiled regular expressions. Source: `Modules/_sre/sre.h`, `PatternObject`.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct Pattern;

pub(super) static PATTERN: Pattern = Pattern;

impl Kind for Pattern {
    fn names(&self) -> &'static [&'static str] {
        &["re.Pattern", "_sre.SRE_Pattern"]
    }

    /// Its items are instructions.
    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        any::fields(object, object.layouts.var_object.size, object.ty.basicsize, each)
    }
}
