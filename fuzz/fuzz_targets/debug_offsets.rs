//! See `memwhy_fuzz::debug_offsets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwhy_fuzz::debug_offsets(bytes));
