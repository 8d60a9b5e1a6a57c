//! What do the tables of an object hold: entries, items, variables, attributes?

use super::{Each, Named, Names};
use crate::attributes::{self, Place};
use crate::code::Codes;
use crate::layout::TypeFlags;
use crate::layout::tables::frame_object::FrameContent;
use crate::layout::tables::generator::GeneratorFrame;
use crate::layout::tables::interpreter_frame::InterpreterFrame;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::{Fault, MAX_READ, MemoryExt};

/// Items beyond that many are not named.
const MOST_ITEMS: u64 = 1 << 32;
/// Items read at once.
const PIECE: u64 = 4096;
/// No instance has more attributes without a dict.
const MOST_ATTRIBUTES: usize = 256;

/// Hands out what the tables of an object hold.
pub(super) fn each(names: &Names<'_>, object: &Object<'_>, family: &str, each: Each<'_>) {
    // What could be read before a fault has been handed out.
    let _ = match family {
        "list" => list(object, each),
        "tuple" => tuple(object, each),
        "set" | "frozenset" => set(object, each),
        "collections.deque" | "deque" => deque(object, each),
        "frame" => frame(names, object, each),
        "generator" | "coroutine" | "async_generator" => generator(names, object, each),
        _ if object.ty.has(TypeFlags::DICT_SUBCLASS) => {
            dict(names, object, each);
            Ok(())
        }
        _ if object.ty.has(TypeFlags::LIST_SUBCLASS) => list(object, each),
        _ if object.ty.has(TypeFlags::TUPLE_SUBCLASS) => tuple(object, each),
        _ => Ok(()),
    };
    if object.ty.has(TypeFlags::HEAPTYPE) {
        let _ = own_attributes(names, object, each);
    }
}

fn dict(names: &Names<'_>, object: &Object<'_>, each: Each<'_>) {
    for (key, value) in names.entries(object.addr) {
        each(key, Named::IsKey);
        each(value, Named::Key(key));
    }
}

/// Hands out `count` pointers from `at` on, each named by its place.
fn items(
    object: &Object<'_>,
    at: Addr,
    count: u64,
    mut named: impl FnMut(u64) -> Named,
    each: Each<'_>,
) -> Result<(), Fault> {
    let mut done = 0;
    while done < count.min(MOST_ITEMS) {
        let piece = PIECE.min(count - done);
        let words = object.memory.words(at.at(done * 8), piece, MAX_READ / 8)?;
        for (word, index) in words.into_iter().zip(done..) {
            each(Addr(word), named(index));
        }
        done += piece;
    }
    Ok(())
}

fn list(object: &Object<'_>, each: Each<'_>) -> Result<(), Fault> {
    let fields = &object.layouts.list_object;
    let count = object.items()?.min(object.word(fields.allocated.offset)?);
    let at = Addr(object.word(fields.ob_item.offset)?);
    items(object, at, count, Named::Index, each)
}

fn tuple(object: &Object<'_>, each: Each<'_>) -> Result<(), Fault> {
    let at = object.layouts.tuple_object.ob_item.addr(object.addr);
    items(object, at, object.items()?, Named::Index, each)
}

fn set(object: &Object<'_>, each: Each<'_>) -> Result<(), Fault> {
    let fields = &object.layouts.set_object;
    let table = Addr(object.word(fields.table.offset)?);
    let slots = object.word(fields.mask.offset)?.checked_add(1);
    let slots = slots.filter(|slots| slots.is_power_of_two() && *slots < MOST_ITEMS);
    let words = slots.ok_or(Fault::too_long(object.addr))? * (object.layouts.set_entry.size / 8);
    items(object, table, words, |_| Named::Element, each)
}

/// Source: `Modules/_collectionsmodule.c`, `deque_traverse`.
fn deque(object: &Object<'_>, each: Each<'_>) -> Result<(), Fault> {
    let (Some(fields), Some(block)) = (object.layouts.deque, object.layouts.deque_block) else {
        return Ok(());
    };
    let mut left = match fields.len {
        Some(len) => object.word(len.offset)?,
        None => object.items()?,
    };
    let mut first = object.word(fields.leftindex.offset)?.min(block.slots);
    let mut at = Some(Addr(object.word(fields.leftblock.offset)?));
    let mut index = 0;
    while let Some(here) = at.filter(|_| left > 0 && index < MOST_ITEMS) {
        let count = left.min(block.slots - first);
        let data = block.data.addr(here).at(first * 8);
        items(object, data, count, |n| Named::Index(index + n), each)?;
        (index, left, first) = (index + count.max(1), left - count, 0);
        at = block.rightlink.read(object.memory, here)?;
    }
    Ok(())
}

fn frame(names: &Names<'_>, object: &Object<'_>, each: Each<'_>) -> Result<(), Fault> {
    match object.layouts.frame_object.content {
        FrameContent::Here { code, localsplus, .. } => {
            let code = Addr(object.word(code.offset)?);
            variables(names, object, code, object.addr.at(localsplus.offset), 0, each)
        }
        FrameContent::Elsewhere { frame, own } => {
            let content = object.addr.at(own.offset);
            match object.layouts.interpreter_frame {
                Some(inner) if Addr(object.word(frame.offset)?) == content => {
                    call(names, object, &inner, content, each)
                }
                Some(_) | None => Ok(()),
            }
        }
    }
}

fn generator(names: &Names<'_>, object: &Object<'_>, each: Each<'_>) -> Result<(), Fault> {
    match (object.layouts.generator.frame, object.layouts.interpreter_frame) {
        (GeneratorFrame::Inside { frame, .. }, Some(inner)) => {
            call(names, object, &inner, object.addr.at(frame.offset), each)
        }
        (GeneratorFrame::Inside { .. } | GeneratorFrame::Object(_), _) => Ok(()),
    }
}

/// What a call refers to that lies in its generator or frame object.
fn call(
    names: &Names<'_>,
    object: &Object<'_>,
    inner: &InterpreterFrame,
    at: Addr,
    each: Each<'_>,
) -> Result<(), Fault> {
    let memory = object.memory;
    let untagged = |word: u64| Addr(word & !inner.tag_mask);
    let code = untagged(inner.code.read(memory, at)?);
    each(code, Named::Field("f_code"));
    each(untagged(inner.function.read(memory, at)?), Named::Field("f_func"));
    let plain = [
        (inner.globals, "f_globals"),
        (inner.builtins, "f_builtins"),
        (inner.locals, "f_locals"),
        (inner.frame_object, "gi_frame"),
    ];
    for (field, name) in plain {
        if let Some(to) = field.read(memory, at)? {
            each(to, Named::Field(name));
        }
    }
    variables(names, object, code, inner.localsplus.addr(at), inner.tag_mask, each)
}

fn variables(
    names: &Names<'_>,
    object: &Object<'_>,
    code: Addr,
    slots: Addr,
    tags: u64,
    each: Each<'_>,
) -> Result<(), Fault> {
    let known = Codes::new(names.memory, names.layouts).variables(code)?;
    let words = object.memory.words(slots, known.len() as u64, MAX_READ / 8)?;
    for (variable, word) in known.into_iter().zip(words) {
        each(Addr(word & !tags), Named::Local(variable.name));
    }
    Ok(())
}

/// The variables of `code`, in the order of the slots of its frames.
pub(super) fn variables_of(names: &Names<'_>, code: Addr) -> Vec<String> {
    let known = Codes::new(names.memory, names.layouts).variables(code).unwrap_or_default();
    known.into_iter().map(|variable| variable.name).collect()
}

/// The attributes of an instance of a class, wherever they are kept.
fn own_attributes(names: &Names<'_>, object: &Object<'_>, each: Each<'_>) -> Result<(), Fault> {
    let (memory, layouts) = (names.memory, names.layouts);
    match attributes::place(memory, layouts, object.addr, object.ty.addr)? {
        Place::Nowhere => {}
        Place::Dict(dict) => each(dict, Named::Field("__dict__")),
        Place::Values(_) => {
            let found = attributes::attributes(memory, layouts, object.addr, MOST_ATTRIBUTES)?;
            for (name, value) in found {
                each(value, Named::Attribute(name));
            }
            // 3.13: a dict may stand for the values that still lie in the instance.
            if let crate::layout::ManagedSlots::Dict { dict, .. } = layouts.pre_header.managed
                && let Some(dict) = memory.ptr(object.addr.before(dict))?
            {
                each(dict, Named::Field("__dict__"));
            }
        }
    }
    Ok(())
}
