//! How did a struct change over time?

use super::{dumps, say};
use memwhy_python::layout::dump::Dump;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Prints the members of `name`, a column for each dump that has it.
pub(crate) fn run(name: &str) -> Result<(), String> {
    let dumps = dumps()?;
    let having: Vec<&Dump> = dumps.iter().filter(|d| d.structs.contains_key(name)).collect();
    let members: BTreeSet<&str> = having
        .iter()
        .filter_map(|dump| dump.structs.get(name))
        .flat_map(|found| found.members.keys().map(String::as_str))
        .collect();
    if having.is_empty() {
        return Err(format!("no dump has a struct {name}; try the tag instead of the typedef"));
    }
    let mut table = format!("{name:<24}");
    for dump in &having {
        let _ = write!(table, " {:>8}", dump.build.to_string());
    }
    for member in [""].into_iter().chain(members) {
        let _ = write!(table, "\n{:<24}", if member.is_empty() { "sizeof" } else { member });
        for dump in &having {
            let offset = dump.find(name, member).map(|found| match found.bits {
                Some((shift, width)) => format!("{}:{shift}:{width}", found.offset),
                None => found.offset.to_string(),
            });
            let _ = write!(table, " {:>8}", offset.unwrap_or_default());
        }
    }
    say(&table);
    Ok(())
}
