//! See `lethe_parsers::api_key`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::api_key(bytes);
});
