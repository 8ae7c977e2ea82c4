//! Fuzzes Range headers; see `greenway_fuzz_checks`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| greenway_fuzz_checks::ranges(input));
