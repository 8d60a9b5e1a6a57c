//! Numbers. Source: `Objects/longobject.c: long_to_decimal_string_internal`,
//! `Objects/floatobject.c: float_repr`, `Objects/complexobject.c: complex_repr`,
//! `Python/pystrtod.c: format_float_short`.

use super::subject::Subject;
use super::writer::Writer;
use super::{Family, Write};
use crate::int;
use crate::layout::TypeFlags;
use memwhy_target::{Fault, MemoryExt};
use std::fmt::Write as _;

pub(super) static FAMILY: Family = &[
    (&["int", "long"], integer as Write),
    (&["bool"], truth),
    (&["float"], float),
    (&["complex"], complex),
];

/// Integers of more digits (of 30 bits) are written in hexadecimal, of which the first are enough:
/// that many have 4,515 decimal digits, more than Python itself converts since 3.11.
const MOST_DIGITS: u64 = 500;
/// Digits of 30 bits that hexadecimal begins with.
const LEADING: u64 = 4;

fn truth(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let value = int::read(writer.memory, writer.layouts, subject.addr)?;
    writer.text(if value == Some(0) { "False" } else { "True" });
    Ok(())
}

fn integer(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let long = subject.flags & TypeFlags::LONG_SUBCLASS != 0;
    let suffix = if long && layouts.wording.long_suffix { "L" } else { "" };
    if let Some(number) = int::read(memory, layouts, subject.addr)? {
        writer.text(&format!("{number}{suffix}"));
        return Ok(());
    }
    let (count, negative) = int::digit_count(memory, layouts, subject.addr)?;
    let sign = if negative { "-" } else { "" };
    if count > MOST_DIGITS {
        let first = count - LEADING;
        let leading = int::digits(memory, layouts, subject.addr, first, LEADING)?;
        writer.text(&format!("{sign}{}", hexadecimal(&leading, first)));
        writer.leave_out();
        return Ok(());
    }
    let digits = int::digits(memory, layouts, subject.addr, 0, count)?;
    writer.text(&format!("{sign}{}{suffix}", decimal(digits)));
    Ok(())
}

/// `digits` of 30 bits, the lowest first, in base ten.
fn decimal(mut digits: Vec<u32>) -> String {
    const BASE: u64 = 1_000_000_000;
    let mut groups = Vec::new();
    while digits.iter().any(|digit| *digit != 0) {
        let mut rest = 0;
        for digit in digits.iter_mut().rev() {
            let value = rest << int::DIGIT_BITS | u64::from(*digit);
            *digit = u32::try_from(value / BASE).unwrap_or(0);
            rest = value % BASE;
        }
        groups.push(rest);
        while digits.last() == Some(&0) {
            digits.pop();
        }
    }
    let mut text = groups.pop().unwrap_or(0).to_string();
    for group in groups.iter().rev() {
        let _ = write!(text, "{group:09}");
    }
    text
}

/// What `hex()` begins with: `leading` digits, the lowest first, with `below` more under them.
fn hexadecimal(leading: &[u32], below: u64) -> String {
    let shift = |sum: u128, digit: &u32| sum << int::DIGIT_BITS | u128::from(*digit);
    let number = leading.iter().rev().fold(0u128, shift);
    // A hexadecimal digit has four bits, counted from the lowest of all.
    let dropped = (4 - below * u64::from(int::DIGIT_BITS) % 4) % 4;
    format!("{:#x}", number >> dropped)
}

fn float(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let at = subject.addr.at(writer.layouts.object.size);
    let mut text = shortest(f64::from_bits(writer.memory.u64(at)?));
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        text.push_str(".0");
    }
    writer.text(&text);
    Ok(())
}

fn complex(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let at = subject.addr.at(writer.layouts.object.size);
    let real = f64::from_bits(writer.memory.u64(at)?);
    let imaginary = f64::from_bits(writer.memory.u64(at.at(8))?);
    if real.to_bits() == 0 {
        writer.text(&format!("{}j", shortest(imaginary)));
        return Ok(());
    }
    let plus = if imaginary.is_sign_negative() && !imaginary.is_nan() { "" } else { "+" };
    writer.text(&format!("({}{plus}{}j)", shortest(real), shortest(imaginary)));
    Ok(())
}

/// The shortest digits that mean the same number, laid out as `format_float_short` does for `r`.
pub(super) fn shortest(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if number.is_infinite() {
        return format!("{sign}inf");
    }
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign_of = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{sign_of}{:02}", exponent.abs());
    }
    let places = usize::try_from(exponent.unsigned_abs()).unwrap_or(0);
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(places - 1));
    }
    if digits.len() <= places + 1 {
        return format!("{sign}{digits}{}", "0".repeat(places + 1 - digits.len()));
    }
    let (whole, fraction) = digits.split_at(places + 1);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::{decimal, hexadecimal, shortest};

    #[test]
    fn floats_are_laid_out_as_python_does() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (123_456_789_012_345.6, "123456789012345.6"),
            (1e15, "1000000000000000"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (-1.5e300, "-1.5e+300"),
            (f64::INFINITY, "inf"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(shortest(number), text);
        }
    }

    #[test]
    fn digits_of_thirty_bits_become_decimal_and_hexadecimal() {
        assert_eq!(decimal(vec![0, 0, 1 << 4]), "18446744073709551616");
        assert_eq!(decimal(vec![]), "0");
        assert_eq!(hexadecimal(&[0, 1], 2), "0x40000000");
        // 1 << 30 is 0x40000000, and 1 << 60 is 0x1 with fifteen zeroes.
        assert_eq!(hexadecimal(&[1], 1), "0x0");
        assert_eq!(hexadecimal(&[0, 1], 1), "0x10000000");
    }
}
