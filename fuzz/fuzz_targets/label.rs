//! See `lethe_parsers::label`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::label(bytes);
});
