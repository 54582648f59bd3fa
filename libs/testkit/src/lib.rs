//! What tests stand on: real PostgreSQL (a main instance and a keystore instance) and real NATS of this process's
//! own, a fresh database a test, and a small world of services with test keys.
//!
//! Everything here panics when it cannot do its work: a test has nobody to report to. The servers start with the
//! first test that wants them and end with the process, even when it is killed.

#![allow(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

mod access;
mod databases;
mod nats;
mod proxy;
mod receiver;
mod servers;
mod statements;
mod world;

pub use access::{TestAccess, access};
pub use databases::Databases;
pub use nats::{TestNats, nats};
pub use proxy::Proxy;
pub use receiver::{Received, Receiver};
pub use servers::{Servers, servers};
pub use statements::every_statement_fits;
pub use world::World;
