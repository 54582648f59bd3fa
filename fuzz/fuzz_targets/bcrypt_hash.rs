//! See `lethe_parsers::bcrypt_hash`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::bcrypt_hash(bytes);
});
