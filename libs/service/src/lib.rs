//! The process shell that every service lives in: configuration, database, bus, telemetry, the gRPC server with
//! its one layer, calls to other services, jobs and the drain.
//!
//! A service's `build(config, env) -> Parts` is handed an [`Env`] and hands back [`Parts`]; `services/lethe` runs
//! any subset of them in one process. Nothing here knows a service by name.

pub mod body_mac;
pub mod call;
pub mod config;
pub mod database;
pub mod error;
pub mod fields;
pub mod names;
pub mod nats;
pub mod page;
pub mod parts;
pub mod peers;
pub mod pipe;
pub mod replicas;
pub mod server;
pub mod telemetry;
pub mod tls;

pub use body_mac::body_mac;
pub use call::{CallContext, Trace};
pub use config::{ConfigError, Secret, load};
pub use database::{
    BASE_MIGRATION, Database, DatabaseConfig, DatabaseError, Migration, TenantTx, migrate, provision,
};
pub use error::Failure;
pub use fields::{id, instant, timestamp};
pub use nats::{Nats, NatsConfig};
pub use page::{Limit, PageKey};
pub use parts::{BuildError, Env, Job, Parts, Probe, Progress, Round};
pub use peers::{PeerChannel, Peers};
pub use pipe::{Incoming, Pipe};
pub use replicas::Replicas;
pub use server::{Server, ServerConfig};
pub use telemetry::{TelemetryConfig, TelemetryGuard};
