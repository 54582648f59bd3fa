//! See `lethe_parsers::import_lines`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::import_lines(bytes);
});
