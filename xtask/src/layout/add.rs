//! How does a release that the tables do not have yet get into them?
//!
//! What its debug information says is kept in `testdata/dwarf`, and for every struct that it lays
//! out otherwise than the tables say, a row is pasted into the struct's file. What is left for a
//! person: whether a field changed its meaning, a word on it in the file's table, and a test.

use super::{dump, say};
use memwhy_python::layout::AnyTable;
use memwhy_python::layout::dump::Dump;
use memwhy_python::layout::tables;
use memwhy_python::version::{Build, Version};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn run(files: &[&str]) -> Result<(), String> {
    let dump = dump::of(files)?;
    if dump.structs.is_empty() {
        return Err("no struct of CPython in these files: is their debug information compressed \
                    (objcopy --decompress-debug-sections), or apart from them?"
            .into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let kept = root.join(format!("testdata/dwarf/cpython-{}-x86_64.txt", dump.build));
    fs::write(&kept, dump.to_string()).map_err(|e| format!("{}: {e}", kept.display()))?;
    say(&format!("kept as testdata/dwarf/cpython-{}-x86_64.txt", dump.build));
    let (mut pasted, mut missing) = (0, Vec::new());
    for table in tables::ALL {
        let name = table.c_names().first().copied().unwrap_or_default();
        if !dump.structs.contains_key(name) {
            if table.placed(dump.build).is_some() {
                missing.push(name);
            }
            continue;
        }
        let differences = dump.differences(*table);
        if differences.is_empty() {
            continue;
        }
        let path = file_of(&root, name)?;
        paste(&path, &dump, *table)?;
        say(&format!("{}\n  a row in {}", differences.join("\n"), shown(&path)));
        pasted += 1;
    }
    say(&format!("{pasted} of {} structs changed", tables::ALL.len()));
    if !missing.is_empty() {
        say(&format!("not in these files, so unchecked: {}", missing.join(", ")));
    }
    say(
        "next: cargo fmt; cargo test -p memwhy-python; a word in each table on what changed; see CONTRIBUTING.md",
    );
    Ok(())
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The file of the struct that C calls `name`.
fn file_of(root: &Path, name: &str) -> Result<PathBuf, String> {
    let folder = root.join("crates/python/src/layout/tables");
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let names = format!("C_NAMES: &'static [&'static str] = &[\"{name}\"");
    let mut found = paths.into_iter().filter(|path| {
        fs::read_to_string(path).is_ok_and(|text| {
            text.split_whitespace().collect::<Vec<_>>().join(" ").contains(&names)
        })
    });
    found.next().ok_or_else(|| format!("no table has the struct {name}"))
}

/// Puts the row of `dump` where it belongs in the file: behind the last of the same flavour that
/// is not newer.
fn paste(path: &Path, dump: &Dump, table: &dyn AnyTable) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let row = table.row_like(dump.build, &|of, name| dump.find(of, name));
    let pasted = pasted(&text, &qualified(&row, &text), dump.build)
        .ok_or_else(|| format!("{}: no rows found", path.display()))?;
    fs::write(path, pasted).map_err(|e| format!("{}: {e}", path.display()))
}

fn pasted(text: &str, row: &str, build: Build) -> Option<String> {
    let flavour = format!("free_threaded: {}", build.free_threaded);
    let starts: Vec<usize> = text.match_indices("    Row {").map(|(at, _)| at).collect();
    let end = text.find("\n]);")? + 1;
    let mut place = *starts.first()?;
    for (index, start) in starts.iter().enumerate() {
        let next = starts.get(index + 1).copied().unwrap_or(end);
        let this = text.get(*start..next)?;
        let older = since(this).is_some_and(|since| build.version.reaches(since));
        if this.contains(&flavour) && older {
            place = next;
        }
    }
    Some(format!("{}    {row}\n{}", text.get(..place)?, text.get(place..)?))
}

/// The release that a row begins with.
fn since(row: &str) -> Option<Version> {
    let stated = row.split("since: ").nth(1)?.split(&[',', '\n'][..]);
    let stated: String = stated.take(2).collect::<Vec<_>>().join(".").replace(' ', "");
    let inside = |open: &str| Some(stated.split(open).nth(1)?.split(')').next()?.to_owned());
    let text = match (inside("v3p("), inside("v3(")) {
        (Some(both), _) => format!("3.{both}"),
        (None, Some(minor)) => format!("3.{minor}.0"),
        (None, None) if stated.starts_with("V2_7") => "2.7.0".to_owned(),
        (None, None) => return None,
    };
    text.parse().ok()
}

/// The row with the names of enums before their variants, which printing leaves out.
fn qualified(row: &str, source: &str) -> String {
    let mut row = row.to_owned();
    for part in source.split("pub enum ").skip(1) {
        let Some((name, rest)) = part.split_once(" {") else { continue };
        let body = rest.split("\n}").next().unwrap_or_default();
        // Variants are indented once, what belongs to one of them twice.
        let variants = body.lines().filter_map(|line| {
            let variant = line.strip_prefix("    ")?;
            let end = variant.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(variant.len());
            let variant = variant.get(..end)?;
            variant.chars().next().is_some_and(char::is_uppercase).then_some(variant)
        });
        for variant in variants {
            for before in [": ", "("] {
                for after in ["(", " {", ","] {
                    let bare = format!("{before}{variant}{after}");
                    let full = format!("{before}{name}::{variant}{after}");
                    row = row.replace(&bare, &full);
                }
            }
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::{pasted, qualified, since};
    use memwhy_python::version::{Build, v3, v3p};

    const SOURCE: &str = "pub enum State {\n    Flag(Field<u8>),\n    Pair {\n        a: u8,\n    },\n}\n\
        pub const T: Table<T> = Table(&[\n    Row {\n        since: v3(6),\n        free_threaded: \
        false,\n    },\n    Row {\n        since: v3(14),\n        free_threaded: false,\n    },\n    \
        Row {\n        since: v3(13),\n        free_threaded: true,\n    },\n]);\n";

    #[test]
    fn a_row_goes_behind_those_that_are_not_newer() {
        let place = |build| {
            let text = pasted(SOURCE, "NEW", build).unwrap_or_default();
            text.get(..text.find("NEW").unwrap_or(0)).unwrap_or_default().matches("Row {").count()
        };
        assert_eq!(place(Build::gil(v3p(13, 2))), 1);
        assert_eq!(place(Build::gil(v3p(14, 3))), 2);
        assert_eq!(place(Build::free_threaded(v3(14))), 3);
    }

    #[test]
    fn variants_get_the_names_of_their_enums() {
        let row = "Row { state: Flag(at(\"x\", 1)), other: Some(Pair { a: 1 }) }";
        let full = "Row { state: State::Flag(at(\"x\", 1)), other: Some(State::Pair { a: 1 }) }";
        assert_eq!(qualified(row, SOURCE), full);
    }

    #[test]
    fn the_beginning_of_a_row_is_read() {
        assert_eq!(since("    Row { since: v3p(13, 5), free"), Some(v3p(13, 5)));
        assert_eq!(since("    Row {\n        since: v3(9),\n"), Some(v3(9)));
    }
}
