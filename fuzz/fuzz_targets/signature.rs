//! See `lethe_parsers::signature`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::signature(bytes);
});
