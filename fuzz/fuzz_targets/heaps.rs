//! See `memwhy_fuzz::heaps`; MEMWHY_FUZZ_CORE names the core that is changed.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

static CORE: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::var_os("MEMWHY_FUZZ_CORE").expect("MEMWHY_FUZZ_CORE names a core").into()
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwhy_fuzz::heaps(&CORE, bytes));
