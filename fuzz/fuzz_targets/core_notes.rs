//! See `memwhy_fuzz::core_notes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwhy_fuzz::core_notes(bytes));
