//! One entry of the ledger, as JSON. It names the contact by its random id, because a restore must find whom to erase again.

use lethe_ids::{ContactId, ErasureId, ScopeId, TenantId};
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
    /// What it records.
    pub erasure: Erasure,
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
    /// How much: `everything`.
    pub mode: String,
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
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|entry: &Self| entry.version == 1)
    }
}
