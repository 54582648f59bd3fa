//! The options of identity. `config.default.toml` says what each means.

use std::{num::NonZeroU8, time::Duration};

use lethe_calendar::CalendarConfig;
use lethe_keyring::KmsConfig;
use lethe_outbox::ConsumerConfig;
use lethe_service::DatabaseConfig;
use serde::Deserialize;

use crate::domain::session::Lifetimes;

/// The section `identity`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Honours `CreateTenantRequest.owner_password`.
    pub development: bool,
    /// The service's own database.
    pub database: DatabaseConfig,
    /// Its database in the keystore instance.
    pub keystore: DatabaseConfig,
    /// Where the epoch keys are.
    pub kms: KmsConfig,
    /// How long sessions last.
    pub sessions: Sessions,
    /// How passwords are hashed.
    pub passwords: PasswordConfig,
    /// How often a log-in may fail.
    pub log_in: LogInConfig,
    /// How many teams there may be.
    pub teams: TeamConfig,
    /// What is kept of API keys.
    pub api_keys: ApiKeyConfig,
    /// Where and when days are counted.
    pub calendar: CalendarConfig,
    /// How revocations travel.
    pub revocations: RevocationConfig,
    /// What is deleted when.
    pub sweep: SweepConfig,
    /// How other services' audit events are taken in.
    pub audit_consumer: ConsumerConfig,
}

/// `identity.sessions`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// Seconds without a request.
    pub idle_s: u64,
    /// Seconds at all.
    pub absolute_s: u64,
    /// Seconds between two writes of "last seen".
    pub seen_every_s: u64,
    /// Of one member.
    pub most: u32,
}

impl Sessions {
    /// As durations.
    pub fn lifetimes(&self) -> Lifetimes {
        Lifetimes { idle: Duration::from_secs(self.idle_s), absolute: Duration::from_secs(self.absolute_s) }
    }
}

/// `identity.passwords`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordConfig {
    /// KiB.
    pub memory_kib: u32,
    /// Argon2's t.
    pub passes: u32,
    /// Argon2's p.
    pub lanes: u32,
    /// Hashes at a time; 0 means one for each core.
    pub at_once: usize,
    /// Calls that wait.
    pub queue: usize,
    /// Days that a one-time password is good for.
    pub one_time_days: NonZeroU8,
}

/// `identity.log_in`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogInConfig {
    /// Seconds.
    pub window_s: u64,
    /// Failures of one account from one address.
    pub per_account_and_address: u32,
    /// Failures of one account.
    pub per_account: u32,
    /// Failures from one address.
    pub per_address: u32,
    /// Milliseconds.
    pub failure_floor_ms: u64,
    /// At a time.
    pub at_once: usize,
}

/// `identity.teams`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamConfig {
    /// Of one tenant.
    pub most: u32,
    /// Of one team.
    pub most_members: u32,
}

/// `identity.revocations`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationConfig {
    /// Milliseconds.
    pub poll_ms: u64,
    /// Milliseconds.
    pub heartbeat_ms: u64,
}

/// `identity.sweep`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepConfig {
    /// Seconds.
    pub interval_s: u64,
    /// Days.
    pub log_in_records_days: u32,
    /// Hours.
    pub idempotency_hours: u32,
}

/// `identity.api_keys`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyConfig {
    /// Of one tenant, revoked ones not counted.
    pub most: u32,
    /// Days that requests, and keys after their revocation, are kept.
    pub requests_days: u32,
}
