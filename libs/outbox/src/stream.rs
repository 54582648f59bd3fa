//! The stream of an area: made when it is missing, by whoever needs it first, always with the same limits.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream},
};
use lethe_service::Nats;
use serde::Deserialize;

use crate::event::KEPT;

/// Limits of a stream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Copies in a cluster of NATS servers: 1, 3 or 5.
    pub replicas: usize,
    /// Bytes after which the oldest events go early; -1 leaves it to their age of 72 hours.
    pub max_bytes: i64,
    /// The largest event, headers and all, in bytes.
    pub max_message_bytes: i32,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self { replicas: 1, max_bytes: -1, max_message_bytes: 16 * 1024 }
    }
}

/// `messaging` is `LETHE_MESSAGING`.
pub fn stream_name(area: &str) -> String {
    format!("LETHE_{}", area.replace('-', "_").to_uppercase())
}

/// The stream of `area`, made if it is not there.
///
/// # Errors
/// When NATS does not answer, or refuses.
pub async fn ensure_stream(
    nats: &Nats,
    area: &str,
    config: &StreamConfig,
) -> Result<Stream, jetstream::context::CreateStreamError> {
    nats.jetstream()
        .get_or_create_stream(Config {
            name: stream_name(area),
            subjects: vec![format!("lethe.evt.{area}.>")],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: config.replicas,
            max_age: KEPT,
            max_bytes: config.max_bytes,
            max_message_size: config.max_message_bytes,
            // We do not rely on it (it forgets), so it need not remember much.
            duplicate_window: Duration::from_secs(1),
            allow_atomic_publish: true,
            ..Config::default()
        })
        .await
}
