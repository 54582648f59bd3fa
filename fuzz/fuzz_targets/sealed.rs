//! See `lethe_parsers::sealed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::sealed(bytes);
});
