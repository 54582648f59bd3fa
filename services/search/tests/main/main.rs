//! Tests of the search service, by its own stores: a real engine in a folder, real PostgreSQL and NATS.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails, a line what it measured"
)]

mod engine;
mod erasing;
mod expunge;
mod holding;
mod languages;
mod messaging;
mod rebuilding;
mod searching;
mod stage;
mod support;
