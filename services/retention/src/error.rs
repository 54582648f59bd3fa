//! What can go wrong in retention, and what a caller is told of it.

use lethe_keyring::KeyError;
use lethe_service::Failure;

use crate::{certificate, domain::ConfirmationError};

/// Every failure of retention's RPCs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field does not fit; decided where it was decoded.
    #[error(transparent)]
    Request(#[from] Failure),
    /// No contact of this tenant, or one that is erased.
    #[error("there is no such contact")]
    ContactNotFound,
    /// No conversation of this contact, or one that is erased.
    #[error("there is no such conversation")]
    ConversationNotFound,
    /// No erasure of this tenant.
    #[error("there is no such erasure")]
    ErasureNotFound,
    /// No hold of this tenant.
    #[error("there is no such hold")]
    HoldNotFound,
    /// Not certified yet.
    #[error("there is no certificate yet")]
    CertificateNotFound,
    /// The contact has an erasure of the kind that is not over.
    #[error("an erasure of this contact is open")]
    ErasureAlreadyOpen,
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// Not the token, or not any more.
    #[error("the confirmation token {0}")]
    Confirmation(#[from] ConfirmationError),
    /// Cancelled: there is nothing to confirm.
    #[error("the erasure was cancelled")]
    ErasureCancelled,
    /// Past the point of no return.
    #[error("the erasure is past the fence")]
    ErasureFenced,
    /// A participant did not count.
    #[error("{participant} did not answer")]
    ParticipantUnavailable {
        /// Which.
        participant: String,
        /// What it said.
        source: Box<Failure>,
    },
    /// As a participant: the scope was never fenced here, or is another's.
    #[error("the scope is not fenced")]
    ScopeNotFenced,
    /// As a participant: another erasure of the contact must be fenced here first.
    #[error("another erasure of the contact is being fenced")]
    OtherErasureBeingFenced,
    /// As a participant: the census does not open under the key that was given.
    #[error("the census does not open")]
    CensusUnreadable,
    /// PostgreSQL.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// Keystore or key service.
    #[error("the keystore failed")]
    Key(#[from] KeyError),
    /// A stored answer does not decode.
    #[error("a stored answer is damaged")]
    Damaged,
    /// The signing key.
    #[error("the certificate key failed")]
    CertificateKey(#[from] certificate::KeyError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Request(failure) => failure,
            Error::ContactNotFound => Self::not_found("contact"),
            Error::ConversationNotFound => Self::not_found("conversation"),
            Error::HoldNotFound => Self::not_found("hold"),
            Error::ErasureNotFound => Self::not_found("erasure"),
            Error::CertificateNotFound => Self::not_found("certificate"),
            Error::ErasureAlreadyOpen => {
                Self::conflict("ERASURE_ALREADY_OPEN", "this contact has such an erasure that is not over")
            }
            Error::IdempotencyKeyReused => Self::key_reused(),
            Error::Confirmation(ConfirmationError::Wrong) => Self::precondition(
                "CONFIRMATION_TOKEN_WRONG",
                "is not the token of this erasure and its counts",
            )
            .at("confirmation_token"),
            Error::Confirmation(ConfirmationError::Expired) => {
                Self::precondition("CONFIRMATION_TOKEN_EXPIRED", "has expired; request the erasure again")
                    .at("confirmation_token")
            }
            Error::ErasureCancelled => Self::precondition("ERASURE_CANCELLED", "the erasure was cancelled"),
            Error::ErasureFenced => {
                Self::precondition("ERASURE_FENCED", "the erasure is past the fence and goes on to its end")
            }
            Error::ParticipantUnavailable { participant, source } => {
                Self::unavailable("PARTICIPANT_UNAVAILABLE", format!("{participant} did not count: {source}"))
            }
            Error::ScopeNotFenced => Self::not_fenced(),
            Error::OtherErasureBeingFenced => Self::unavailable(
                "OTHER_ERASURE_BEING_FENCED",
                "another erasure of the contact is fenced first",
            ),
            error @ Error::CensusUnreadable => Self::census_closed(error),
            Error::Database(error) => error.into(),
            Error::Key(error) => error.into(),
            error @ (Error::Damaged | Error::CertificateKey(_)) => Self::internal(error),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
