//! Planted tokens, in each form and each store: the search finds them, and nothing where there is nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test has nobody to report to")]

mod forms;
mod index;
mod jetstream;
mod packed;
mod postgres;
mod trial;

use std::collections::BTreeSet;

use lethe_leftovers::{Form, Report, Tokens};

/// One token with the label `t`.
fn one(text: &str) -> Tokens {
    Tokens::new([("t", text)]).unwrap()
}

/// In which forms a token was found.
fn forms(report: &Report) -> BTreeSet<Form> {
    report.findings.iter().map(|finding| finding.form).collect()
}

/// Bytes without any order, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let entropy = lethe_ambient::Entropy::seeded(seed);
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        out.extend_from_slice(&entropy.bytes::<4096>());
    }
    out.truncate(length);
    out
}
