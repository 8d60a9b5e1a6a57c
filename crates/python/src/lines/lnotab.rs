//! Which line is it up to 3.9?
//!
//! `co_lnotab` is pairs of bytes: a step in the bytecode, then a step in the source, which is
//! signed from 3.6 on. Source: `Objects/lnotab_notes.txt`, `Objects/codeobject.c: PyCode_Addr2Line`.

use super::to_line;

/// How a step of the line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// 2.7: forward only.
    Unsigned,
    /// From 3.6 on: either way.
    Signed,
}

/// The line of the instruction at `offset`, in bytes.
#[must_use]
pub fn line(table: &[u8], first: i32, offset: u32, steps: Steps) -> Option<u32> {
    let (mut at, mut delta) = (0_u32, 0_i64);
    for &[bytecode, source] in table.as_chunks::<2>().0 {
        at = at.saturating_add(bytecode.into());
        if at > offset {
            break;
        }
        delta += match steps {
            Steps::Unsigned => i64::from(source),
            Steps::Signed => i64::from(source.cast_signed()),
        };
    }
    to_line(first, delta)
}

#[cfg(test)]
mod tests {
    use super::Steps::{Signed, Unsigned};
    use super::line;
    use crate::lines::tests::{bytes, check};

    #[test]
    fn python_2_7_says_the_same() {
        let table = bytes("0002030106010a020d0203010e010d01080109010c0004010eff002e07010d01");
        let truth = &[
            (0, 3, Some(5)),
            (3, 9, Some(6)),
            (9, 19, Some(7)),
            (19, 32, Some(9)),
            (32, 35, Some(11)),
            (35, 49, Some(12)),
            (49, 62, Some(13)),
            (62, 70, Some(14)),
            (70, 79, Some(15)),
            (79, 95, Some(16)),
            (95, 109, Some(17)),
            (109, 116, Some(318)),
            (116, 129, Some(319)),
            (129, 133, Some(320)),
        ];
        check(truth, |offset| line(&table, 3, offset, Unsigned));
    }

    #[test]
    fn python_3_6_says_the_same() {
        let table = bytes("00020201040108020a0202010c010e010a010601080002010c7f007f002f06011001");
        let truth = &[
            (0, 2, Some(5)),
            (2, 6, Some(6)),
            (6, 14, Some(7)),
            (14, 24, Some(9)),
            (24, 26, Some(11)),
            (26, 38, Some(12)),
            (38, 52, Some(13)),
            (52, 62, Some(14)),
            (62, 68, Some(15)),
            (68, 78, Some(16)),
            (78, 90, Some(17)),
            (90, 96, Some(318)),
            (96, 112, Some(319)),
            (112, 116, Some(320)),
        ];
        check(truth, |offset| line(&table, 3, offset, Signed));
    }

    #[test]
    fn python_3_8_says_the_same() {
        let table = bytes(
            "00020201040102ff02ff02ff0205080202010c010e0108010401080002010a7f007f002f06011001",
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
            (36, 50, Some(13)),
            (50, 58, Some(14)),
            (58, 62, Some(15)),
            (62, 72, Some(16)),
            (72, 82, Some(17)),
            (82, 88, Some(318)),
            (88, 104, Some(319)),
            (104, 108, Some(320)),
        ];
        check(truth, |offset| line(&table, 3, offset, Signed));
    }

    #[test]
    fn python_3_9_says_the_same() {
        let table =
            bytes("00020201040102ff02ff02ff0205080202010c010c01080104010a010a7f007f002f06012401");
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
            (48, 56, Some(14)),
            (56, 60, Some(15)),
            (60, 70, Some(16)),
            (70, 80, Some(17)),
            (80, 86, Some(318)),
            (86, 122, Some(319)),
            (122, 126, Some(320)),
        ];
        check(truth, |offset| line(&table, 3, offset, Signed));
    }

    #[test]
    fn half_a_pair_and_lines_before_the_first_are_no_lines() {
        assert_eq!(line(&[0], 3, 0, Signed), Some(3));
        assert_eq!(line(&[0, 0x80], 3, 0, Signed), None);
    }
}
