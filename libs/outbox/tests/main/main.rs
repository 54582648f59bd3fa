//! The outbox against real PostgreSQL and real NATS: nothing committed stays unsent, whatever dies in between.

mod consuming;
mod golden;
mod relaying;
mod rig;
mod tables;
mod tracing_through;
mod wiped;
