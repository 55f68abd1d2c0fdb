//! See `harness/multipart.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| smartrag::fuzz::run("multipart", input));
