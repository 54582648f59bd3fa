//! See `lethe_parsers::json_body`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::json_body(bytes);
});
