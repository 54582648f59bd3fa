//! See `lethe_parsers::ledger_entry`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lethe_parsers::ledger_entry(bytes);
});
