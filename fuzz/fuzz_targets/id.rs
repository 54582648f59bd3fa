//! See `lethe_parsers::id`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::id(bytes);
});
