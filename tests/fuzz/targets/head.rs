//! Fuzzes request heads; see `greenway::fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| greenway::fuzz::head(input));
