//! See `lethe_parsers::certificate`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::certificate(bytes);
});
