//! Where a consent was given: `widget`, `form`, `phone`, …

use super::Invalid;

/// Most characters of a source.
pub(crate) const MOST_CHARACTERS: usize = 64;

/// 1 to 64 of `[a-z0-9_-]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source(String);

impl Source {
    /// Checks it.
    ///
    /// # Errors
    /// [`Invalid`] at `source`.
    pub(crate) fn new(text: String) -> Result<Self, Invalid> {
        let fits = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if (1..=MOST_CHARACTERS).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text))
        } else {
            Err(Invalid::new("source", "must be 1 to 64 characters of a-z, 0-9, _ and -"))
        }
    }

    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_code() {
        for right in ["widget", "web_form-2", &"a".repeat(64)] {
            assert!(Source::new(right.to_owned()).is_ok(), "{right}");
        }
        for wrong in ["", "Widget", "a b", "ü", &"a".repeat(65)] {
            assert!(Source::new(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
