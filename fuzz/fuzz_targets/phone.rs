//! See `lethe_parsers::phone`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::phone(bytes);
});
