//! See `lethe_parsers::s2_block`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::s2_block(bytes);
});
