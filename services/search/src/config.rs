//! The options of search. `config.default.toml` says what each means.

use std::{path::PathBuf, time::Duration};

use lethe_outbox::{ConsumerConfig, RelayConfig};
use lethe_service::DatabaseConfig;
use serde::Deserialize;

/// The section `search`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the embedded index lies.
    pub index_dir: PathBuf,
    /// The operator's declaration.
    pub volume_is_encrypted: bool,
    /// Milliseconds between two commits of the index.
    pub commit_interval_ms: u64,
    /// Seconds.
    pub sync_interval_s: u64,
    /// Seconds.
    pub expunge_interval_s: u64,
    /// Milliseconds that a search waits for a change.
    pub wait_for_ms: u64,
    /// Milliseconds that a change may be overdue.
    pub gap_ms: u64,
    /// Milliseconds.
    pub lease_ms: u64,
    /// Milliseconds.
    pub messaging_timeout_ms: u64,
    /// The service's own database.
    pub database: DatabaseConfig,
    /// How messaging's events are taken in.
    pub consumer: ConsumerConfig,
    /// How audit events go out.
    pub relay: RelayConfig,
}

impl Config {
    pub(crate) fn commit_interval(&self) -> Duration {
        Duration::from_millis(self.commit_interval_ms)
    }

    pub(crate) fn wait_for(&self) -> Duration {
        Duration::from_millis(self.wait_for_ms)
    }

    pub(crate) fn messaging_timeout(&self) -> Duration {
        Duration::from_millis(self.messaging_timeout_ms)
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}
