//! The rules of identity, without databases, networks and clocks: values that cannot be wrong once they exist.

pub mod api_key;
pub mod audit;
pub mod client;
pub mod member;
pub mod member_erasure;
pub mod member_request;
pub mod operator_access;
pub mod own_data;
pub mod password;
pub mod photo;
pub mod session;
pub mod team;
pub mod tenant;

/// A field of a request that does not fit. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {message}")]
pub struct Invalid {
    /// Its name in the request.
    pub field: &'static str,
    /// Why, for the caller.
    pub message: &'static str,
}

impl Invalid {
    /// `field` does not fit: `message` goes on from its name.
    pub const fn new(field: &'static str, message: &'static str) -> Self {
        Self { field, message }
    }
}

/// A text of 1 to `most` characters, none of them a control character, without white space at its ends.
pub(crate) fn text(field: &'static str, text: &str, most: usize) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Invalid::new(field, "must not be empty"));
    }
    line(field, text, most)
}

/// As [`text`], but it may be empty.
pub(crate) fn line(field: &'static str, text: &str, most: usize) -> Result<String, Invalid> {
    let text = text.trim();
    if text.chars().count() > most {
        return Err(Invalid::new(field, "is too long"));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(field, "must not hold control characters"));
    }
    Ok(text.to_owned())
}
