//! What relay and consumers stand on.

use lethe_ambient::{Clock, Entropy, Tasks};
use lethe_service::{Database, Env, Nats};

/// A service's database, the bus, and the process's ambient values. Clones share them.
#[derive(Clone)]
pub struct Bus {
    /// The service's own database.
    pub db: Database,
    /// The connection to NATS.
    pub nats: Nats,
    /// Its wish to stop ends every job.
    pub tasks: Tasks,
    /// For what is stamped by us; leases and partitions go by PostgreSQL's clock.
    pub clock: Clock,
    /// Names the holder of a lease.
    pub entropy: Entropy,
}

impl Bus {
    /// The service's bus, from what its `build` was handed.
    pub fn new(db: &Database, env: &Env) -> Self {
        Self {
            db: db.clone(),
            nats: env.nats.clone(),
            tasks: env.tasks.clone(),
            clock: env.clock.clone(),
            entropy: env.entropy.clone(),
        }
    }
}
