//! Fuzzes a whole connection over memory; see `greenway::fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| greenway::fuzz::connection(input));
