//! See `lethe_parsers::cookie`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::cookie(bytes);
});
