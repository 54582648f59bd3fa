//! What a certificate says: the payload, typed. It attests what was re-read, when and by whom, and never says more.

use std::{fmt, str::FromStr};

use lethe_ids::{CertificateId, ContactId, ErasureId, TenantId};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, serde::rfc3339};

use crate::domain::commitment;

/// The version of the payload's form.
pub const VERSION: u32 = 1;

/// The payload of a certificate, version 1. Unknown fields are refused: they might qualify what is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`VERSION`].
    pub version: u32,
    /// Its own id.
    pub certificate_id: CertificateId,
    /// 1 after the first verification, 2 after the later one.
    pub sequence: u32,
    /// SHA-256 of the envelope of the certificate before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The erasure.
    pub erasure_id: ErasureId,
    /// The controller.
    pub tenant_id: TenantId,
    /// Whose it was, as a commitment ([`Statement::is_about`]).
    pub subject_commitment: Digest,
    /// How much was erased: `everything`, `conversation`, `contact_only`, `email`.
    pub mode: String,
    /// The person's addresses stay blocked: their keyed hashes, and nothing else, are on the list and in the rights ledger.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suppression: bool,
    /// When.
    pub dates: Dates,
    /// What each participant did and found.
    pub participants: Vec<Participant>,
    /// Codes of what the promise does not reach ([`outside`]).
    pub outside_the_promise: Vec<String>,
    /// Until then a copy of a key store made before the purge may still open what an old copy of a database holds: the
    /// erased is unreadable through the platform. After it, it is unrecoverable. None as long as nothing rotates and deletes
    /// the epoch's key: then no date is stated. Certificates from before that was so have one.
    #[serde(with = "rfc3339::option", default, skip_serializing_if = "Option::is_none")]
    pub shred_bound: Option<OffsetDateTime>,
    /// Where the rights ledger has the erasure.
    pub ledger: LedgerReference,
    /// The key that signs.
    pub key_id: String,
}

/// When the erasure passed what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dates {
    /// The person asked; the period of Art. 12(3) GDPR runs from here.
    #[serde(with = "rfc3339")]
    pub received_at: OffsetDateTime,
    /// The last second of that period.
    #[serde(with = "rfc3339")]
    pub due_at: OffsetDateTime,
    /// A member confirmed.
    #[serde(with = "rfc3339")]
    pub confirmed_at: OffsetDateTime,
    /// All participants were fenced and the ledger's entry was durable.
    #[serde(with = "rfc3339")]
    pub fenced_at: OffsetDateTime,
    /// All participants had purged.
    #[serde(with = "rfc3339")]
    pub purged_at: OffsetDateTime,
    /// All participants had verified: for sequence 2, the later time.
    #[serde(with = "rfc3339")]
    pub verified_at: OffsetDateTime,
    /// This certificate was made.
    #[serde(with = "rfc3339")]
    pub certified_at: OffsetDateTime,
}

/// What one service did and found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Participant {
    /// The service.
    pub name: String,
    /// SHA-256 over the list of all that it had, frozen by its fence.
    pub census_digest: Digest,
    /// How much that was.
    pub census: Vec<Tally>,
    /// What it deleted and destroyed.
    pub evidence: Vec<Tally>,
    /// When its fence was committed.
    #[serde(with = "rfc3339")]
    pub fenced_at: OffsetDateTime,
    /// When it had purged.
    #[serde(with = "rfc3339")]
    pub purged_at: OffsetDateTime,
    /// When it had read its stores again.
    #[serde(with = "rfc3339")]
    pub verified_at: OffsetDateTime,
    /// What it read and what it says.
    pub lines: Vec<Line>,
}

/// A number of things of one kind in one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// `postgres`, `keystore`, `index`, …
    pub store: String,
    /// The table, or the kind of thing.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// One typed line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// `postgres`, `keystore`, `index`, …
    pub store: String,
    /// The table, or the kind of thing.
    pub kind: String,
    /// How it came to be known.
    pub attestation: Attestation,
    /// A stable code.
    pub code: String,
    /// How many things of the census were looked for.
    pub looked_for: u64,
    /// How many of them were there.
    pub found: u64,
    /// For what lingers: gone by then.
    #[serde(with = "rfc3339::option", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<OffsetDateTime>,
}

/// How a line came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attestation {
    /// The store was read again and the things of the census were looked for.
    ReRead,
    /// The engine's own figure.
    EngineFigure,
    /// The operator's word.
    Declared,
    /// Not looked at.
    NotLookedAt,
    /// Lingers until a date.
    ResidualUntil,
    /// Kept under a legal hold.
    Held,
    /// Who had received the person's data, and how far they are told of the erasure (Art. 19 GDPR).
    Told,
}

/// An entry of the rights ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerReference {
    /// Its number in the tenant's chain.
    pub number: u64,
    /// SHA-256 of the entry.
    pub digest: Digest,
}

/// What the promise does not reach, as codes.
pub mod outside {
    use crate::domain::Mode;

    /// What somebody else wrote about the person in a conversation of their own.
    pub const OTHERS_WRITING_ABOUT_THE_PERSON: &str = "OTHERS_WRITING_ABOUT_THE_PERSON";
    /// What members or recipients copied out of the platform before.
    pub const COPIES_MADE_OUTSIDE_BEFORE: &str = "COPIES_MADE_OUTSIDE_BEFORE";
    /// The random ids of the contact and the erasure in fences and in the rights ledger, which keep a restored backup from
    /// bringing the person back; who read and erased, and when, in the audit log.
    pub const RANDOM_IDS_IN_FENCES_AND_LEDGER: &str = "RANDOM_IDS_IN_FENCES_AND_LEDGER";
    /// What is left where a contact is erased without its messages: their texts, as they were written.
    pub const MESSAGES_KEPT_WITHOUT_A_NAME: &str = "MESSAGES_KEPT_WITHOUT_A_NAME";
    /// Where a part of a contact is erased: the rest of it.
    pub const THE_CONTACT_LIVES_ON: &str = "THE_CONTACT_LIVES_ON";

    /// Those of an erasure in `mode`.
    pub fn of(mode: Mode) -> impl Iterator<Item = &'static str> {
        let of_mode = match mode {
            Mode::Everything => None,
            Mode::ContactOnly => Some(MESSAGES_KEPT_WITHOUT_A_NAME),
            Mode::Conversation | Mode::Email => Some(THE_CONTACT_LIVES_ON),
        };
        [OTHERS_WRITING_ABOUT_THE_PERSON, COPIES_MADE_OUTSIDE_BEFORE, RANDOM_IDS_IN_FENCES_AND_LEDGER]
            .into_iter()
            .chain(of_mode)
    }
}

impl Statement {
    /// Whether it is about `contact`, for who was handed the nonce.
    pub fn is_about(&self, nonce: &[u8; 32], contact: ContactId) -> bool {
        commitment(nonce, self.tenant_id, self.erasure_id, contact) == self.subject_commitment.0
    }
}

/// A SHA-256 digest, written in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
        Self(digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a SHA-256 digest in hex")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err(NotADigest);
        }
        let nibble = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NotADigest),
        };
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(digest))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
