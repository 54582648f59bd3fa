//! Everything that identity can refuse, and what the caller is told of it.

use std::time::Duration;

use lethe_access::signature::Fault;
use lethe_keyring::{KeyError, OpenError};
use lethe_service::Failure;
use tonic::Status;

use crate::domain::Invalid;

/// Why an RPC did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request does not fit.
    #[error("a field does not fit")]
    Invalid(#[from] Invalid),
    /// A field of the request that libs/service read does not fit.
    #[error("a field does not fit")]
    Field(#[source] Failure),
    /// There is no such thing, or it is somebody else's: "member", "session", "tenant".
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It was made by the request that is repeated here, and is gone: "team", ...
    #[error("the {0} is gone")]
    Gone(&'static str),
    /// Unknown tenant, unknown member, inactive member or wrong password: nobody learns which.
    #[error("log-in failed")]
    LogInFailed,
    /// Too many log-ins failed; again after that.
    #[error("too many log-ins failed")]
    TooManyFailures(Duration),
    /// The queue of passwords to hash is full.
    #[error("too many log-ins at once")]
    Busy,
    /// The session's token is none, or the session is over.
    #[error("the session is over")]
    SessionInvalid,
    /// The password that was given is not the current one.
    #[error("wrong password")]
    WrongPassword,
    /// The new password is the current one.
    #[error("the password is the same")]
    SamePassword,
    /// The roles do not allow it.
    #[error("the roles do not allow it")]
    PermissionDenied,
    /// Only an owner does that to an owner.
    #[error("only an owner")]
    OwnerRequired,
    /// A tenant keeps one active owner.
    #[error("the last owner")]
    LastOwner,
    /// The member was deactivated.
    #[error("the member is inactive")]
    MemberInactive,
    /// The member was not deactivated.
    #[error("the member is active")]
    MemberActive,
    /// The member was erased.
    #[error("the member was erased")]
    MemberErased,
    /// The member has an open request of this kind.
    #[error("a request of this kind is open")]
    RequestOpen,
    /// The request was answered otherwise.
    #[error("the request is closed")]
    RequestClosed,
    /// Something that was erased was read again.
    #[error("something is still there")]
    StillThere,
    /// The tenant has not granted the access, or its time is over.
    #[error("the access is not granted")]
    NotGranted,
    /// The access became a session before.
    #[error("the access was opened")]
    AlreadyOpened,
    /// The tenant has granted or denied it before, or let it lapse.
    #[error("the access waits for no decision")]
    AlreadyDecided,
    /// `if_version` is missing.
    #[error("no version given")]
    VersionRequired,
    /// Somebody else was faster.
    #[error("another version")]
    VersionMismatch,
    /// Another tenant has the slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// Another member of the tenant has the address.
    #[error("the address is taken")]
    EmailTaken,
    /// Another team of the tenant has the name.
    #[error("the name is taken")]
    TeamNameTaken,
    /// There are as many as there may be: "teams", ...
    #[error("there are as many {0} as there may be")]
    TooMany(&'static str),
    /// The idempotency key was used with another body.
    #[error("the key was used with another body")]
    KeyReused,
    /// The signature of a request is not taken.
    #[error("a signature is not taken")]
    Signature(#[source] Fault),
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
    /// A stored password hash is none, or hashing failed.
    #[error("password hash")]
    Hash(String),
    /// A row that cannot be.
    #[error("corrupt row: {0}")]
    Corrupt(&'static str),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Field(failure)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(invalid) => Self::invalid(invalid.field, invalid.message),
            Error::Field(failure) => failure,
            Error::NotFound(noun) => Self::not_found(noun),
            Error::Gone(noun) => Self::gone(noun),
            Error::LogInFailed => {
                Self::unauthenticated("LOG_IN_FAILED", "tenant, e-mail address and password do not fit")
            }
            Error::TooManyFailures(after) => {
                Self::exhausted("TOO_MANY_LOG_INS", "too many log-ins failed; wait").retry_after(after)
            }
            Error::Busy => Self::exhausted("LOG_IN_BUSY", "too many log-ins at once; try again")
                .retry_after(Duration::from_secs(1)),
            Error::SessionInvalid => Self::unauthenticated("SESSION_INVALID", "log in again"),
            Error::WrongPassword => {
                Self::precondition("WRONG_PASSWORD", "is not the current password").at("current_password")
            }
            Error::SamePassword => Self::invalid("new_password", "is the current password"),
            Error::PermissionDenied => {
                Self::permission("PERMISSION_DENIED", "the roles of this member do not allow it")
            }
            Error::OwnerRequired => Self::permission("OWNER_REQUIRED", "only an owner may do that"),
            Error::LastOwner => Self::precondition("LAST_OWNER", "a tenant keeps one active owner"),
            Error::MemberInactive => Self::precondition("MEMBER_INACTIVE", "the member was deactivated"),
            Error::MemberActive => Self::precondition("MEMBER_ACTIVE", "deactivate the member first"),
            Error::MemberErased => Self::precondition("MEMBER_ERASED", "the member was erased"),
            Error::RequestOpen => {
                Self::conflict("REQUEST_OPEN", "a request of this kind waits for its answer").at("kind")
            }
            Error::RequestClosed => {
                Self::precondition("REQUEST_CLOSED", "the request was answered otherwise")
            }
            Error::StillThere => Self::internal("an erasure's rows or secrets are still there"),
            Error::NotGranted => {
                Self::precondition("OPERATOR_ACCESS_NOT_GRANTED", "the tenant does not grant this access now")
            }
            Error::AlreadyOpened => {
                Self::precondition("OPERATOR_ACCESS_OPENED", "it was opened before; ask for another")
            }
            Error::AlreadyDecided => Self::precondition(
                "OPERATOR_ACCESS_DECIDED",
                "it does not wait for a decision: it was decided on before, or has lapsed",
            ),
            Error::VersionRequired => {
                Self::precondition("VERSION_REQUIRED", "say which version is changed").at("if_version")
            }
            Error::VersionMismatch => Self::version_mismatch(),
            Error::SlugTaken => Self::conflict("SLUG_TAKEN", "there is a tenant of this slug").at("slug"),
            Error::EmailTaken => Self::conflict("EMAIL_TAKEN", "another member has this address").at("email"),
            Error::TeamNameTaken => {
                Self::conflict("TEAM_NAME_TAKEN", "another team has this name").at("name")
            }
            Error::TooMany(nouns) => Self::too_many(nouns),
            Error::KeyReused => Self::key_reused(),
            Error::Signature(fault) => Self::unauthenticated(fault.code(), fault.to_string()),
            Error::NotFenced => Self::not_fenced(),
            Error::Census(source) => Self::census_closed(source),
            Error::Key(source) => source.into(),
            Error::Sealed(source) => Self::internal(source),
            Error::Database(source) => source.into(),
            Error::Hash(source) => Self::internal(source),
            Error::Corrupt(what) => Self::internal(what),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
