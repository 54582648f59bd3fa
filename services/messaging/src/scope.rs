//! What is to be erased: the scope of one erasure, decoded.

use lethe_ids::{ContactId, ErasureId, ScopeId, TenantId};
use lethe_proto::erasure as proto;
use lethe_service::id;

use crate::{domain::Invalid, error::Error};

/// The scope of an erasure of one contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Random, never used again.
    pub(crate) id: ScopeId,
    /// Whose contact.
    pub(crate) tenant: TenantId,
    /// Which erasure.
    pub(crate) erasure: ErasureId,
    /// Whom it is about.
    pub(crate) contact: ContactId,
}

impl Scope {
    /// From the request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT at the id that is none.
    pub(crate) fn of(given: Option<proto::Scope>) -> Result<Self, Error> {
        let given = given.ok_or_else(|| Invalid::new("scope", "is missing"))?;
        if !matches!(given.mode(), proto::Mode::Unspecified | proto::Mode::Everything) {
            return Err(Invalid::new("scope.mode", "is none that is known here").into());
        }
        Ok(Self {
            id: id("scope.scope_id", &given.scope_id)?,
            tenant: id("scope.tenant_id", &given.tenant_id)?,
            erasure: id("scope.erasure_id", &given.erasure_id)?,
            contact: id("scope.contact_id", &given.contact_id)?,
        })
    }
}
