//! Which line is it from 3.11 on?
//!
//! `co_linetable` is a sequence of entries. The first byte has its top bit set, as no other has;
//! then four bits of code and three of length. What follows depends on the code, columns mostly.
//! Source: `Objects/locations.md`, `Include/internal/pycore_code.h: PyCodeLocationInfoKind`;
//! `Objects/codeobject.c: advance_with_locations`.

use super::to_line;
use memwhy_model::Span;

/// Codes that have a line in their arguments, or none at all. Those below mean the same line.
const ONE_LINE_0: u8 = 10;
const ONE_LINE_2: u8 = 12;
const NO_COLUMNS: u8 = 13;
const LONG: u8 = 14;
const NONE: u8 = 15;

/// Bytes of a unit of bytecode.
const UNIT: u32 = 2;

/// The line of the instruction at `offset`, in bytes, and which part of the source it is, where the
/// table has columns.
#[must_use]
pub fn place(table: &[u8], first: i32, offset: u32) -> (Option<u32>, Option<Span>) {
    let (mut end, mut delta) = (0_u32, 0_i64);
    let mut rest = table;
    while let Some((head, after)) = rest.split_first() {
        let code = (head >> 3) & 0xf;
        let next = after.iter().position(|byte| byte & 0x80 != 0).unwrap_or(after.len());
        let (arguments, others) = after.split_at_checked(next).unwrap_or_default();
        let mut numbers = Numbers(arguments);
        delta = delta.saturating_add(match code {
            ONE_LINE_0..=ONE_LINE_2 => i64::from(code - ONE_LINE_0),
            NO_COLUMNS | LONG => numbers.signed().unwrap_or(0),
            _ => 0,
        });
        end = end.saturating_add((u32::from(head & 7) + 1) * UNIT);
        if offset < end {
            if code == NONE {
                return (None, None);
            }
            let line = to_line(first, delta);
            return (line, line.and_then(|line| span(code, &mut numbers, line)));
        }
        rest = others;
    }
    (None, None)
}

/// The part of the source, from the arguments of an entry that follow the step of the line.
fn span(code: u8, numbers: &mut Numbers<'_>, line: u32) -> Option<Span> {
    match code {
        NO_COLUMNS | NONE => None,
        LONG => {
            let end_line = line.checked_add(u32::try_from(numbers.next()?).ok()?)?;
            // One more than the column, 0 for none.
            let mut column = || u32::try_from(numbers.next()?.checked_sub(1)?).ok();
            Some(Span { end_line, column: column()?, end_column: column()? })
        }
        ONE_LINE_0..=ONE_LINE_2 => {
            let mut byte = || numbers.byte().map(u32::from);
            Some(Span { end_line: line, column: byte()?, end_column: byte()? })
        }
        short => {
            let second = numbers.byte()?;
            let column = (u32::from(short) << 3) | (u32::from(second) >> 4);
            Some(Span { end_line: line, column, end_column: column + u32::from(second & 15) })
        }
    }
}

/// The arguments of an entry.
struct Numbers<'t>(&'t [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number of six bits a byte, the lowest first; the seventh says that more follow.
    fn next(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        // Six bytes hold 36 bits, more than any line takes.
        for at in 0_u32..6 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x3f) << (6 * at);
            if byte & 0x40 == 0 {
                break;
            }
        }
        Some(number)
    }

    /// The same with the sign in the lowest bit.
    fn signed(&mut self) -> Option<i64> {
        let number = self.next()?;
        let size = i64::try_from(number >> 1).ok()?;
        Some(if number & 1 == 0 { size } else { -size })
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    fn line(table: &[u8], first: i32, offset: u32) -> Option<u32> {
        place(table, first, offset).0
    }

    use crate::lines::tests::{bytes, check};

    #[test]
    fn python_3_11_says_the_same() {
        let table = bytes(
            "8000e00809dd08098825d80a0bf10301090df40001090df10302090df00300050af00a001116f000050511f0000505118804f004030911d80c119054894d88458845f8dd0f19f000010911f000010911f000010911d80c108844f003010911f8f8f8e00a0ff000020513d80b1090318a3988399065d8080d9011890a8805f005000b10f000020513f05e09000a0ff00001050cf00001050cdd080989038c038803f00301050cf00001050cf00001050cf10001050cf40001050cf00001050cf00001050cf00001050cf00001050cf00001050cf00001050cf8f8f8f00001050cf00001050cf00001050cf00001050ce00b10804c",
        );
        let truth = &[
            (0, 2, Some(3)),
            (2, 4, Some(5)),
            (4, 18, Some(6)),
            (18, 20, Some(7)),
            (20, 34, Some(6)),
            (34, 38, Some(5)),
            (38, 40, Some(4)),
            (40, 48, Some(9)),
            (48, 50, Some(11)),
            (50, 62, Some(12)),
            (62, 64, None),
            (64, 82, Some(13)),
            (82, 86, Some(14)),
            (86, 88, Some(13)),
            (88, 94, None),
            (94, 98, Some(15)),
            (98, 112, Some(16)),
            (112, 122, Some(17)),
            (122, 126, Some(15)),
            (126, 132, Some(318)),
            (132, 160, Some(319)),
            (160, 192, Some(318)),
            (192, 198, None),
            (198, 206, Some(318)),
            (206, 210, Some(320)),
        ];
        check(truth, |offset| line(&table, 3, offset));
    }

    #[test]
    fn python_3_12_says_the_same() {
        let table = bytes(
            "8000e00809dc08098825d80a0bf30301090df10302090df00300050af00a001116f2000505118804f004030911d80c119054894d8945f007050511f10c000b10d80b1090318a399065d8080d9011890a8805f205000b10f05e09000a0ff10001050cdc08098c03f70301050ce00b10804cf8f4670900101af200010911d90c10f003010911faf7620901050ce00b10804cfa",
        );
        let truth = &[
            (0, 2, Some(3)),
            (2, 4, Some(5)),
            (4, 16, Some(6)),
            (16, 18, Some(7)),
            (18, 26, Some(6)),
            (26, 30, Some(5)),
            (30, 32, Some(4)),
            (32, 42, Some(9)),
            (42, 44, Some(11)),
            (44, 56, Some(12)),
            (56, 58, Some(9)),
            (58, 62, Some(15)),
            (62, 74, Some(16)),
            (74, 84, Some(17)),
            (84, 90, Some(15)),
            (90, 96, Some(318)),
            (96, 116, Some(319)),
            (116, 132, Some(318)),
            (132, 136, Some(320)),
            (136, 138, None),
            (138, 154, Some(13)),
            (154, 158, Some(14)),
            (158, 160, Some(13)),
            (160, 166, None),
            (166, 182, Some(318)),
            (182, 186, Some(320)),
            (186, 192, None),
        ];
        check(truth, |offset| line(&table, 3, offset));
    }

    #[test]
    fn python_3_13_says_the_same() {
        let table = bytes(
            "8000e00809dc08098825d80a0bf30301090df10302090df00300050af30a0011168804f004030911d80c11894d8a45f107001116f60c000b10d80b1090318b399065d8080d9011890a8805f705000b108825f25e09000a0fdc08098c03f703000a0fe00b10804cf8f4670900101af300010911da0c10f003010911faf76209000a0f8c15e00b10804cfa",
        );
        let truth = &[
            (0, 2, Some(3)),
            (2, 4, Some(5)),
            (4, 16, Some(6)),
            (16, 18, Some(7)),
            (18, 26, Some(6)),
            (26, 30, Some(5)),
            (30, 32, Some(4)),
            (32, 42, Some(9)),
            (42, 44, Some(11)),
            (44, 56, Some(12)),
            (56, 60, Some(9)),
            (60, 74, Some(15)),
            (74, 88, Some(16)),
            (88, 98, Some(17)),
            (98, 116, Some(15)),
            (116, 122, Some(318)),
            (122, 142, Some(319)),
            (142, 158, Some(318)),
            (158, 162, Some(320)),
            (162, 164, None),
            (164, 182, Some(13)),
            (182, 188, Some(14)),
            (188, 190, Some(13)),
            (190, 196, None),
            (196, 222, Some(318)),
            (222, 226, Some(320)),
            (226, 232, None),
        ];
        check(truth, |offset| line(&table, 3, offset));
    }

    #[test]
    fn any_bytes_will_do() {
        for seed in 0..=255_u8 {
            let table: Vec<u8> = (0..64_u8).map(|n| n.wrapping_mul(seed).wrapping_add(n)).collect();
            for offset in [0, 1, 7, 200, u32::MAX] {
                let _ = line(&table, i32::MAX, offset);
            }
        }
        assert_eq!(line(&[], 3, 0), None);
    }
}
