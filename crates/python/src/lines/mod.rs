//! Which line of source is a place in bytecode?
//!
//! Three encodings in thirteen years. Decoders are pure functions over the bytes of a table; they
//! take any bytes. The samples in their tests are of one function, compiled by each interpreter;
//! the truth is what `dis.findlinestarts` (`code.co_lines()` from 3.10 on) says there.

pub mod lnotab;
pub mod v310;
pub mod v311;

/// The line `first + delta`, `None` if that is no line.
fn to_line(first: i32, delta: i64) -> Option<u32> {
    u32::try_from(i64::from(first).checked_add(delta)?).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    /// The bytes that a text of hexadecimal digits stands for.
    pub(crate) fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    /// Compares `line` with what an interpreter says: start, end and line of ranges of bytecode.
    pub(crate) fn check(truth: &[(u32, u32, Option<u32>)], line: impl Fn(u32) -> Option<u32>) {
        for (start, end, expected) in truth {
            for offset in *start..*end {
                assert_eq!(line(offset), *expected, "at {offset}");
            }
        }
    }
}
