//! The process shell against real PostgreSQL and NATS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "what runs beside a test ends with its runtime")]

mod calls;
mod config;
mod database;
mod failure;
mod jobs;
mod lists;
mod mesh;
mod server;
mod stage;
mod tls;
