//! What would `repr()` of one object begin with?
//!
//! Nothing of the target is run: what its C code would print is read. Where Python code has the
//! say (`__repr__` of a class), the class is named with the value or the attributes in angle
//! brackets. `…` stands for whatever was left out; apart from that a preview of C's own types is
//! what `repr()` prints, but that those which print an address only may say more behind it.
//!
//! Bounded in characters, in depth and in what is read: a preview of a hostile object is as short
//! as any.

mod bytes;
mod calls;
mod classes;
mod containers;
mod exceptions;
mod foreign;
mod futures;
mod instances;
mod numbers;
mod runs;
mod small;
mod strings;
mod subject;
mod times;
mod views;
mod writer;

use crate::layout::Layouts;
use memwhy_model::Addr;
use memwhy_target::{Fault, Memory};
use subject::Subject;
use writer::{Metered, Writer};

/// What `repr()` of the object at `addr` would begin with, in about `budget` characters.
///
/// # Errors
/// As [`Memory::read`], if there is no object. One inside of it that cannot be read is `<?>`.
pub fn preview(
    memory: &dyn Memory,
    layouts: &Layouts,
    addr: Addr,
    budget: usize,
) -> Result<String, Fault> {
    let metered = Metered::new(memory);
    let mut writer = Writer::new(&metered, layouts, budget);
    writer.top(addr)?;
    Ok(writer.finish())
}

/// Writes the objects of some C types.
type Write = fn(&mut Writer<'_>, &Subject) -> Result<(), Fault>;

/// The names that C gives types, and who writes their objects.
type Family = &'static [(&'static [&'static str], Write)];

/// Every family. Subclasses are written as the nearest base that is named here.
static FAMILIES: &[Family] = &[
    numbers::FAMILY,
    strings::FAMILY,
    bytes::FAMILY,
    containers::FAMILY,
    exceptions::FAMILY,
    calls::FAMILY,
    classes::FAMILY,
    runs::FAMILY,
    small::FAMILY,
    views::FAMILY,
    times::FAMILY,
    futures::FAMILY,
    foreign::FAMILY,
    instances::FAMILY,
];

/// Who writes the objects of the type that C calls `name`.
fn writer_of(name: &str) -> Option<Write> {
    let mut known = FAMILIES.iter().flat_map(|family| family.iter());
    known.find(|(names, _)| names.contains(&name)).map(|(_, write)| *write)
}
