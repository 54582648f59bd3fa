//! See `lethe_parsers::page_key`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::page_key(bytes);
});
