//! See `harness/headers.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| smartrag::fuzz::run("headers", input));
