//! The authority of one person, of one program, or of one operator of the platform, in one tenant.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use lethe_ids::{ApiKeyId, MemberId, OperatorAccessId, SessionId, TenantId};
use lethe_proto::access::{self as proto, Permission, Role};
use tonic::metadata::{Binary, MetadataMap, MetadataValue};
use uuid::Uuid;

use crate::{PRINCIPAL, role::allows};

/// Who acts, verified: what identity said at `issued_at_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant that everything of this call is in.
    pub tenant: TenantId,
    /// Who acts, and by what right.
    pub who: Who,
    /// Milliseconds since 1970.
    pub issued_at_ms: i64,
    /// Milliseconds since 1970; not good from then on.
    pub expires_at_ms: i64,
}

/// A member or a program of the tenant's, or an operator whom it let in, with what each may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A person.
    Member {
        /// The member who acts.
        member: MemberId,
        /// By which session.
        session: SessionId,
        /// The roles he was given; none while a one-time password must be changed.
        roles: Arc<[Role]>,
        /// His password is a one-time one.
        must_change_password: bool,
    },
    /// A program that signs its requests.
    ApiKey {
        /// The key it signs with.
        key: ApiKeyId,
        /// What the key was made for.
        scopes: Arc<[Permission]>,
    },
    /// Somebody of the platform's, by a grant of the tenant's.
    Operator {
        /// The grant.
        access: OperatorAccessId,
        /// What it was granted for.
        scopes: Arc<[Permission]>,
    },
}

/// Who acts, without the right: what rows and audit events keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A person.
    Member(MemberId),
    /// A program.
    ApiKey(ApiKeyId),
    /// Somebody of the platform's.
    Operator(OperatorAccessId),
}

impl Actor {
    /// The bare UUID, for a column that holds any of them.
    pub fn uuid(self) -> Uuid {
        match self {
            Self::Member(member) => member.uuid(),
            Self::ApiKey(key) => key.uuid(),
            Self::Operator(access) => access.uuid(),
        }
    }

    /// The member; `None` for a program or an operator.
    pub fn member(self) -> Option<MemberId> {
        match self {
            Self::Member(member) => Some(member),
            Self::ApiKey(_) | Self::Operator(_) => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(member) => member.fmt(f),
            Self::ApiKey(key) => key.fmt(f),
            Self::Operator(access) => access.fmt(f),
        }
    }
}

impl Principal {
    /// Whether one of the roles, or of the scopes of a key or a grant, has the permission. Only a member has an account
    /// of his own.
    pub fn allows(&self, permission: Permission) -> bool {
        match &self.who {
            Who::Member { roles, .. } => allows(roles, permission),
            Who::ApiKey { scopes, .. } | Who::Operator { scopes, .. } => {
                !matches!(permission, Permission::Unspecified | Permission::OwnAccount)
                    && scopes.contains(&permission)
            }
        }
    }

    /// Who acts.
    pub fn actor(&self) -> Actor {
        match &self.who {
            Who::Member { member, .. } => Actor::Member(*member),
            Who::ApiKey { key, .. } => Actor::ApiKey(*key),
            Who::Operator { access, .. } => Actor::Operator(*access),
        }
    }

    /// The member's roles; nobody else has any.
    pub fn roles(&self) -> &[Role] {
        match &self.who {
            Who::Member { roles, .. } => roles,
            Who::ApiKey { .. } | Who::Operator { .. } => &[],
        }
    }

    /// Whether a member acts who must change a one-time password before anything else.
    pub fn must_change_password(&self) -> bool {
        matches!(self.who, Who::Member { must_change_password: true, .. })
    }

    /// The member's session; nobody else has one.
    pub fn session(&self) -> Option<SessionId> {
        match &self.who {
            Who::Member { session, .. } => Some(*session),
            Who::ApiKey { .. } | Who::Operator { .. } => None,
        }
    }

    pub(crate) fn encode(&self) -> proto::Principal {
        let mut message = proto::Principal {
            tenant_id: self.tenant.to_string(),
            issued_at_ms: self.issued_at_ms,
            expires_at_ms: self.expires_at_ms,
            ..Default::default()
        };
        match &self.who {
            Who::Member { member, session, roles, must_change_password } => {
                message.member_id = member.to_string();
                message.session_id = session.to_string();
                message.roles = roles.iter().map(|role| i32::from(*role)).collect();
                message.must_change_password = *must_change_password;
            }
            Who::ApiKey { key, scopes } => {
                message.api_key_id = key.to_string();
                message.scopes = scopes.iter().map(|scope| i32::from(*scope)).collect();
            }
            Who::Operator { access, scopes } => {
                message.operator_access_id = access.to_string();
                message.scopes = scopes.iter().map(|scope| i32::from(*scope)).collect();
            }
        }
        message
    }

    /// `None` when an id is none, or when not exactly one of member, key and operator acts. A role or scope this process does
    /// not know gives nothing.
    pub(crate) fn decode(message: &proto::Principal) -> Option<Self> {
        let is_member =
            !(message.member_id.is_empty() && message.session_id.is_empty() && message.roles.is_empty());
        let who = match (is_member, message.api_key_id.as_str(), message.operator_access_id.as_str()) {
            (true, "", "") => Who::Member {
                member: message.member_id.parse().ok()?,
                session: message.session_id.parse().ok()?,
                roles: message.roles().collect(),
                must_change_password: message.must_change_password,
            },
            (false, key, "") => Who::ApiKey { key: key.parse().ok()?, scopes: message.scopes().collect() },
            (false, "", access) => {
                Who::Operator { access: access.parse().ok()?, scopes: message.scopes().collect() }
            }
            _ => return None,
        };
        Some(Self {
            tenant: message.tenant_id.parse().ok()?,
            who,
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
