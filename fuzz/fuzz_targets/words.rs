//! See `lethe_parsers::words`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::words(bytes);
});
