//! Which line is it in 3.10?
//!
//! `co_linetable` is pairs of bytes: the length of a range of bytecode, then a signed step of the
//! line, -128 for a range without one. Source: `Objects/lnotab_notes.txt`,
//! `Objects/codeobject.c: advance`, 3.10.

use super::to_line;

/// Marks a range that belongs to no line.
const NO_LINE: i8 = -128;

/// The line of the instruction at `offset`, in bytes.
#[must_use]
pub fn line(table: &[u8], first: i32, offset: u32) -> Option<u32> {
    let (mut end, mut delta) = (0_u32, 0_i64);
    for &[length, step] in table.as_chunks::<2>().0 {
        let step = step.cast_signed();
        if step != NO_LINE {
            delta += i64::from(step);
        }
        end = end.saturating_add(length.into());
        if offset < end {
            return if step == NO_LINE { None } else { to_line(first, delta) };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::line;
    use crate::lines::tests::{bytes, check};

    #[test]
    fn python_3_10_says_the_same() {
        let table = bytes(
            "02020401020102ff02ff02ff080502020c010c01040102ff04020a01080104fe007f007f063108010aff040210fe0402",
        );
        let truth = &[
            (0, 2, Some(5)),
            (2, 6, Some(6)),
            (6, 8, Some(7)),
            (8, 10, Some(6)),
            (10, 12, Some(5)),
            (12, 14, Some(4)),
            (14, 22, Some(9)),
            (22, 24, Some(11)),
            (24, 36, Some(12)),
            (36, 48, Some(13)),
            (48, 52, Some(14)),
            (52, 54, Some(13)),
            (54, 58, Some(15)),
            (58, 68, Some(16)),
            (68, 76, Some(17)),
            (76, 80, Some(15)),
            (80, 86, Some(318)),
            (86, 94, Some(319)),
            (94, 104, Some(318)),
            (104, 108, Some(320)),
            (108, 124, Some(318)),
            (124, 128, Some(320)),
        ];
        check(truth, |offset| line(&table, 3, offset));
    }

    #[test]
    fn a_range_without_line_does_not_move_the_next() {
        let table = [2, 1, 4, 0x80, 2, 1];
        check(&[(0, 2, Some(4)), (2, 6, None), (6, 8, Some(5)), (8, 9, None)], |offset| {
            line(&table, 3, offset)
        });
    }
}
