//! The key service behind the epoch keys: a trait with the operations and key states of AWS KMS, and [`LocalKms`], which
//! keeps keys in files. Only tenant keys ever pass through it, 32 bytes at a time.

mod local;

use std::{path::PathBuf, sync::Arc};

use futures::future::BoxFuture;
use lethe_ambient::{Clock, Entropy};
use lethe_ids::TenantId;
use serde::Deserialize;
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub use local::{BLOB_LEN, BLOB_MAGIC, LocalKms};

/// Shortest and longest wait before a key is deleted, in days, as AWS KMS has it.
pub const DELETION_DAYS: std::ops::RangeInclusive<u8> = 7..=30;

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Wraps and unwraps.
    Enabled,
    /// Does neither, until it is enabled again.
    Disabled,
    /// Does neither, and is deleted for good when due.
    PendingDeletion {
        /// When.
        due: OffsetDateTime,
    },
}

/// What a wrapped tenant key is bound to. Key services log it in clear: ids only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncryptionContext {
    /// Whose tenant key.
    pub tenant: TenantId,
    /// Of which epoch.
    pub epoch: u32,
}

impl EncryptionContext {
    /// The pairs as AWS KMS takes them.
    pub fn pairs(&self) -> [(&'static str, String); 2] {
        [("tenant", self.tenant.uuid().to_string()), ("epoch", self.epoch.to_string())]
    }
}

/// What a key service refuses, or why it gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// There is no such key (any more).
    #[error("there is no such key")]
    NotFound,
    /// The key is disabled.
    #[error("the key is disabled")]
    Disabled,
    /// The key waits for its deletion.
    #[error("the key waits for its deletion")]
    PendingDeletion,
    /// The ciphertext is damaged, or of another key or context.
    #[error("the ciphertext does not open under this key and context")]
    Ciphertext,
    /// A wait outside [`DELETION_DAYS`], or a deletion cancelled that was not scheduled.
    #[error("the key's state or the wait does not allow this")]
    Window,
    /// Too many requests.
    #[error("the key service is throttling")]
    Throttled,
    /// No answer.
    #[error("the key service is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A key service. Key ids are its own and opaque.
pub trait Kms: Send + Sync {
    /// Makes an enabled key and answers its id, once it is durable.
    fn create_key(&self) -> BoxFuture<'_, Result<String, KmsError>>;
    /// Encrypts at most 4 KiB, bound to `context`.
    fn wrap<'a>(
        &'a self,
        key: &'a str,
        context: &'a EncryptionContext,
        plaintext: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, KmsError>>;
    /// Decrypts what [`Kms::wrap`] gave, under the same context.
    fn unwrap<'a>(
        &'a self,
        key: &'a str,
        context: &'a EncryptionContext,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, KmsError>>;
    /// Stops the key's use until [`Kms::enable`].
    fn disable<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KmsError>>;
    /// Lets a disabled key be used again.
    fn enable<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KmsError>>;
    /// Stops the key's use at once and deletes it after `days`; answers when.
    fn schedule_deletion<'a>(
        &'a self,
        key: &'a str,
        days: u8,
    ) -> BoxFuture<'a, Result<OffsetDateTime, KmsError>>;
    /// Takes a scheduled deletion back; the key is disabled then.
    fn cancel_deletion<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KmsError>>;
    /// The key's state.
    fn describe<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<KeyState, KmsError>>;
}

/// Which key service, and how long its answers are kept in memory (`[kms]` of [`crate::DEFAULTS`]).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KmsConfig {
    /// Which one.
    pub provider: Provider,
    /// Of `local`: the folder of the key files. Each service has a folder of its own in it.
    pub directory: PathBuf,
    /// How many subjects' keys are kept in memory.
    pub cache_subjects: u64,
    /// For how many seconds.
    pub cache_seconds: u32,
    /// For how many more seconds a tenant key is used while the key service gives no answer.
    pub outage_seconds: u32,
    /// What takes it longer than so many milliseconds is no answer.
    pub timeout_ms: u64,
}

/// The key services there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Key files: [`LocalKms`].
    Local,
}

impl KmsConfig {
    /// Local key files under `directory`, and the defaults for the rest.
    pub fn local(directory: impl Into<PathBuf>) -> Self {
        Self {
            provider: Provider::Local,
            directory: directory.into(),
            cache_subjects: 20_000,
            cache_seconds: 300,
            outage_seconds: 600,
            timeout_ms: 2_000,
        }
    }

    /// The key service of one service.
    ///
    /// # Errors
    /// [`KmsError::Unavailable`] when the folder cannot be made.
    pub fn connect(&self, service: &str, clock: &Clock, entropy: &Entropy) -> Result<Arc<dyn Kms>, KmsError> {
        match self.provider {
            Provider::Local => {
                Ok(Arc::new(LocalKms::open(self.directory.join(service), clock.clone(), entropy.clone())?))
            }
        }
    }
}
