//! The options of messaging. `config.default.toml` says what each means.

use std::time::Duration;

use lethe_keyring::KmsConfig;
use lethe_outbox::{ConsumerConfig, RelayConfig};
use lethe_service::DatabaseConfig;
use serde::Deserialize;

use crate::domain::reach::Network;

/// The section `messaging`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The service's own database.
    pub database: DatabaseConfig,
    /// Its database in the keystore instance.
    pub keystore: DatabaseConfig,
    /// Where the epoch keys are.
    pub kms: KmsConfig,
    /// How messages are accepted.
    pub accept: AcceptConfig,
    /// What is remembered of conversations.
    pub conversations: ConversationsConfig,
    /// How long requests are safe to repeat.
    pub idempotency: IdempotencyConfig,
    /// How contacts and conversations are brought in bulk.
    pub imports: ImportsConfig,
    /// How the dead are buried.
    pub erasure: ErasureConfig,
    /// How tenants hear of events.
    pub webhooks: WebhooksConfig,
    /// How events leave.
    pub relay: RelayConfig,
    /// How the events are consumed that webhooks are made of.
    pub webhook_consumer: ConsumerConfig,
}

/// `messaging.accept`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptConfig {
    /// Connections.
    pub lanes: usize,
    /// Messages that wait, for each lane.
    pub queue: usize,
    /// Messages of one transaction.
    pub batch: usize,
    /// Milliseconds.
    pub timeout_ms: u64,
}

/// `messaging.conversations`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversationsConfig {
    /// Conversations in memory.
    pub cached: u64,
    /// Seconds.
    pub cached_s: u64,
    /// Milliseconds.
    pub identity_timeout_ms: u64,
    /// Most conversations that a merge of two contacts hands over.
    pub most_merged: u32,
}

impl ConversationsConfig {
    /// How long identity may take.
    pub(crate) fn identity_timeout(&self) -> Duration {
        Duration::from_millis(self.identity_timeout_ms)
    }
}

/// `messaging.idempotency`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdempotencyConfig {
    /// Hours.
    pub kept_hours: u32,
    /// Seconds.
    pub sweep_interval_s: u64,
    /// Rows.
    pub sweep_batch: u32,
}

impl IdempotencyConfig {
    /// How long a key is remembered.
    pub fn kept(&self) -> Duration {
        Duration::from_secs(u64::from(self.kept_hours) * 3_600)
    }
}

/// `messaging.imports`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportsConfig {
    /// Of a tenant.
    pub most_open: u32,
    /// Rows of a chunk.
    pub chunk_rows: usize,
    /// Lines of an import.
    pub most_lines: u64,
    /// Rows.
    pub concurrency: usize,
    /// Hours.
    pub idle_hours: u32,
    /// Days.
    pub kept_days: u32,
    /// Days.
    pub keys_kept_days: u32,
    /// Seconds.
    pub sweep_interval_s: u64,
    /// Rows.
    pub sweep_batch: u32,
}

/// `messaging.erasure`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureConfig {
    /// Rows of one transaction.
    pub batch: u32,
    /// Days.
    pub backups_kept_days: u32,
}

/// `messaging.webhooks`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Of a tenant.
    pub most_endpoints: u32,
    /// Plain HTTP too.
    pub allow_http: bool,
    /// Networks that are not public and may be reached all the same.
    pub allowed_networks: Vec<Network>,
    /// Any, when there are none.
    pub ports: Vec<u16>,
    /// Milliseconds.
    pub connect_timeout_ms: u64,
    /// Milliseconds.
    pub timeout_ms: u64,
    /// Deliveries to one endpoint.
    pub concurrency: usize,
    /// Endpoints.
    pub endpoints_at_once: usize,
    /// Seconds.
    pub backoff_s: Vec<u64>,
    /// Seconds.
    pub disable_after_s: u64,
    /// Deliveries of an endpoint.
    pub most_waiting: u32,
    /// Hours.
    pub rotation_hours: u32,
    /// Days.
    pub kept_days: u32,
    /// Milliseconds.
    pub poll_ms: u64,
    /// Seconds.
    pub sweep_interval_s: u64,
    /// Rows.
    pub sweep_batch: u32,
}

impl WebhooksConfig {
    /// How long after a fence an attempt that did not meet it may still be under way.
    pub(crate) fn settled_after(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.saturating_mul(2))
    }
}
