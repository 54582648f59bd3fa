//! The process shell against real PostgreSQL and NATS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod config;
mod database;
mod failure;
mod jobs;
mod lists;
mod server;
mod stage;
