//! Where are the numbers of Python 2?
//!
//! `int` and `float` have an allocator of their own: blocks of malloc with a link to the next
//! block, then cells of one type each. A free cell has the link of a list of them where its type
//! was. Source: `Objects/intobject.c`, `fill_free_list`; `Objects/floatobject.c`.

use crate::layout::facts::NumberBlocks;
use crate::object::may_be_address;
use memwhy_model::{Addr, Bytes, FreeList};
use memwhy_target::{MAX_READ, Memory, MemoryExt};

/// What a block takes beyond its cells: malloc's header and rounding.
const OF_MALLOC: u64 = 16;

/// The blocks that were met.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// Those with a number in them, ascending.
    used: Vec<Addr>,
    /// How many of their cells are free.
    free_cells: u64,
    /// Those that may be blocks without any, ascending, each with the memory of malloc that it is in:
    /// with `Py_DEBUG` there is something before it.
    maybe: Vec<(Addr, Addr)>,
}

impl Blocks {
    /// A block with so many numbers.
    pub(crate) fn used(&mut self, shape: &NumberBlocks, at: Addr, numbers: u64) {
        self.used.push(at);
        self.free_cells += shape.cells.saturating_sub(numbers);
    }

    /// Memory of the size of a block, with nothing in it that is none.
    pub(crate) fn maybe(&mut self, at: Addr, chunk: Addr) {
        self.maybe.push((at, chunk));
    }

    /// The memory of the blocks in which there is no number. One by itself could be anything: each
    /// of its free cells has to lead to a cell of a block, as the list of free cells does.
    pub(crate) fn free(&self, memory: &dyn Memory, shape: &NumberBlocks) -> Vec<Addr> {
        let maybe = self.maybe.iter().map(|(block, _)| *block);
        let mut all: Vec<Addr> = self.used.iter().copied().chain(maybe).collect();
        all.sort_unstable();
        let is_cell = |link: u64| {
            let after = all.partition_point(|block| block.0 <= link);
            let block = after.checked_sub(1).and_then(|index| all.get(index));
            let offset = block.and_then(|block| (link - block.0).checked_sub(shape.first));
            offset.is_some_and(|at| at % shape.cell == 0 && at / shape.cell < shape.cells)
        };
        let is_free = |at: Addr| {
            let Ok(bytes) = memory.bytes(at, shape.size(), MAX_READ) else { return false };
            let links: Vec<u64> = links(shape, &bytes).filter(|link| *link != 0).collect();
            links.len() > 1 && links.into_iter().all(is_cell)
        };
        let free = self.maybe.iter().filter(|(block, _)| is_free(*block));
        free.map(|(_, chunk)| *chunk).collect()
    }

    /// What the lists of free cells come to, `free` being the blocks without a number.
    pub(crate) fn facts(&self, shape: &NumberBlocks, free: u64) -> FreeList {
        FreeList {
            of: "int and float".into(),
            free: self.free_cells + free * shape.cells,
            bytes: Bytes(self.free_cells * shape.cell + free * (shape.size() + OF_MALLOC)),
            most: None,
            collectable: Bytes(free * (shape.size() + OF_MALLOC)),
            held: Vec::new(),
        }
    }
}

/// What cells have where the type of a number would be.
fn links(shape: &NumberBlocks, bytes: &[u8]) -> impl Iterator<Item = u64> {
    let word = |offset: u64| usize::try_from(offset / 8).unwrap_or(usize::MAX);
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    let of_cells = words.skip(word(shape.first + shape.count + 8)).step_by(word(shape.cell).max(1));
    of_cells.take(usize::try_from(shape.cells).unwrap_or(0))
}

/// Whether these bytes, of the size of a block, may be one without numbers: where a cell has its
/// type there is a link or nothing.
pub(crate) fn may_be_free(shape: &NumberBlocks, bytes: &[u8]) -> bool {
    let is_link = |word: u64| word == 0 || may_be_address(word);
    let cells = usize::try_from(shape.cells).unwrap_or(0);
    let links: Vec<u64> = links(shape, bytes).collect();
    links.len() == cells
        && links.iter().all(|word| is_link(*word))
        && links.iter().filter(|word| **word != 0).count() > 1
}

/// The cells of a block that hold a number: how far from its beginning each is.
///
/// `type_at` tells of a word whether it is the type of such numbers. `None` if these bytes are no
/// block of numbers: each cell has to be of one type, or free.
pub(crate) fn cells(
    shape: &NumberBlocks,
    bytes: &[u8],
    type_at: &mut dyn FnMut(Addr) -> bool,
) -> Option<Vec<u64>> {
    let words = bytes.as_chunks::<8>().0;
    let word = |offset: u64| {
        let word = words.get(usize::try_from(offset / 8).ok()?)?;
        Some(u64::from_le_bytes(*word))
    };
    let is_link = |word: u64| word == 0 || (word.is_multiple_of(8) && word < 1 << 47);
    if !is_link(word(0)?) {
        return None;
    }
    let mut found = Vec::new();
    let mut common = None;
    for cell in (0..shape.cells).map(|cell| shape.first + cell * shape.cell) {
        let count = cell + shape.count;
        let (count, ty) = (word(count)?, word(count + 8)?);
        if common == Some(ty) || (common.is_none() && type_at(Addr(ty))) {
            common = Some(ty);
            if count == 0 || count >= 1 << 32 {
                return None;
            }
            found.push(cell);
        } else if !is_link(ty) {
            return None;
        }
    }
    common.map(|_| found)
}

#[cfg(test)]
mod tests {
    use super::{cells, may_be_free};
    use crate::layout::facts::NumberBlocks;

    const SHAPE: NumberBlocks = NumberBlocks { first: 8, cell: 24, cells: 3, count: 0 };

    fn found(words: &[u64]) -> Option<Vec<u64>> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        cells(&SHAPE, &bytes, &mut |addr| addr.0 == 0x5000)
    }

    #[test]
    fn free_cells_are_left_out() {
        let block = [0x7000, 1, 0x5000, 42, 0, 0x7018, 41, 2, 0x5000, 40];
        assert_eq!(found(&block), Some(vec![8, 56]));
    }

    #[test]
    fn a_block_without_numbers_is_one_whatever_lies_before_the_types() {
        let plain = [0x70_0000, 0, 0x70_0020, 41, 0, 0x70_0038, 40, 0, 0, 0];
        // With `Py_DEBUG` two more words are before each count.
        let debug = NumberBlocks { first: 8, cell: 40, cells: 2, count: 16 };
        let traced = [0x70_0000, 7, 9, 0, 0x70_0020, 41, 7, 9, 0, 0x70_0048, 40];
        let bytes = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        assert!(may_be_free(&SHAPE, &bytes(&plain)));
        assert!(may_be_free(&debug, &bytes(&traced)));
        assert!(!may_be_free(&SHAPE, &bytes(&traced)));
    }

    #[test]
    fn what_has_another_shape_is_no_block() {
        assert_eq!(found(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(found(&[0, 1, 0x5000, 42, 0, 0x7019, 41, 2, 0x5000, 40]), None);
        assert_eq!(found(&[0, 0, 0x5000, 42, 0, 0, 41, 2, 0x5000, 40]), None);
        assert_eq!(found(&[0, 1, 0x5000, 42]), None);
    }
}
