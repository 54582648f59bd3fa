//! What one service knows of access: its own key, everybody's public ones, and what was revoked.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use lethe_ambient::Clock;
use lethe_ids::TenantId;
use lethe_proto::{METHODS, MethodAccess, access::Acting};
use moka::future::Cache;
use tokio::time::Instant;
use tonic::{
    Request, Status,
    metadata::{Binary, MetadataValue},
};

use crate::{
    Denied, PRINCIPAL, Principal, PrincipalToken, PublicKeys, Revocations, SERVICE_TOKEN, ServiceKey,
    TOKEN_LIFE_MS, Who, revocations::Standing, token,
};

/// Verified tokens that are remembered; one is about 300 bytes.
const MOST_TOKENS: u64 = 50_000;
/// A service token is used again until it has less than this left.
const RENEW_MS: i64 = 15_000;
/// Audiences whose tokens are remembered: more than there are services.
const MOST_AUDIENCES: usize = 64;

static BY_PATH: LazyLock<HashMap<&'static str, &'static MethodAccess>> =
    LazyLock::new(|| METHODS.iter().map(|method| (method.path, method)).collect());

/// Who called, in the extensions of every request that was let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The service that called.
    pub service: Arc<str>,
    /// The person it called for, where the RPC wants one.
    pub principal: Option<Principal>,
}

impl Caller {
    /// The principal's tenant.
    pub fn tenant(&self) -> Option<TenantId> {
        self.principal.as_ref().map(|principal| principal.tenant)
    }
}

/// One service's part in the access rules. Clones share it.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    name: &'static str,
    key: ServiceKey,
    keys: PublicKeys,
    clock: Clock,
    revocations: Revocations,
    verified: Cache<[u8; 32], Verified>,
    own: Mutex<HashMap<String, (MetadataValue<Binary>, i64)>>,
}

#[derive(Clone)]
enum Verified {
    Service { service: Arc<str>, issued_at_ms: i64, expires_at_ms: i64 },
    Principal(Principal),
}

impl Access {
    /// For the service `name`, which signs with `key` and believes `keys`.
    pub fn new(
        name: &'static str,
        key: ServiceKey,
        keys: PublicKeys,
        revocations: Revocations,
        clock: Clock,
    ) -> Self {
        let verified = Cache::builder()
            .max_capacity(MOST_TOKENS)
            .time_to_live(Duration::from_millis(TOKEN_LIFE_MS.unsigned_abs()))
            .build();
        Self(Arc::new(Inner { name, key, keys, clock, revocations, verified, own: Mutex::default() }))
    }

    /// The service's name.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// What was revoked, as this service heard.
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// A token that says to `audience` that this service is calling, for metadata under [`SERVICE_TOKEN`].
    pub fn service_token(&self, audience: &str) -> MetadataValue<Binary> {
        let now_ms = self.0.clock.millis();
        let mut own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((value, expires_at_ms)) = own.get(audience)
            && expires_at_ms - now_ms >= RENEW_MS
            && expires_at_ms - now_ms <= TOKEN_LIFE_MS
        {
            return value.clone();
        }
        let value =
            MetadataValue::from_bytes(&token::sign_service(&self.0.key, self.0.name, audience, now_ms));
        if own.len() >= MOST_AUDIENCES {
            own.clear();
        }
        own.insert(audience.to_owned(), (value.clone(), now_ms + TOKEN_LIFE_MS));
        value
    }

    /// Signs a principal with this service's key: worth something when this is identity.
    pub fn sign_principal(&self, principal: &Principal) -> PrincipalToken {
        PrincipalToken::from_bytes(&token::sign_principal(&self.0.key, principal))
    }

    /// Who calls `path` with these headers; `None` for a path that is none of ours (health, reflection, or unknown).
    ///
    /// # Errors
    /// The reason why it is not let through.
    pub async fn authorize(&self, path: &str, headers: &HeaderMap) -> Result<Option<Caller>, Denied> {
        let Some(method) = BY_PATH.get(path) else { return Ok(None) };
        let service = self.service(headers).await?;
        if !method.callers.contains(&service.as_ref()) {
            return Err(Denied::CALLER_NOT_ALLOWED);
        }
        let now = Instant::now();
        if method.acting != Acting::Unspecified {
            if method.guarded && !self.0.revocations.is_fresh(now) {
                return Err(Denied::REVOCATION_UNKNOWN);
            }
            return Ok(Some(Caller { service, principal: None }));
        }
        let principal = self.principal(headers).await?;
        if self.0.revocations.is_void(&principal) {
            return Err(Denied::SESSION_REVOKED);
        }
        if principal.must_change_password() && !method.before_password_change {
            return Err(Denied::PASSWORD_CHANGE_REQUIRED);
        }
        if !principal.allows(method.permission) {
            return Err(Denied::PERMISSION_DENIED);
        }
        match self.0.revocations.standing(&principal, now).await {
            Standing::Stands => {}
            Standing::Void => return Err(Denied::SESSION_REVOKED),
            // A tenant's word that an operator is out counts more than his work.
            Standing::Unknown if method.guarded || matches!(principal.who, Who::Operator { .. }) => {
                return Err(Denied::REVOCATION_UNKNOWN);
            }
            Standing::Unknown => {}
        }
        Ok(Some(Caller { service, principal: Some(principal) }))
    }

    /// The principal in a token of identity's that has not expired. Says nothing of revocations.
    ///
    /// # Errors
    /// `PRINCIPAL_INVALID` or `PRINCIPAL_EXPIRED`.
    pub async fn verify_principal(&self, token: &PrincipalToken) -> Result<Principal, Denied> {
        let value = token.metadata();
        let key = cache_key(b'p', value.as_encoded_bytes());
        let principal = match self.0.verified.get(&key).await {
            Some(Verified::Principal(principal)) => principal,
            _ => {
                let bytes = value.to_bytes().map_err(|_| Denied::PRINCIPAL_INVALID)?;
                let principal = token::verify_principal(&self.0.keys, bytes)?;
                self.0.verified.insert(key, Verified::Principal(principal.clone())).await;
                principal
            }
        };
        if token::in_time(principal.issued_at_ms, principal.expires_at_ms, self.0.clock.millis()) {
            Ok(principal)
        } else {
            Err(Denied::PRINCIPAL_EXPIRED)
        }
    }

    async fn service(&self, headers: &HeaderMap) -> Result<Arc<str>, Denied> {
        let value = only(headers, SERVICE_TOKEN, Denied::SERVICE_TOKEN_INVALID)?
            .ok_or(Denied::SERVICE_TOKEN_MISSING)?;
        let key = cache_key(b's', value.as_bytes());
        let (service, issued_at_ms, expires_at_ms) = match self.0.verified.get(&key).await {
            Some(Verified::Service { service, issued_at_ms, expires_at_ms }) => {
                (service, issued_at_ms, expires_at_ms)
            }
            _ => {
                let bytes = decode(value).ok_or(Denied::SERVICE_TOKEN_INVALID)?;
                let token = token::verify_service(&self.0.keys, self.0.name, bytes)?;
                let service: Arc<str> = token.service.as_str().into();
                let verified = Verified::Service {
                    service: service.clone(),
                    issued_at_ms: token.issued_at_ms,
                    expires_at_ms: token.expires_at_ms,
                };
                self.0.verified.insert(key, verified).await;
                (service, token.issued_at_ms, token.expires_at_ms)
            }
        };
        if token::in_time(issued_at_ms, expires_at_ms, self.0.clock.millis()) {
            Ok(service)
        } else {
            Err(Denied::SERVICE_TOKEN_EXPIRED)
        }
    }

    async fn principal(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        only(headers, PRINCIPAL, Denied::PRINCIPAL_INVALID)?.ok_or(Denied::PRINCIPAL_MISSING)?;
        let token = PrincipalToken::from_headers(headers).ok_or(Denied::PRINCIPAL_INVALID)?;
        self.verify_principal(&token).await
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Access").field(&self.0.name).finish()
    }
}

/// Who called.
///
/// # Errors
/// `INTERNAL` when the RPC is served without the layer that authorises: a defect of the assembly.
pub fn caller<T>(request: &Request<T>) -> Result<&Caller, Status> {
    request.extensions().get::<Caller>().ok_or_else(|| Status::internal("the call was not authorised"))
}

/// The person who acts.
///
/// # Errors
/// As [`caller`], or when the RPC's authorisation line asks for no person.
pub fn principal<T>(request: &Request<T>) -> Result<&Principal, Status> {
    caller(request)?.principal.as_ref().ok_or_else(|| Denied::PRINCIPAL_MISSING.into())
}

/// The header's one value; two are nobody's.
fn only<'a>(headers: &'a HeaderMap, name: &str, twice: Denied) -> Result<Option<&'a HeaderValue>, Denied> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(twice) } else { Ok(first) }
}

fn decode(value: &HeaderValue) -> Option<Bytes> {
    use base64::{Engine, alphabet::STANDARD, engine};
    const LENIENT: engine::GeneralPurpose = engine::GeneralPurpose::new(
        &STANDARD,
        engine::GeneralPurposeConfig::new().with_decode_padding_mode(engine::DecodePaddingMode::Indifferent),
    );
    LENIENT.decode(value.as_bytes()).ok().map(Bytes::from)
}

fn cache_key(kind: u8, text: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&[kind]);
    context.update(text);
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}
