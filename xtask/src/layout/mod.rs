//! Do the layout tables agree with what compilers wrote down?

pub(crate) mod add;
pub(crate) mod check;
pub(crate) mod dump;
pub(crate) mod dwarf;
pub(crate) mod show;

use memwhy_python::layout::dump::Dump;
use std::io::Write;
use std::path::Path;

/// Every dump in `testdata/dwarf`, oldest release first.
pub(crate) fn dumps() -> Result<Vec<Dump>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/dwarf");
    let mut dumps = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        dumps.push(Dump::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?);
    }
    dumps.sort_by_key(|dump| (dump.build.free_threaded, dump.build.version));
    Ok(dumps)
}

/// Writes to standard output; a closed pipe ends it without noise.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")));
}
