//! What can go wrong with keys and with sealed values.

use std::sync::Arc;

use lethe_service::Failure;

use crate::kms::KmsError;

/// Why there is no key, or a secret could not be written. `Display` is for the operator's log line; it names no id.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyError {
    /// The secret was destroyed: what it sealed is gone for good.
    #[error("the secret was destroyed")]
    Destroyed,
    /// There never was such a secret, or the unit is another subject's.
    #[error("there is no such secret")]
    Missing,
    /// A secret with this id is there already; nothing was written.
    #[error("the secret exists already")]
    AlreadyExists,
    /// The epoch closed while the secret was being written, twice in a row.
    #[error("the epoch is closed")]
    EpochClosed,
    /// The key service refuses the epoch's key: disabled, waiting for deletion, or deleted.
    #[error("the key service refuses the epoch key")]
    Refused(#[source] Arc<KmsError>),
    /// What the keystore holds does not open under its key.
    #[error("a wrapped key in the keystore is damaged")]
    Damaged,
    /// Keystore or key service gives no answer, and the cache has none left either. Worth trying again.
    #[error("keystore or key service is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl From<KeyError> for Failure {
    /// What is away is said by its name; whatever else is a defect, or a store that broke its word.
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unavailable(source) if source.is::<KmsError>() => {
                Self::unavailable("KEY_SERVICE_UNAVAILABLE", source)
            }
            KeyError::Unavailable(source) => Self::unavailable("KEYSTORE_UNAVAILABLE", source),
            KeyError::Refused(source) => Self::unavailable("KEY_SERVICE_REFUSES", source),
            error => Self::internal(error),
        }
    }
}

impl From<KmsError> for KeyError {
    fn from(error: KmsError) -> Self {
        match error {
            KmsError::Unavailable(_) | KmsError::Throttled => Self::Unavailable(Arc::new(error)),
            KmsError::Ciphertext => Self::Damaged,
            KmsError::Disabled | KmsError::PendingDeletion | KmsError::NotFound | KmsError::Window => {
                Self::Refused(Arc::new(error))
            }
        }
    }
}

/// SQLSTATEs that the keystore's own functions and triggers raise.
mod state {
    pub(super) const DESTROYED: &str = "LK001";
    pub(super) const EPOCH_CLOSED: &str = "LK002";
    pub(super) const MISSING: &str = "LK003";
    pub(super) const UNIQUE: &str = "23505";
    pub(super) const FOREIGN: &str = "23503";
}

impl From<sqlx::Error> for KeyError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|database| database.code());
        match code.as_deref() {
            Some(state::DESTROYED) => Self::Destroyed,
            Some(state::EPOCH_CLOSED) => Self::EpochClosed,
            Some(state::MISSING | state::FOREIGN) => Self::Missing,
            Some(state::UNIQUE) => Self::AlreadyExists,
            _ => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl From<lethe_service::DatabaseError> for KeyError {
    fn from(error: lethe_service::DatabaseError) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

/// Why a sealed value does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not a sealed value: too short, or another format.
    #[error("not a sealed value")]
    Format,
    /// Sealed under another key.
    #[error("sealed under another key")]
    WrongKey,
    /// The key is the right one, but bytes were changed, or the value stands in another place (record, purpose, version,
    /// tenant) than it was sealed for.
    #[error("damaged, or moved from where it was sealed")]
    Damaged,
}
