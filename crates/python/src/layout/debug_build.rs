//! What lies elsewhere in a build with `Py_DEBUG`?
//!
//! | release | what |
//! |---|---|
//! | 2.7 to 3.7 | `Py_TRACE_REFS` is implied: two links before the count of every object |
//! | 3.8 | nothing of what is read |
//! | 3.13 | one word more in an interpreter, before its allocator |
//!
//! Source: `Include/object.h`, `_PyObject_HEAD_EXTRA`; debug information of Debian's `-dbg` builds,
//! of which `testdata/dwarf-debug` has extracts.

use super::Layouts;
use crate::version::v3;

/// `_ob_next` and `_ob_prev`.
const LINKS: u64 = 16;

/// The structs in the tables that begin with something else than an object.
const NO_OBJECTS: [&str; 24] = [
    "BLOCK",
    "PyDictKeyEntry",
    "PyDictUnicodeEntry",
    "_PyInterpreterFrame",
    "_Py_freelists",
    "_dictkeysobject",
    "_dictvalues",
    "_gc_head",
    "_gc_runtime_state",
    "_gil_runtime_state",
    "_is",
    "_obmalloc_state",
    "_odictnode",
    "_pending_calls",
    "_stack_chunk",
    "_ts",
    "arena_object",
    "gc_generation",
    "pool_header",
    "pyruntimestate",
    "setentry",
    "StgInfo",
    "ThreadHandle",
    "wait_entry",
];

/// Moves what is elsewhere in the debug build that `layouts` are of.
pub(super) fn apply(layouts: &mut Layouts) {
    let version = layouts.build.version;
    if !version.reaches(v3(8)) {
        layouts.visit(&mut |spot| {
            if !NO_OBJECTS.contains(&spot.of) {
                *spot.offset += LINKS;
            }
        });
    }
    if version.reaches(v3(13)) {
        layouts.visit(&mut |spot| {
            let behind =
                ["obmalloc", "object_state.freelists", "types.type_cache"].contains(&spot.name);
            if spot.of == "_is" && behind {
                *spot.offset += 8;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::layout::Layouts;
    use crate::layout::dump::Dump;
    use std::path::Path;

    #[test]
    fn debug_builds_are_laid_out_as_compilers_say() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/dwarf-debug");
        let (mut differences, mut compared) = (Vec::new(), 0);
        for entry in std::fs::read_dir(folder).expect("testdata/dwarf-debug") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a text");
            let dump = Dump::parse(&text).unwrap_or_else(|error| panic!("{error}"));
            assert!(dump.build.debug);
            let (mut layouts, _) = Layouts::for_build(dump.build).expect("known");
            layouts.visit(&mut |spot| {
                // The sizes of these grow with every release, and nothing depends on them.
                let of_its_release =
                    ["_is", "pyruntimestate"].contains(&spot.of) && spot.name.is_empty();
                let Some(found) = dump.find(spot.of, spot.name).filter(|_| !of_its_release) else {
                    return;
                };
                compared += 1;
                if found.offset != *spot.offset {
                    let (of, name, ours) = (spot.of, spot.name, *spot.offset);
                    differences
                        .push(format!("{} {of}.{name}: {}, ours {ours}", dump.build, found.offset));
                }
            });
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        assert!(compared > 1000, "only {compared} members");
    }
}
