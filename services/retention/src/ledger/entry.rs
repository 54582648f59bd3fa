//! One entry of the ledger, as JSON. It names the contact by its random id, because a restore must find whom to erase again.

use lethe_ids::{ContactId, ConversationId, ErasureId, ScopeId, TenantId};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, serde::rfc3339};

use crate::certificate::Digest;

/// An entry, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// 1.
    pub version: u32,
    /// Its place in the tenant's chain, from 1.
    pub number: u64,
    /// SHA-256 of the object before it; zeros for the first.
    pub previous: Digest,
    /// When it was written.
    #[serde(with = "rfc3339")]
    pub recorded_at: OffsetDateTime,
    /// An erasure that may begin to destroy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasure: Option<Erasure>,
    /// Addresses that stay blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppression: Option<Suppression>,
}

/// What an entry records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An erasure that may begin to destroy.
    Erasure(Erasure),
    /// Addresses that stay blocked.
    Suppression(Suppression),
}

impl Record {
    /// Whose chain.
    pub fn tenant(&self) -> TenantId {
        match self {
            Self::Erasure(erasure) => erasure.tenant_id,
            Self::Suppression(suppression) => suppression.tenant_id,
        }
    }

    /// Whether this entry records it.
    pub(super) fn is_in(&self, entry: &Entry) -> bool {
        match self {
            Self::Erasure(erasure) => {
                entry.erasure.as_ref().is_some_and(|there| there.erasure_id == erasure.erasure_id)
            }
            Self::Suppression(suppression) => entry.suppression.as_ref() == Some(suppression),
        }
    }
}

/// Addresses that may not be written to: hashes under the tenant's suppression key, and nothing of whose they were or why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// The controller.
    pub tenant_id: TenantId,
    /// The addresses.
    pub addresses: Vec<SuppressedAddress>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuppressedAddress {
    /// 1 phone, 2 e-mail.
    pub kind: u32,
    /// Under the suppression key.
    pub mac: Digest,
    /// Which version of the key.
    pub key_version: u32,
    /// Which version of the rules that made the text.
    pub normaliser_version: u32,
}

/// An erasure that was fenced everywhere and may destroy from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// The controller.
    pub tenant_id: TenantId,
    /// The erasure.
    pub erasure_id: ErasureId,
    /// Its scope.
    pub scope_id: ScopeId,
    /// Whom to erase again after a restore.
    pub contact_id: ContactId,
    /// The other ids the person was a contact under, before contacts were merged: an older backup has them apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_contact_ids: Vec<ContactId>,
    /// How much: `everything`, `conversation`, `contact_only`, `email`.
    pub mode: String,
    /// Of a part: which conversations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversation_ids: Vec<ConversationId>,
    /// When a member confirmed.
    #[serde(with = "rfc3339")]
    pub confirmed_at: OffsetDateTime,
    /// What each participant had, as digests.
    pub censuses: Vec<Census>,
}

/// A participant's census.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Census {
    /// The service.
    pub participant: String,
    /// SHA-256 over its list.
    pub digest: Digest,
}

impl Entry {
    /// It is of this version and records one thing.
    fn is_sound(&self) -> bool {
        self.version == 1 && (self.erasure.is_some() != self.suppression.is_some())
    }

    /// Whose chain it stands in.
    pub fn tenant(&self) -> Option<TenantId> {
        let of_erasure = self.erasure.as_ref().map(|erasure| erasure.tenant_id);
        of_erasure.or(self.suppression.as_ref().map(|suppression| suppression.tenant_id))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(Self::is_sound)
    }
}
