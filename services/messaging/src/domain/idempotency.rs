//! The key that makes a creating request safe to repeat. What is kept of it and of the body are MACs, so that a key
//! with something personal in it, or a guessable body, tells nobody anything.

use super::Invalid;

/// Most characters of a key.
pub(crate) const MOST_CHARACTERS: usize = 64;

/// 1 to 64 of `[A-Za-z0-9_-]`, chosen by the client.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks it.
    ///
    /// # Errors
    /// [`Invalid`] at `idempotency.key`.
    pub(crate) fn new(text: String) -> Result<Self, Invalid> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if (1..=MOST_CHARACTERS).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text))
        } else {
            Err(Invalid::new("idempotency.key", "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -"))
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
    fn a_key_is_bounded() {
        for right in ["a", "A-z_9", &"k".repeat(64)] {
            assert!(IdempotencyKey::new(right.to_owned()).is_ok(), "{right}");
        }
        for wrong in ["", "a b", "ü", "a.b", &"k".repeat(65)] {
            assert!(IdempotencyKey::new(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
