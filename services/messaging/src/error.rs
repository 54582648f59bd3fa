//! Everything that messaging can refuse, and what the caller is told of it.

use std::time::Duration;

use lethe_ids::ContactId;
use lethe_keyring::{KeyError, OpenError};
use lethe_service::Failure;
use tonic::{Code, Status};

use crate::domain::Invalid;

/// Why an RPC did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A field of the request does not fit.
    #[error("a field does not fit")]
    Invalid(#[from] Invalid),
    /// What libs read of the request does not fit.
    #[error("a field does not fit")]
    Field(#[source] Failure),
    /// There is none, or it is another tenant's, or fenced: `contact`, `conversation`, `message`.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The contact was merged into this one.
    #[error("the contact was merged")]
    Merged(ContactId),
    /// It was made by the request that is repeated here, and is gone: `contact`, `conversation`, `message`.
    #[error("the {0} is gone")]
    Gone(&'static str),
    /// The idempotency key was used with another body.
    #[error("the key was used with another body")]
    KeyReused,
    /// Somebody else was faster.
    #[error("another version")]
    VersionMismatch,
    /// The contact does not want to be written to.
    #[error("the contact opted out")]
    OptedOut,
    /// The contact's data may be kept, not used.
    #[error("the contact is restricted")]
    Restricted,
    /// A legal hold forbids the change.
    #[error("a legal hold is active")]
    Held,
    /// It, or a part of it, is being erased: nothing can be held or merged.
    #[error("it is being erased")]
    BeingErased,
    /// A message could not be moved off the secret that is to die.
    #[error("a message is still sealed under the person's secret")]
    NotResealed,
    /// The message was deleted.
    #[error("the message is deleted")]
    MessageDeleted,
    /// Another has the name: `label`.
    #[error("another {0} has the name")]
    NameTaken(&'static str),
    /// There are as many as there may be: `labels`.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// The import takes no more chunks.
    #[error("the import has ended")]
    ImportEnded,
    /// It is neither the next chunk nor the last one.
    #[error("the chunk is out of order")]
    ChunkOutOfOrder,
    /// The chunk came before, with other rows.
    #[error("the chunk is another one")]
    OtherChunk,
    /// What the contact says is refused.
    #[error("the contact is banned")]
    Banned,
    /// What is about outbound messages was asked of an inbound one.
    #[error("the message is inbound")]
    Inbound,
    /// It is rated once it is resolved.
    #[error("the conversation is not resolved")]
    NotResolved,
    /// The hold was released before it was placed.
    #[error("the hold was released")]
    HoldReleased,
    /// Its last resolution has a rating.
    #[error("the resolution is rated")]
    AlreadyRated,
    /// The queue of messages to accept is full.
    #[error("too many messages wait")]
    Busy,
    /// A transaction took too long, and what became of it is not known.
    #[error("accepting took too long")]
    TimedOut,
    /// The contact changed again and again while it was being changed.
    #[error("the contact changes too fast")]
    Contended,
    /// The participant was called out of order.
    #[error("there is no fence")]
    NotFenced,
    /// The census does not open under the key that was given.
    #[error("the census does not open")]
    Census(#[source] OpenError),
    /// No key can be had now, or at all.
    #[error("no key")]
    Key(#[from] KeyError),
    /// What is stored does not open.
    #[error("a sealed value does not open")]
    Sealed(#[from] OpenError),
    /// The database.
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// A transaction that many shared failed; it was classified once for all of them.
    #[error("the transaction failed")]
    Shared(#[source] Failure),
    /// A row that cannot be.
    #[error("corrupt row: {0}")]
    Corrupt(&'static str),
}

impl Error {
    /// Whether one stored value is at fault, and the next one may well open.
    pub(crate) fn is_about_one_value(&self) -> bool {
        matches!(self, Self::Key(KeyError::Missing | KeyError::Damaged) | Self::Sealed(_))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Field(failure)
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Field(Failure::from_status(&status))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(invalid) => Self::invalid(invalid.field, invalid.message),
            Error::Field(failure) => failure,
            Error::NotFound(noun) => Self::not_found(noun),
            Error::Merged(survivor) => {
                Self::precondition("CONTACT_MERGED", format!("the contact was merged: it is {survivor} now"))
            }
            Error::Gone(noun) => Self::gone(noun),
            Error::KeyReused => Self::key_reused(),
            Error::VersionMismatch => Self::version_mismatch(),
            Error::OptedOut => {
                Self::precondition("CONTACT_OPTED_OUT", "the contact does not want to be written to")
            }
            Error::Restricted => Self::precondition(
                "CONTACT_RESTRICTED",
                "processing of the contact is restricted (GDPR Art. 18)",
            ),
            Error::Held => Self::precondition("LEGAL_HOLD_ACTIVE", "it is under a legal hold"),
            Error::BeingErased => Self::precondition("BEING_ERASED", "it, or a part of it, is being erased"),
            Error::HoldReleased => Self::precondition("HOLD_RELEASED", "the hold was released"),
            Error::NotResealed => Self::internal("a message is still sealed under the person's secret"),
            Error::MessageDeleted => Self::precondition("MESSAGE_DELETED", "the message is deleted"),
            Error::ImportEnded => Self::precondition("IMPORT_ENDED", "the import takes no more chunks"),
            Error::ChunkOutOfOrder => Self::precondition(
                "IMPORT_CHUNK_OUT_OF_ORDER",
                "the import says in next_chunk which one is the next",
            )
            .at("number"),
            Error::OtherChunk => {
                Self::precondition("IMPORT_CHUNK_DIFFERS", "this chunk was taken with other rows")
                    .at("number")
            }
            Error::Banned => Self::precondition("CONTACT_BANNED", "what the contact says is refused"),
            Error::Inbound => {
                Self::precondition("MESSAGE_INBOUND", "the contact wrote it: it stands as it was written")
            }
            Error::NotResolved => {
                Self::precondition("CONVERSATION_NOT_RESOLVED", "it can be rated once it is resolved")
            }
            Error::AlreadyRated => Self::precondition("ALREADY_RATED", "this resolution has a rating"),
            Error::NameTaken(noun) => Self::new(
                Code::AlreadyExists,
                format!("{}_NAME_TAKEN", noun.to_uppercase()),
                format!("another {noun} has the name"),
            ),
            Error::TooMany(nouns) => Self::too_many(nouns),
            Error::Busy => Self::exhausted("TOO_MANY_CALLS", "too many messages wait; try again")
                .retry_after(Duration::from_secs(1)),
            Error::TimedOut => Self::unavailable("ACCEPT_TIMED_OUT", "accepting took too long"),
            Error::Contended => Self::unavailable("CONTACT_CONTENDED", "the contact changes too fast"),
            Error::NotFenced => Self::not_fenced(),
            Error::Census(source) => Self::census_closed(source),
            Error::Key(source) => source.into(),
            Error::Sealed(source) => Self::internal(source),
            Error::Database(source) => source.into(),
            Error::Shared(failure) => failure,
            Error::Corrupt(what) => Self::internal(what),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
