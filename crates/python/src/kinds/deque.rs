//! Deques: a chain of blocks. Source: `Modules/_collectionsmodule.c`, `deque_sizeof`.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

/// A chain is no longer than the number of items says.
const MOST_ITEMS: u64 = 1 << 34;

#[derive(Debug)]
pub(super) struct Deque;

pub(super) static DEQUE: Deque = Deque;

impl Deque {
    /// Blocks in the chain, and bytes of one.
    fn blocks(object: &Object<'_>) -> Result<(u64, u64), Fault> {
        let (Some(fields), Some(block)) = (object.layouts.deque, object.layouts.deque_block) else {
            return Ok((0, 0));
        };
        let items = match fields.len {
            Some(len) => object.word(len.offset)?,
            None => object.items()?,
        };
        if items > MOST_ITEMS {
            return Err(Fault::too_long(object.addr));
        }
        let first = object.word(fields.leftindex.offset)?.min(block.slots);
        Ok(((first + items).div_ceil(block.slots.max(1)), block.size))
    }
}

impl Kind for Deque {
    fn names(&self) -> &'static [&'static str] {
        &["collections.deque"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let (blocks, size) = Self::blocks(object)?;
        Ok(any::shallow(object)? + blocks * size)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        any::fields(object, object.layouts.object.size, object.ty.basicsize, each)?;
        let (Some(fields), Some(block)) = (object.layouts.deque, object.layouts.deque_block) else {
            return Ok(());
        };
        let (count, _) = Self::blocks(object)?;
        let first = object.word(fields.leftindex.offset)?.min(block.slots);
        let last = object.word(fields.rightindex.offset)?.min(block.slots);
        let mut at = Some(Addr(object.word(fields.leftblock.offset)?));
        for index in 0..count {
            let Some(here) = at else { break };
            each(here);
            // Places outside of the indices keep stale pointers.
            let from = if index == 0 { first } else { 0 };
            let to = if index + 1 == count { (last + 1).min(block.slots) } else { block.slots };
            let data = block.data.addr(here).at(from * 8);
            object.pointers(data, to.saturating_sub(from), each)?;
            at = block.rightlink.read(object.memory, here)?;
        }
        Ok(())
    }
}
