//! See `lethe_parsers::session_token`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::session_token(bytes);
});
