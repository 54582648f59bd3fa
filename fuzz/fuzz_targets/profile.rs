//! See `lethe_parsers::profile`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::profile(bytes);
});
