//! See `lethe_parsers::cursor`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::cursor(bytes);
});
