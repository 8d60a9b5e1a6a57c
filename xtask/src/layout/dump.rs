//! What do the files of one CPython say about the structs of the tables?

use super::{dwarf, say};
use memwhy_python::layout::dump::{Dump, DumpedStruct};
use memwhy_python::layout::tables;
use memwhy_python::version::{Build, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Prints the dump of the interpreter whose libpython (or executable) is the first of `files`,
/// unless that is its version.
///
/// Extension modules that are installed with it are looked at too: deques, locks and tasks are
/// known to nobody else.
pub(crate) fn run(files: &[&str]) -> Result<(), String> {
    say(of(files)?.to_string().trim_end());
    Ok(())
}

/// The dump of that interpreter.
pub(crate) fn of(files: &[&str]) -> Result<Dump, String> {
    let stated = files.first().and_then(|first| first.parse().ok());
    let files = files.get(usize::from(stated.is_some())..).unwrap_or_default();
    let mut paths: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    let main = paths.first().cloned().unwrap_or_default();
    let bytes = read(&main)?;
    let version = stated.or_else(|| version(&main)).ok_or_else(|| {
        format!("{}: no patchlevel.h in its include folder; name the version first", main.display())
    })?;
    paths.extend(extensions(&main, version));

    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
    for table in tables::ALL {
        let first = table.c_names().first().copied().unwrap_or_default();
        names.push((first, table.c_names().to_vec()));
        wanted.entry(first).or_default();
        for (of, member) in table.mentioned() {
            wanted.entry(of).or_default().insert(member);
            if of != first {
                names.push((of, vec![of]));
            }
        }
    }
    let mut structs: BTreeMap<String, DumpedStruct> = BTreeMap::new();
    for path in &paths {
        let bytes = if *path == main { bytes.clone() } else { read(path)? };
        let missing = names.iter().filter(|(first, _)| !structs.contains_key(*first));
        let missing: Vec<(&str, Vec<&str>)> = missing.cloned().collect();
        let found = dwarf::structs(&bytes, &missing, &wanted)
            .map_err(|e| format!("{}: {e}", path.display()))?;
        structs.extend(found);
    }
    let free_threaded =
        structs.get("_object").is_some_and(|object| object.members.contains_key("ob_ref_local"));
    let name = main.file_name().unwrap_or_default().display();
    let dump = Dump {
        provenance: format!("from the DWARF of {name} and its extension modules"),
        build: Build { version, free_threaded, debug: false },
        partial: false,
        structs,
    };
    Ok(dump)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// What `patchlevel.h` says, which is installed in a folder named as the file is.
fn version(path: &Path) -> Option<Version> {
    let series = path.file_name()?.to_str()?.split_once("python")?.1;
    let end = series.find(".so").unwrap_or(series.len());
    let folder = path.parent()?.join("../include").join(format!("python{}", series.get(..end)?));
    let text = std::fs::read_to_string(folder.join("patchlevel.h")).ok()?;
    let line = text.lines().find(|line| line.starts_with("#define PY_VERSION "))?;
    line.split('"').nth(1)?.parse().ok()
}

/// The extension modules installed next to a libpython or two folders from an executable.
fn extensions(main: &Path, version: Version) -> Vec<PathBuf> {
    let (major, minor) = version.series();
    let Some(folder) = main.parent() else { return Vec::new() };
    let places = [folder.to_owned(), folder.join("../lib")];
    let modules = places.iter().map(|p| p.join(format!("python{major}.{minor}/lib-dynload")));
    let entries = modules.filter_map(|p| std::fs::read_dir(p).ok()).flatten().flatten();
    let wanted = ["_collections", "_asyncio", "array", "_functools", "_io", "_thread"];
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let stem = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.split('.').next());
            stem.is_some_and(|stem| wanted.contains(&stem.trim_end_matches("module")))
        })
        .collect();
    found.sort();
    found
}
