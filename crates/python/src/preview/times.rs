//! Dates and times. Source: `Modules/_datetimemodule.c: date_repr, datetime_repr, time_repr,
//! delta_repr`, `Include/datetime.h`.

use super::subject::Subject;
use super::writer::Writer;
use super::{Family, Write};
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

pub(super) static FAMILY: Family = &[
    (&["datetime.date"], date as Write),
    (&["datetime.datetime"], date_time),
    (&["datetime.time"], time),
    (&["datetime.timedelta"], difference),
    (&["datetime.timezone"], zone),
];

/// `_PyTZINFO_HEAD`: the hash, then whether there is a time zone, then the digits.
const ZONED: u64 = 8;
const DIGITS: u64 = 9;
/// Where the time zone is, behind at most 11 bytes of digits and the fold.
const ZONE: u64 = 24;

fn name(subject: &Subject) -> String {
    if subject.c_name.contains('.') {
        subject.c_name.clone()
    } else {
        subject.short_name().to_owned()
    }
}

fn digits<const N: usize>(writer: &Writer<'_>, subject: &Subject) -> Result<[u8; N], Fault> {
    writer.memory.array(subject.addr.at(writer.layouts.object.size + DIGITS))
}

fn year(high: u8, low: u8) -> u32 {
    u32::from(high) << 8 | u32::from(low)
}

fn date(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let [high, low, month, day] = digits(writer, subject)?;
    writer.text(&format!("{}({}, {month}, {day})", name(subject), year(high, low)));
    Ok(())
}

fn date_time(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let [high, low, month, day, hour, minute, second, a, b, c, fold] = digits(writer, subject)?;
    let begin = format!("{}({}, {month}, {day}, ", name(subject), year(high, low));
    clock(writer, subject, &begin, [hour, minute, second, a, b, c, fold], ZONE)
}

fn time(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let clocked = digits(writer, subject)?;
    clock(writer, subject, &format!("{}(", name(subject)), clocked, ZONE - 8)
}

fn clock(
    writer: &mut Writer<'_>,
    subject: &Subject,
    begin: &str,
    [hour, minute, second, a, b, c, fold]: [u8; 7],
    zone: u64,
) -> Result<(), Fault> {
    writer.text(&format!("{begin}{hour}, {minute}"));
    let micro = u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c);
    if second != 0 || micro != 0 {
        writer.text(&format!(", {second}"));
    }
    if micro != 0 {
        writer.text(&format!(", {micro}"));
    }
    let fields = subject.addr.at(writer.layouts.object.size);
    if writer.layouts.wording.times_have_fold && fold != 0 {
        writer.text(&format!(", fold={fold}"));
    }
    if writer.memory.u8(fields.at(ZONED))? != 0 {
        let zone = writer.memory.ptr(fields.at(zone))?;
        writer.text(", tzinfo=");
        writer.object_or(zone, "?");
    }
    writer.close(")");
    Ok(())
}

fn difference(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    // `PyDateTime_Delta`: the hash, then days, seconds and microseconds.
    let [days, seconds, micros] = [8, 12, 16].map(|offset| {
        let at = subject.addr.at(writer.layouts.object.size + offset);
        writer.memory.u32(at).map(u32::cast_signed)
    });
    let (days, seconds, micros) = (days?, seconds?, micros?);
    let name = name(subject);
    if !writer.layouts.wording.differences_name_parts {
        let parts = match (seconds, micros) {
            (0, 0) => days.to_string(),
            (_, 0) => format!("{days}, {seconds}"),
            _ => format!("{days}, {seconds}, {micros}"),
        };
        writer.text(&format!("{name}({parts})"));
        return Ok(());
    }
    let parts = [("days", days), ("seconds", seconds), ("microseconds", micros)];
    let said: Vec<String> = parts
        .iter()
        .filter(|(_, number)| *number != 0)
        .map(|(name, number)| format!("{name}={number}"))
        .collect();
    let said = if said.is_empty() { "0".to_owned() } else { said.join(", ") };
    writer.text(&format!("{name}({said})"));
    Ok(())
}

/// `PyDateTime_TimeZone`: the offset, then the name.
fn zone(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let at = subject.addr.at(writer.layouts.object.size);
    let (offset, named) = (writer.memory.ptr(at)?, writer.memory.ptr(at.at(8))?);
    let seconds = |offset: Addr| writer.memory.u32(offset.at(writer.layouts.object.size + 12));
    let days = |offset: Addr| writer.memory.u32(offset.at(writer.layouts.object.size + 8));
    if let Some(offset) = offset
        && named.is_none()
        && seconds(offset)? == 0
        && days(offset)? == 0
    {
        writer.text("datetime.timezone.utc");
        return Ok(());
    }
    writer.text("datetime.timezone(");
    writer.object_or(offset, "?");
    if let Some(named) = named {
        writer.text(", ");
        writer.object(named);
    }
    writer.close(")");
    Ok(())
}
