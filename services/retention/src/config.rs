//! What an operator decides about retention. Each option is explained in `config.default.toml`.

use std::time::Duration;

use lethe_calendar::CalendarConfig;
use lethe_keyring::KmsConfig;
use lethe_outbox::RelayConfig;
use lethe_service::{DatabaseConfig, Secret};
use serde::Deserialize;

use crate::{certificate::PublishedKey, domain::Backoff, ledger::ObjectsConfig};

/// `[retention]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Peers that take part in an erasure, messaging first.
    pub participants: Vec<String>,
    /// From the first certificate to the second verification, in seconds.
    pub re_verify_after_s: u32,
    /// The service's own database.
    pub database: DatabaseConfig,
    /// Its keystore.
    pub keystore: DatabaseConfig,
    /// The key service above the keystore.
    pub kms: KmsConfig,
    /// Where and when days are counted.
    pub calendar: CalendarConfig,
    /// The rights ledger's store.
    pub ledger: ObjectsConfig,
    /// Certificates' keys.
    pub certificate: CertificateConfig,
    /// The job.
    pub advance_erasures: AdvanceConfig,
    /// How events reach the bus.
    #[serde(default)]
    pub relay: RelayConfig,
}

/// `[retention.certificate]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// What [`crate::certificate::generate_key`] wrote.
    pub signing_key: Secret,
    /// Public keys that signed before.
    pub retired_keys: Vec<PublishedKey>,
}

/// `[retention.advance_erasures]`. Times in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdvanceConfig {
    /// Between two looks for due erasures.
    pub interval_ms: u32,
    /// Erasures moved at once.
    pub concurrency: u32,
    /// How long a claim lasts unless it is renewed.
    pub lease_ms: u32,
    /// The longest a participant may take for one answer.
    pub call_timeout_ms: u32,
    /// The first wait after a failure.
    pub first_backoff_ms: u32,
    /// The longest.
    pub longest_backoff_ms: u32,
}

impl Config {
    /// What serde cannot see.
    ///
    /// # Errors
    /// Names the option and what it must be.
    pub fn check(&self) -> Result<(), &'static str> {
        let names = &self.participants;
        if names.is_empty() || names.len() > 32 {
            return Err("retention.participants must name 1 to 32 services");
        }
        if names.iter().enumerate().any(|(index, name)| name.is_empty() || names[..index].contains(name)) {
            return Err("retention.participants must name each service once");
        }
        if names.contains(&"messaging".to_owned()) && names[0] != "messaging" {
            return Err("retention.participants must begin with messaging");
        }
        let job = &self.advance_erasures;
        if !(1..=64).contains(&job.concurrency) {
            return Err("retention.advance_erasures.concurrency must be 1 to 64");
        }
        if job.lease_ms < 1000 || job.interval_ms == 0 || job.call_timeout_ms == 0 {
            return Err(
                "retention.advance_erasures: lease_ms must be at least 1000, the other times more than 0",
            );
        }
        if job.first_backoff_ms == 0 || job.longest_backoff_ms < job.first_backoff_ms {
            return Err(
                "retention.advance_erasures: longest_backoff_ms must be at least first_backoff_ms, and both more than 0",
            );
        }
        Ok(())
    }
}

impl AdvanceConfig {
    /// The waits after failures.
    pub fn backoff(&self) -> Backoff {
        Backoff { first: millis(self.first_backoff_ms), most: millis(self.longest_backoff_ms) }
    }

    /// How long a claim lasts.
    pub fn lease(&self) -> Duration {
        millis(self.lease_ms)
    }

    /// The longest a participant may take.
    pub fn call_timeout(&self) -> Duration {
        millis(self.call_timeout_ms)
    }

    /// Between two looks.
    pub fn interval(&self) -> Duration {
        millis(self.interval_ms)
    }
}

fn millis(millis: u32) -> Duration {
    Duration::from_millis(u64::from(millis))
}
