//! Everything that search can refuse, and what the caller is told of it.

use lethe_keyring::OpenError;
use lethe_outbox::ConsumeError;
use lethe_service::Failure;
use tonic::{Code, Status};

use crate::engine::EngineError;

/// Why search did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request does not fit.
    #[error("a field does not fit")]
    Field(#[source] Failure),
    /// The tenant was never indexed.
    #[error("an unknown tenant")]
    TenantUnknown,
    /// The participant was called out of order.
    #[error("there is no fence")]
    NotFenced,
    /// The scope was fenced for another contact or erasure.
    #[error("the scope is another one")]
    ScopeReused,
    /// The census does not open under the key that was given.
    #[error("the census does not open")]
    Census(#[source] OpenError),
    /// The shard is written by another process, or nobody knows by whom.
    #[error("the shard's lease is not ours")]
    ShardElsewhere,
    /// Documents of a fenced contact came back while they were purged.
    #[error("documents are left after the purge")]
    NotPurged,
    /// The engine.
    #[error("the search engine")]
    Engine(#[from] EngineError),
    /// messaging refused or is away.
    #[error("messaging")]
    Messaging(#[source] Box<Status>),
    /// The database.
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// What messaging answered, or what is stored, cannot be.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Field(failure)
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Messaging(Box::new(status))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Field(failure) => failure,
            Error::TenantUnknown => Self::not_found("tenant"),
            Error::NotFenced => Self::not_fenced(),
            Error::ScopeReused => Self::conflict("SCOPE_REUSED", "the scope was fenced for another erasure"),
            Error::Census(source) => Self::census_closed(source),
            Error::ShardElsewhere => {
                Self::unavailable("SHARD_ELSEWHERE", "another process has the shard, or its lease ran out")
            }
            Error::NotPurged => Self::unavailable("NOT_PURGED", "documents are left after the purge"),
            Error::Engine(source @ EngineError::Fenced) => Self::unavailable("SHARD_ELSEWHERE", source),
            Error::Engine(source @ EngineError::Closed) => Self::unavailable("STOPPING", source),
            Error::Engine(source @ EngineError::Failed(_)) => {
                Self::unavailable("SEARCH_ENGINE_FAILED", source)
            }
            Error::Engine(source @ EngineError::NotExpunged) => Self::unavailable("NOT_PURGED", source),
            Error::Messaging(status) => Self::from_status(&status),
            Error::Database(source) => source.into(),
            Error::Corrupt(what) => Self::internal(what),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<Error> for ConsumeError {
    /// What is away is waited for; anything else counts as a try.
    fn from(error: Error) -> Self {
        let reason = match &error {
            Error::Engine(_) => "ENGINE_FAILED",
            Error::Corrupt(_) => "CORRUPT",
            Error::Messaging(_) => "MESSAGING_REFUSED",
            Error::Database(_) => "DATABASE_REFUSED",
            _ => "REFUSED",
        };
        let is_engine = matches!(error, Error::Engine(EngineError::Failed(_) | EngineError::NotExpunged));
        let failure = Failure::from(error);
        let is_away = matches!(
            failure.code,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled
        );
        if is_away && !is_engine {
            Self::Unavailable(failure.into())
        } else {
            Self::Retry(reason, failure.into())
        }
    }
}
