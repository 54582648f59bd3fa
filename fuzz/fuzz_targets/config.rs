//! See `lethe_parsers::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::config(bytes);
});
