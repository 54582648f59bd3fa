//! See `lethe_parsers::picture`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::picture(bytes);
});
