//! See `memwhy_fuzz::snapshots`; MEMWHY_FUZZ_SNAPSHOT names the folder that is changed and mended, a copy
//! of `fuzz/snapshot` if it does not.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::var_os("MEMWHY_FUZZ_SNAPSHOT").map_or_else(copy_of_the_sample, Into::into)
});

fn copy_of_the_sample() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("memwhy-fuzz-{}.memwhy", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshot");
    for entry in std::fs::read_dir(sample).expect("the sample") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, folder.join(path.file_name().expect("it has one"))).expect("room");
    }
    folder
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwhy_fuzz::snapshots(&FOLDER, bytes));
