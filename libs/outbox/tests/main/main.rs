//! The outbox against real PostgreSQL and real NATS: nothing committed stays unsent, whatever dies in between.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod consuming;
mod golden;
mod relaying;
mod rig;
mod tables;
mod tracing_through;
mod wiped;
