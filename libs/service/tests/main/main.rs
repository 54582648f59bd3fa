//! The process shell against real PostgreSQL and NATS.

mod config;
mod database;
mod server;
