//! Three services that know each other: identity signs principals, the gateway calls, messaging is called.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName};
use lethe_access::{
    Access, Ask, Caller, Denied, PRINCIPAL, Permission, Principal, PublicKeys, Revocations, Role,
    SERVICE_TOKEN, ServiceKey, Who,
};
use lethe_ambient::Clock;
use lethe_ids::{MemberId, OperatorAccessId, SessionId, TenantId};
use time::macros::datetime;
use tonic::{
    Status,
    metadata::{Binary, MetadataValue},
};
use uuid::Uuid;

pub(crate) const READ: &str = "/lethe.messaging.v1.ContactService/GetContact";
pub(crate) const SEND: &str = "/lethe.messaging.v1.MessageService/SendMessage";
pub(crate) const ERASE: &str = "/lethe.retention.v1.RetentionService/ConfirmErasure";
pub(crate) const PURGE: &str = "/lethe.erasure.v1.ParticipantService/Purge";
pub(crate) const LOG_IN: &str = "/lethe.identity.v1.IdentityService/LogIn";
pub(crate) const OWN: &str = "/lethe.identity.v1.IdentityService/GetSelf";

pub(crate) struct Rig {
    pub(crate) clock: Clock,
    pub(crate) identity: Access,
    pub(crate) gateway: Access,
    pub(crate) retention: Access,
    pub(crate) messaging: Access,
}

pub(crate) fn key(seed: u8) -> ServiceKey {
    ServiceKey::from_seed(&[seed; 32]).unwrap()
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Revocations::always_fresh())
    }

    /// `revocations` are those that messaging, the one that is called, goes by.
    pub(crate) fn with(revocations: Revocations) -> Self {
        let clock = Clock::fixed(datetime!(2026-11-22 10:00 UTC));
        let mut keys = PublicKeys::new();
        for (seed, name) in ["identity", "gateway", "retention", "messaging"].into_iter().enumerate() {
            keys.insert(name, &key(seed as u8).public()).unwrap();
        }
        let access =
            |name, seed, revocations| Access::new(name, key(seed), keys.clone(), revocations, clock.clone());
        Self {
            identity: access("identity", 0, Revocations::always_fresh()),
            gateway: access("gateway", 1, Revocations::always_fresh()),
            retention: access("retention", 2, Revocations::always_fresh()),
            messaging: access("messaging", 3, revocations),
            clock,
        }
    }

    pub(crate) fn principal(&self, roles: &[Role]) -> Principal {
        let now = self.clock.millis();
        Principal {
            tenant: TenantId::new(Uuid::from_u128(1)),
            who: Who::Member {
                member: MemberId::new(Uuid::from_u128(2)),
                session: SessionId::new(Uuid::from_u128(3)),
                roles: roles.into(),
                must_change_password: false,
            },
            issued_at_ms: now,
            expires_at_ms: now + 60_000,
        }
    }

    /// An operator who was granted these.
    pub(crate) fn operator(&self, scopes: &[Permission]) -> Principal {
        let access = OperatorAccessId::new(Uuid::from_u128(4));
        Principal { who: Who::Operator { access, scopes: scopes.into() }, ..self.principal(&[]) }
    }

    /// What the gateway sends to messaging for a member with these roles.
    pub(crate) fn headers(&self, roles: &[Role]) -> HeaderMap {
        self.headers_of(&self.principal(roles))
    }

    /// What the gateway sends to messaging for anybody.
    pub(crate) fn headers_of(&self, principal: &Principal) -> HeaderMap {
        let principal = self.identity.sign_principal(principal);
        let mut headers = service(&self.gateway, "messaging");
        headers.insert(PRINCIPAL, header(&principal.metadata()));
        headers
    }

    pub(crate) async fn ask(&self, path: &str, headers: &HeaderMap) -> Result<Caller, &'static str> {
        match self.messaging.authorize(path, headers).await {
            Ok(caller) => Ok(caller.expect("a path of ours")),
            Err(Denied { reason, .. }) => Err(reason),
        }
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }
}

pub(crate) fn service(from: &Access, to: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SERVICE_TOKEN, header(&from.service_token(to)));
    headers
}

pub(crate) fn header(value: &MetadataValue<Binary>) -> http::HeaderValue {
    http::HeaderValue::from_bytes(value.as_encoded_bytes()).unwrap()
}

/// The header with `change` done to the bytes that its base64 stands for.
pub(crate) fn tampered(
    headers: &HeaderMap,
    name: &'static str,
    change: impl FnOnce(&mut Vec<u8>),
) -> HeaderMap {
    let metadata = tonic::metadata::MetadataMap::from_headers(headers.clone());
    let mut bytes = metadata.get_bin(name).unwrap().to_bytes().unwrap().to_vec();
    change(&mut bytes);
    let mut headers = headers.clone();
    headers.insert(HeaderName::from_static(name), header(&MetadataValue::from_bytes(&bytes)));
    headers
}

/// Identity's answers, counted.
pub(crate) struct Oracle {
    pub(crate) answer: Result<bool, Status>,
    pub(crate) asked: AtomicUsize,
}

impl Oracle {
    pub(crate) fn new(answer: Result<bool, Status>) -> Arc<Self> {
        Arc::new(Self { answer, asked: AtomicUsize::new(0) })
    }
}

impl Ask for Oracle {
    fn stands<'a>(&'a self, _: &'a Principal) -> BoxFuture<'a, Result<bool, Status>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { self.answer.clone() })
    }
}
