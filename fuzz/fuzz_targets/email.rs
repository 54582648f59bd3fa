//! See `lethe_parsers::email`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::email(bytes);
});
