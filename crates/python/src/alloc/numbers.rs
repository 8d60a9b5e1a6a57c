//! Where are the numbers of Python 2?
//!
//! `int` and `float` have an allocator of their own: blocks of malloc with a link to the next
//! block, then cells of one type each. A free cell has the link of a list of them where its type
//! was. Source: `Objects/intobject.c`, `fill_free_list`; `Objects/floatobject.c`.

use crate::layout::facts::NumberBlocks;
use memwhy_model::Addr;

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
    use super::cells;
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
    fn what_has_another_shape_is_no_block() {
        assert_eq!(found(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(found(&[0, 1, 0x5000, 42, 0, 0x7019, 41, 2, 0x5000, 40]), None);
        assert_eq!(found(&[0, 0, 0x5000, 42, 0, 0, 41, 2, 0x5000, 40]), None);
        assert_eq!(found(&[0, 1, 0x5000, 42]), None);
    }
}
