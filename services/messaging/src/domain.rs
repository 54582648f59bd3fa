//! What messaging talks about, as types that cannot be wrong, and its rules as functions. Knows nothing of gRPC, SQL or
//! the bus.

pub(crate) mod channel;
pub(crate) mod delivery;
pub(crate) mod idempotency;
pub(crate) mod import;
pub(crate) mod keyword;
mod keyword_table;
pub(crate) mod label;
pub(crate) mod month;
pub(crate) mod picture;
pub(crate) mod profile;
pub(crate) mod reach;
pub(crate) mod source;
pub(crate) mod spam;
pub(crate) mod text;
pub(crate) mod webhook;

/// A field of a request that does not fit. Names the field and says why; never holds its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {message}")]
pub(crate) struct Invalid {
    /// A path in the request: `profile.tags`.
    pub(crate) field: String,
    /// For the caller: "has more than 200 characters".
    pub(crate) message: String,
}

impl Invalid {
    /// `field` does not fit, because it `message`.
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}
