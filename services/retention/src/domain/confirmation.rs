//! The token that confirms an erasure: 256 random bits, valid for a quarter of an hour, bound to what was counted.
//!
//! Only its hash is kept. Counts that were recounted since give another hash, so a token never confirms figures that its
//! owner was not shown.

use aws_lc_rs::{constant_time, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lethe_ambient::Sensitive;
use lethe_ids::ErasureId;
use time::{Duration, OffsetDateTime};

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// SHA-256 over the token, the erasure and its counts.
    pub hash: [u8; 32],
    /// The first instant at which it confirms no more.
    pub expires_at: OffsetDateTime,
}

/// Why a token confirms nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmationError {
    /// Of another erasure, of other counts, or made up.
    #[error("is not the token of this erasure and its counts")]
    Wrong,
    /// Right, but too late.
    #[error("has expired")]
    Expired,
}

impl Confirmation {
    /// How long a token confirms.
    pub const VALID_FOR: Duration = Duration::minutes(15);

    /// A token from 32 random bytes, and what to keep of it.
    pub fn issue(
        random: [u8; 32],
        erasure: ErasureId,
        counts: &[u8],
        now: OffsetDateTime,
    ) -> (Sensitive<String>, Self) {
        let token = URL_SAFE_NO_PAD.encode(random);
        let kept = Self { hash: hash(&token, erasure, counts), expires_at: now + Self::VALID_FOR };
        (Sensitive::new(token), kept)
    }

    /// Whether `token` confirms this erasure with these counts now. A wrong token is told before a late one.
    ///
    /// # Errors
    /// Says which of the two it is.
    pub fn check(
        &self,
        token: &str,
        erasure: ErasureId,
        counts: &[u8],
        now: OffsetDateTime,
    ) -> Result<(), ConfirmationError> {
        constant_time::verify_slices_are_equal(&hash(token, erasure, counts), &self.hash)
            .map_err(|_| ConfirmationError::Wrong)?;
        if now < self.expires_at { Ok(()) } else { Err(ConfirmationError::Expired) }
    }
}

fn hash(token: &str, erasure: ErasureId, counts: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"lethe erasure confirmation v1");
    context.update(erasure.uuid().as_bytes());
    context.update(digest::digest(&digest::SHA256, counts).as_ref());
    context.update(token.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_token_confirms_its_erasure_and_counts_for_a_quarter_of_an_hour() {
        let (erasure, other) = (ErasureId::new(Uuid::from_u128(1)), ErasureId::new(Uuid::from_u128(2)));
        let now = datetime!(2026-01-05 10:00 UTC);
        let (token, kept) = Confirmation::issue([7; 32], erasure, b"3 messages", now);
        let token = token.expose();
        let last = now + Confirmation::VALID_FOR - Duration::milliseconds(1);
        assert_eq!(kept.check(token, erasure, b"3 messages", last), Ok(()));
        let late = last + Duration::milliseconds(1);
        assert_eq!(kept.check(token, erasure, b"3 messages", late), Err(ConfirmationError::Expired));
        for (token, erasure, counts) in [
            (token.as_str(), other, b"3 messages"),
            (token, erasure, b"4 messages"),
            ("", erasure, b"3 messages"),
            ("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwd", erasure, b"3 messages"),
        ] {
            assert_eq!(kept.check(token, erasure, counts, now), Err(ConfirmationError::Wrong));
        }
    }
}
