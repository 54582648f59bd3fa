//! Consumers: durable, pulled, in batches. A message is acknowledged after the handler says that its effect is durable.
//!
//! Three ways to fail: what the handler stands on is away, then the batch waits in hand and nothing is counted; a try
//! failed, then the message comes again later; it will never work, then it is a dead letter at once. The server is told
//! to deliver without end and we count ourselves (`tries`), so that a message is given up only when its dead letter is
//! written, and no outage counts, however often the process was restarted in it.

mod deliver;
mod pull;
mod tries;

use std::{collections::BTreeMap, future::Future, sync::Arc};

use lethe_service::{BuildError, Job};
use serde::Deserialize;

use crate::{Bus, Notification, StreamConfig};
use deliver::{Delivery, Meters};

/// What a service does when something happened elsewhere.
pub trait Consume: Send + Sync + 'static {
    /// Makes the effects of these events durable; one answer for each, in their order. Each event may come twice, late
    /// and out of order. The call must end when what it stands on is away: it is repeated.
    fn consume(&self, batch: Vec<Notification>)
    -> impl Future<Output = Vec<Result<(), ConsumeError>>> + Send;
}

/// Why an event has no effect yet.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// What the handler stands on (a database, another service) is away. The batch waits and is handed in again; no
    /// delivery is counted.
    #[error("what the consumer stands on is away")]
    Unavailable(#[source] BuildError),
    /// It did not work this time; the code says why. Tried again later, at most `max_deliver` times.
    #[error("{0}")]
    Retry(&'static str, #[source] BuildError),
    /// It will never work; the code says why.
    #[error("{0}")]
    Reject(&'static str),
}

/// How a consumer works. Times in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerConfig {
    /// Events handed to the handler at once, at most; what is there is not kept waiting for more.
    pub batch: u32,
    /// Events that may be in hand, over all replicas of the service.
    pub max_in_hand: u32,
    /// After so long without a sign of life of ours the server delivers again.
    pub ack_wait_ms: u64,
    /// Tries after which an event is a dead letter. A delivery that met an outage is none.
    pub max_deliver: u32,
    /// How long the handler may take over one batch.
    pub handle_timeout_ms: u64,
    /// Waits between the deliveries of an event; the last one counts for all that follow.
    pub backoff_ms: Vec<u64>,
    /// Limits of the stream, should this consumer be the first to need it.
    pub stream: StreamConfig,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            batch: 200,
            max_in_hand: 2_000,
            ack_wait_ms: 10_000,
            max_deliver: 8,
            handle_timeout_ms: 30_000,
            backoff_ms: vec![250, 1_000, 5_000, 15_000, 60_000],
            stream: StreamConfig::default(),
        }
    }
}

/// The jobs of the consumer `name`, one for each area that `kinds` come from. `name` is the durable consumer's on the
/// bus and stands in its dead letters: it must not change.
pub fn consumer<H: Consume>(
    bus: &Bus,
    name: &'static str,
    kinds: &[&'static str],
    handler: Arc<H>,
    config: ConsumerConfig,
) -> Vec<Job> {
    let mut areas: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for kind in kinds {
        let area = kind.split('.').next().unwrap_or_default();
        areas.entry(area).or_default().push(format!("lethe.evt.{kind}.v1.*"));
    }
    let config = Arc::new(config);
    areas
        .into_iter()
        .map(|(area, subjects)| {
            let delivery = Delivery {
                bus: bus.clone(),
                name,
                area,
                subjects,
                handler: handler.clone(),
                config: config.clone(),
                meters: Meters::new(name),
            };
            Job::new(name, delivery.run())
        })
        .collect()
}
