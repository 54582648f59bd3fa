//! Cursors of lists. A service's own cursor names rows; outside it is sealed (AES-256-GCM) together with its end, and
//! bound to the tenant, the list and its filters: it says nothing, and opens nowhere else.
//!
//! On the wire: base64url of format byte ‖ nonce 12 ‖ ciphertext of (end in milliseconds 8 ‖ the service's cursor) ‖ tag 16.

use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use lethe_ambient::{Clock, Entropy};
use lethe_ids::TenantId;
use lethe_proto::request::Page;

use crate::{json::PageLimit, problem::Problem};

const FORMAT: u8 = 1;
/// Longer texts are no cursors of ours.
const LONGEST: usize = 1_024;

/// Seals and opens cursors.
pub(crate) struct Cursors {
    key: LessSafeKey,
    life: Duration,
    clock: Clock,
    entropy: Entropy,
}

/// Where a cursor is good: one list of one tenant with one set of filters.
pub(crate) struct Place<'a> {
    /// Whose list.
    pub(crate) tenant: TenantId,
    /// The RPC that lists.
    pub(crate) list: &'static str,
    /// The filters, written in one way.
    pub(crate) filters: &'a str,
}

impl Cursors {
    /// With a key of 32 bytes.
    pub(crate) fn new(key: &[u8; 32], life: Duration, clock: Clock, entropy: Entropy) -> Self {
        // A key of the algorithm's own length is always taken.
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key of AES-256");
        Self { key: LessSafeKey::new(key), life, clock, entropy }
    }

    /// The page that a client asked for, in the service's words.
    pub(crate) fn page(
        &self,
        place: &Place<'_>,
        limit: PageLimit,
        after: Option<&str>,
    ) -> Result<Page, Problem> {
        let after = match after {
            None => Bytes::new(),
            Some(text) => self.open(place, text)?,
        };
        Ok(Page { limit: limit.0, after })
    }

    /// The cursor of the next page; `None` at the end of the list.
    pub(crate) fn seal(&self, place: &Place<'_>, next: &[u8]) -> Option<String> {
        if next.is_empty() {
            return None;
        }
        let nonce: [u8; NONCE_LEN] = self.entropy.bytes();
        let life = i64::try_from(self.life.as_millis()).unwrap_or(i64::MAX);
        let end = self.clock.millis().saturating_add(life);
        let mut sealed = Vec::with_capacity(8 + next.len() + 16);
        sealed.extend_from_slice(&end.to_be_bytes());
        sealed.extend_from_slice(next);
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce_used, Aad::from(place.bytes()), &mut sealed).ok()?;
        let mut cursor = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        cursor.push(FORMAT);
        cursor.extend_from_slice(&nonce);
        cursor.extend_from_slice(&sealed);
        Some(URL_SAFE_NO_PAD.encode(cursor))
    }

    fn open(&self, place: &Place<'_>, text: &str) -> Result<Bytes, Problem> {
        let invalid = || Problem::bad_request("CURSOR_INVALID", "is not a cursor of this list").at("after");
        if text.len() > LONGEST {
            return Err(invalid());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
        let (format, rest) = bytes.split_first().ok_or_else(invalid)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(invalid)?;
        if *format != FORMAT {
            return Err(invalid());
        }
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened =
            self.key.open_in_place(nonce, Aad::from(place.bytes()), &mut sealed).map_err(|_| invalid())?;
        let (end, after) = opened.split_first_chunk::<8>().ok_or_else(invalid)?;
        if self.clock.millis() >= i64::from_be_bytes(*end) {
            return Err(Problem::bad_request("CURSOR_EXPIRED", "is too old; begin the list anew").at("after"));
        }
        Ok(Bytes::copy_from_slice(after))
    }
}

impl Place<'_> {
    /// Tenant ‖ length of the list's name ‖ its name ‖ filters.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(17 + self.list.len() + self.filters.len());
        bytes.extend_from_slice(self.tenant.uuid().as_bytes());
        bytes.push(u8::try_from(self.list.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(self.list.as_bytes());
        bytes.extend_from_slice(self.filters.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn cursors(clock: &Clock) -> Cursors {
        Cursors::new(&[7; 32], Duration::from_secs(60), clock.clone(), Entropy::seeded(1))
    }
    fn place(tenant: u128, list: &'static str, filters: &'static str) -> Place<'static> {
        Place { tenant: TenantId::new(Uuid::from_u128(tenant)), list, filters }
    }

    #[test]
    fn a_cursor_opens_where_it_was_made_and_nowhere_else() {
        let clock = Clock::fixed(OffsetDateTime::UNIX_EPOCH);
        let cursors = cursors(&clock);
        let here = place(1, "ListContacts", "{}");
        let cursor = cursors.seal(&here, b"row 17").expect("a next page");
        assert_eq!(cursors.open(&here, &cursor).expect("opens"), &b"row 17"[..]);
        for other in [
            place(2, "ListContacts", "{}"),
            place(1, "ListMessages", "{}"),
            place(1, "ListContacts", "{\"a\":1}"),
            place(1, "ListContact", "s{}"),
        ] {
            assert_eq!(cursors.open(&other, &cursor).expect_err("another place").code(), "CURSOR_INVALID");
        }
        assert_eq!(cursors.seal(&here, b""), None);
    }

    #[test]
    fn any_changed_bit_and_any_nonsense_is_invalid() {
        let clock = Clock::fixed(OffsetDateTime::UNIX_EPOCH);
        let cursors = cursors(&clock);
        let here = place(1, "ListContacts", "");
        let cursor = cursors.seal(&here, b"row 17").expect("a next page");
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let problem = cursors.open(&here, &URL_SAFE_NO_PAD.encode(changed)).expect_err("changed");
            assert_eq!(problem.code(), "CURSOR_INVALID", "bit {bit}");
        }
        for text in ["", "x", "%", "AQ", &"A".repeat(2_000), &cursor[..cursor.len() - 1]] {
            assert_eq!(cursors.open(&here, text).expect_err("nonsense").code(), "CURSOR_INVALID", "{text}");
        }
    }

    #[test]
    fn a_cursor_ends() {
        let clock = Clock::fixed(OffsetDateTime::UNIX_EPOCH);
        let cursors = cursors(&clock);
        let here = place(1, "ListContacts", "");
        let cursor = cursors.seal(&here, b"row 17").expect("a next page");
        clock.advance(Duration::from_millis(59_999));
        assert!(cursors.open(&here, &cursor).is_ok());
        clock.advance(Duration::from_millis(1));
        assert_eq!(cursors.open(&here, &cursor).expect_err("too old").code(), "CURSOR_EXPIRED");
    }
}
