//! The keyring against a real keystore and key files of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test has nobody to report to")]

mod destroy;
mod epochs;
mod keys;
mod kms;
mod lists;
mod sealed;
mod speed;
mod sweep;
mod world;
