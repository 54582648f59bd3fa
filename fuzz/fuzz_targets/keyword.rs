//! See `lethe_parsers::keyword`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::keyword(bytes);
});
