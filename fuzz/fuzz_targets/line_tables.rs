//! See `memwhy_fuzz::line_tables`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwhy_fuzz::line_tables(bytes));
