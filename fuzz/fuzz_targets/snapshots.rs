//! See `memwhy_fuzz::snapshots`; MEMWHY_FUZZ_SNAPSHOT names the folder that is changed and mended.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::var_os("MEMWHY_FUZZ_SNAPSHOT").expect("MEMWHY_FUZZ_SNAPSHOT names a folder").into()
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwhy_fuzz::snapshots(&FOLDER, bytes));
