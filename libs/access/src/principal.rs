//! A person's authority in one tenant.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use lethe_ids::{MemberId, SessionId, TenantId};
use lethe_proto::access::{self as proto, Role};
use tonic::metadata::{Binary, MetadataMap, MetadataValue};

use crate::{PRINCIPAL, role::allows};

/// Who acts, verified: what identity said at `issued_at_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant that everything of this call is in.
    pub tenant: TenantId,
    /// The member who acts.
    pub member: MemberId,
    /// By which session.
    pub session: SessionId,
    /// The roles he was given; none while a one-time password must be changed.
    pub roles: Arc<[Role]>,
    /// Milliseconds since 1970.
    pub issued_at_ms: i64,
    /// Milliseconds since 1970; not good from then on.
    pub expires_at_ms: i64,
}

impl Principal {
    /// Whether one of the roles has the permission.
    pub fn allows(&self, permission: proto::Permission) -> bool {
        allows(&self.roles, permission)
    }

    pub(crate) fn encode(&self) -> proto::Principal {
        proto::Principal {
            tenant_id: self.tenant.to_string(),
            member_id: self.member.to_string(),
            session_id: self.session.to_string(),
            roles: self.roles.iter().map(|role| i32::from(*role)).collect(),
            issued_at_ms: self.issued_at_ms,
            expires_at_ms: self.expires_at_ms,
        }
    }

    /// `None` when an id is none. A role this process does not know gives nothing.
    pub(crate) fn decode(message: &proto::Principal) -> Option<Self> {
        Some(Self {
            tenant: message.tenant_id.parse().ok()?,
            member: message.member_id.parse().ok()?,
            session: message.session_id.parse().ok()?,
            roles: message.roles().collect(),
            issued_at_ms: message.issued_at_ms,
            expires_at_ms: message.expires_at_ms,
        })
    }
}

/// A signed principal as it travels. Cheap to clone; not verified by having it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalToken(MetadataValue<Binary>);

impl PrincipalToken {
    /// From `AuthenticateResponse.principal`.
    pub fn from_bytes(signed: &[u8]) -> Self {
        Self(MetadataValue::from_bytes(signed))
    }

    /// The one that came with a call, to hand it on.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(PRINCIPAL)?;
        let mut map = HeaderMap::with_capacity(1);
        map.insert(PRINCIPAL, value.clone());
        MetadataMap::from_headers(map).get_bin(PRINCIPAL).cloned().map(Self)
    }

    /// For outgoing metadata under [`PRINCIPAL`].
    pub fn metadata(&self) -> MetadataValue<Binary> {
        self.0.clone()
    }

    /// The `lethe.access.v1.SignedToken`; empty when the text is no base64.
    pub fn to_bytes(&self) -> Bytes {
        self.0.to_bytes().unwrap_or_default()
    }
}
