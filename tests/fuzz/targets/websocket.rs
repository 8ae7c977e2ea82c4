//! Fuzzes WebSocket messages; see `greenway::fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| greenway::fuzz::websocket(input));
