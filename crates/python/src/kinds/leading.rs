//! Objects of C of which only some words, one after the other, are references: the others are
//! counters, pointers that are borrowed, and memory that is another's.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

/// So many words of `names` are references, from this one on, and so many there are in all.
#[derive(Debug)]
pub(super) struct Leading {
    names: &'static [&'static str],
    first: u64,
    references: u64,
    words: u64,
}

/// `PyDescrObject`: the type, the name and (3.x) the qualified name. What it is a descriptor of is
/// in the data of an image, or in the type. Source: `Include/descrobject.h`.
pub(super) static DESCRIPTOR: Leading = Leading {
    names: &[
        "wrapper_descriptor",
        "method_descriptor",
        "classmethod_descriptor",
        "getset_descriptor",
        "member_descriptor",
    ],
    first: 0,
    references: 3,
    words: 5,
};

/// `PyContextVar`: the name and the default; the value remembered last is borrowed. Source:
/// `Include/internal/pycore_context.h`.
pub(super) static CONTEXT_VARIABLE: Leading = Leading {
    names: &["ContextVar", "_contextvars.ContextVar"],
    first: 0,
    references: 2,
    words: 6,
};

/// `dequeiterobject`: the block and the place in it, then the deque, whose block it is. Source:
/// `Modules/_collectionsmodule.c`.
pub(super) static DEQUE_ITERATOR: Leading = Leading {
    names: &[
        "deque_iterator",
        "deque_reverse_iterator",
        "_collections._deque_iterator",
        "_collections._deque_reverse_iterator",
        "collections._deque_iterator",
        "collections._deque_reverse_iterator",
    ],
    first: 2,
    references: 1,
    words: 5,
};

impl Kind for Leading {
    fn names(&self) -> &'static [&'static str] {
        self.names
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let start = object.layouts.object.size;
        let first = start + self.first * 8;
        object.scan(first, first + self.references * 8, each)?;
        any::fields(object, start + self.words * 8, object.basic_size()?, each)
    }
}
