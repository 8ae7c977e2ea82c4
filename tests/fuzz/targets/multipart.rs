//! Fuzzes the parser of multipart forms; see `greenway_fuzz_checks`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| greenway_fuzz_checks::multipart(input));
