//! What does the debug information of one build say?
//!
//! `testdata/dwarf/*.txt` are extracts made by `cargo xtask layout dump`: a few kB of text each,
//! with the structs and members that the tables mention and nothing else.
//!
//! ```text
//! # from the DWARF of libpython3.11.so.1.0
//! build 3.11.7
//! struct PyListObject 40
//!   ob_item 24
//! struct PyASCIIObject 48
//!   state.kind 32:2:3
//! ```

use super::{AnyTable, Placed};
use crate::version::{Build, Version};
use std::collections::BTreeMap;
use std::fmt;

/// The structs of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Where the numbers are from, in a sentence.
    pub provenance: String,
    /// Whose structs they are.
    pub build: Build,
    /// Whether structs may be missing, because only headers were looked at.
    pub partial: bool,
    /// Each struct under the first of its names.
    pub structs: BTreeMap<String, DumpedStruct>,
}

/// Size and members of one struct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpedStruct {
    /// `sizeof`.
    pub size: u64,
    /// Offset, and lowest bit and width of a bit-field.
    pub members: BTreeMap<String, (u64, Option<(u8, u8)>)>,
}

/// A line that is not of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotADump(pub String);

impl fmt::Display for NotADump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a line of a layout dump: {:?}", self.0)
    }
}

impl std::error::Error for NotADump {}

impl Dump {
    /// Reads the text of a dump.
    ///
    /// # Errors
    /// [`NotADump`] with the first line that is none, or an empty one without a `build` line.
    pub fn parse(text: &str) -> Result<Self, NotADump> {
        let mut dump = Self {
            provenance: String::new(),
            build: Build::gil(crate::version::V2_7),
            partial: false,
            structs: BTreeMap::new(),
        };
        let (mut build, mut current) = (None, None);
        for line in text.lines() {
            let bad = || NotADump(line.to_owned());
            if let Some(comment) = line.strip_prefix("# ") {
                comment.clone_into(&mut dump.provenance);
            } else if let Some(said) = line.strip_prefix("build ") {
                build = Some(parse_build(said).ok_or_else(bad)?);
            } else if line == "partial" {
                dump.partial = true;
            } else if let Some(head) = line.strip_prefix("struct ") {
                let (name, size) = head.rsplit_once(' ').ok_or_else(bad)?;
                let size = size.parse().map_err(|_| bad())?;
                current = Some(dump.structs.entry(name.to_owned()).or_default());
                if let Some(of) = &mut current {
                    of.size = size;
                }
            } else {
                let of = current.as_mut().ok_or_else(bad)?;
                let (name, place) = line.trim_start().rsplit_once(' ').ok_or_else(bad)?;
                let place = parse_place(place).ok_or_else(bad)?;
                of.members.insert(name.to_owned(), place);
            }
        }
        dump.build = build.ok_or_else(|| NotADump(String::new()))?;
        Ok(dump)
    }

    /// What the dump has of a member, or of the size under an empty name.
    #[must_use]
    pub fn find(&self, of: &str, name: &str) -> Option<Placed> {
        let found = self.structs.get(of)?;
        let (offset, bits) = match name {
            "" => (found.size, None),
            name => *found.members.get(name)?,
        };
        Some(Placed { of: of.to_owned(), name: name.to_owned(), offset, bits })
    }

    /// Where `table` differs from the dump, a sentence each.
    #[must_use]
    pub fn differences(&self, table: &dyn AnyTable) -> Vec<String> {
        let name = table.c_names().first().copied().unwrap_or_default();
        let build = self.build;
        // Declared without GIL too, but nothing has one.
        if build.free_threaded && name == "_gc_head" {
            return Vec::new();
        }
        let (size, members) = match (table.placed(build), self.structs.contains_key(name)) {
            (Some(placed), true) => placed,
            (None, false) => return Vec::new(),
            (Some(_), false) if self.partial => return Vec::new(),
            (Some(_), false) => return vec![format!("{build} has no {name}, but a row")],
            (None, true) => return vec![format!("{build} has a {name}, but no row")],
        };
        let mut differences = Vec::new();
        let whole = Placed { of: name.into(), name: String::new(), offset: size, bits: None };
        for ours in members.iter().chain([&whole]) {
            let theirs = self.find(&ours.of, &ours.name);
            let same = theirs.as_ref().is_some_and(|theirs| {
                let whole_byte = theirs.bits.is_none() && ours.bits == Some((0, 8));
                theirs.offset == ours.offset && (theirs.bits == ours.bits || whole_byte)
            });
            if !same {
                let what = if ours.name.is_empty() { "size" } else { &ours.name };
                let theirs =
                    theirs.map_or_else(|| "nothing".to_owned(), |t| place(t.offset, t.bits));
                let table = place(ours.offset, ours.bits);
                differences.push(format!("{build} {}.{what}: {theirs}, table {table}", ours.of));
            }
        }
        differences
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}\nbuild {}", self.provenance, self.build)?;
        if self.partial {
            writeln!(f, "partial")?;
        }
        for (name, found) in &self.structs {
            writeln!(f, "struct {name} {}", found.size)?;
            for (member, (offset, bits)) in &found.members {
                writeln!(f, "  {member} {}", place(*offset, *bits))?;
            }
        }
        Ok(())
    }
}

fn place(offset: u64, bits: Option<(u8, u8)>) -> String {
    match bits {
        Some((shift, width)) => format!("{offset}:{shift}:{width}"),
        None => offset.to_string(),
    }
}

fn parse_place(text: &str) -> Option<(u64, Option<(u8, u8)>)> {
    let mut parts = text.split(':');
    let offset = parts.next()?.parse().ok()?;
    let bits = match (parts.next(), parts.next()) {
        (Some(shift), Some(width)) => Some((shift.parse().ok()?, width.parse().ok()?)),
        (None, None) => None,
        (None, Some(_)) | (Some(_), None) => return None,
    };
    Some((offset, bits))
}

fn parse_build(text: &str) -> Option<Build> {
    let (text, debug) = match text.strip_suffix(" (debug)") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (version, free_threaded) = match text.strip_suffix('t') {
        Some(version) => (version, true),
        None => (text, false),
    };
    let version: Version = version.parse().ok()?;
    Some(Build { version, free_threaded, debug })
}

#[cfg(test)]
mod tests {
    use super::Dump;
    use crate::layout::tables::{self, gc_state};
    use crate::layout::{Placed, Shape};
    use std::path::Path;

    fn dumps() -> Vec<Dump> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/dwarf");
        let mut dumps = Vec::new();
        for entry in std::fs::read_dir(folder).expect("testdata/dwarf") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a text");
            let dump = Dump::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert_eq!(dump.to_string(), text, "{}", path.display());
            dumps.push(dump);
        }
        dumps
    }

    #[test]
    fn every_table_agrees_with_every_dump() {
        let dumps = dumps();
        assert!(dumps.len() >= 17, "only {} dumps", dumps.len());
        let differences: Vec<String> = dumps
            .iter()
            .flat_map(|dump| tables::ALL.iter().flat_map(|table| dump.differences(*table)))
            .collect();
        assert!(differences.is_empty(), "cargo xtask layout check\n{}", differences.join("\n"));
    }

    #[test]
    fn every_struct_is_in_a_dump_of_a_release_that_has_it() {
        let dumps = dumps();
        for table in tables::ALL {
            let name = table.c_names()[0];
            assert!(dumps.iter().any(|dump| dump.structs.contains_key(name)), "{name}");
        }
    }

    #[test]
    fn debian_packs_the_collector_of_3_13_otherwise() {
        let mut layout = gc_state::GC_STATE_DEBIAN_3_13;
        let dumps = dumps();
        let of = "_gc_runtime_state@debian";
        let dump = dumps.iter().find(|dump| dump.structs.contains_key(of)).expect("a dump");
        layout.visit(&mut |spot| {
            let found: Option<Placed> = dump.find(of, spot.name);
            assert_eq!(found.map(|found| found.offset), Some(*spot.offset), "{}", spot.name);
        });
    }
}
