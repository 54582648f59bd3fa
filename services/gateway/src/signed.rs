//! Requests that a program signs with its API key (RFC 9421). The first one of a key goes to identity, which answers a principal
//! of a minute and the means to verify the key's next ones; from then on the gateway verifies by itself, until ten
//! seconds before the principal's end or until a revocation voids it.
//!
//! A signature that is sent again does nothing a second time, here or at another gateway: `routes.rs` knows what sees
//! to it, and where nothing else does, identity takes the signature.

use std::{sync::Arc, time::Duration};

use axum::extract::MatchedPath;
use bytes::Bytes;
use http::{HeaderMap, header, request::Parts, uri::Authority};
use lethe_access::{
    Actor, Principal, PrincipalToken,
    signature::{self, Fault, IDEMPOTENCY_KEY, SIGNATURE, SIGNATURE_INPUT, Signable, Signature},
};
use lethe_proto::identity::{
    AuthenticateSignatureRequest, UseSignatureRequest, api_key_service_client::ApiKeyServiceClient,
};
use lethe_service::{CallContext, Failure};
use tokio::time::{Instant, timeout_at};
use tonic::Code;
use zeroize::Zeroizing;

use crate::{
    App,
    edge::address::{Peer, is_plain_loopback},
    problem::Problem,
    routes::{Again, Route},
    session::{MARGIN_MS, PATIENCE, Session, Sessions, is_away, key_of},
};

/// What a session of a key has beside its principal. Wiped with the last who holds it.
pub(crate) struct Signing {
    secret: Zeroizing<[u8; 32]>,
    /// The key's own limit; 0: none.
    pub(crate) requests_per_minute: u32,
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::unauthenticated(fault.code(), fault.to_string()).at(fault.header())
    }
}

/// Whether the request is signed, or claims to be.
pub(crate) fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key(SIGNATURE) || headers.contains_key(SIGNATURE_INPUT)
}

/// Reads the signature and verifies it. `on_miss` counts what is not known to be a key's, and may refuse it.
///
/// # Errors
/// 401 that says which rule is broken; 429; 503.
pub(crate) async fn identify(
    app: &App,
    parts: &Parts,
    route: Option<Route>,
    context: &CallContext,
    on_miss: impl Fn() -> Result<(), Problem>,
) -> Result<(Arc<Session>, Signature), Problem> {
    let read = || {
        let headers = &parts.headers;
        if headers.contains_key(header::AUTHORIZATION) {
            return Err(Fault::Ambiguous);
        }
        let authority = authority(parts).ok_or(Fault::Component)?;
        if !app.config().authorities.is_empty() && !app.config().authorities.contains(&authority) {
            return Err(Fault::Authority);
        }
        let plain = is_plain_loopback(parts.extensions.get::<Peer>().copied(), headers);
        let scheme = if plain { "http" } else { "https" };
        let authority = bare(&authority, if plain { ":80" } else { ":443" });
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let target_uri = format!("{scheme}://{authority}{path}");
        let signature = Signature::read(&Signable {
            method: parts.method.as_str(),
            authority,
            target_uri: &target_uri,
            headers,
        })?;
        signature.check_time(app.clock().millis())?;
        let reads = parts.method.is_safe() || route.is_some_and(|route| route.again == Again::Reads);
        if !reads && !headers.contains_key(IDEMPOTENCY_KEY) {
            return Err(Fault::NonceRequired);
        }
        Ok(signature)
    };
    let signature = match read() {
        Ok(signature) => signature,
        Err(fault) => {
            on_miss()?;
            return Err(fault.into());
        }
    };
    let session = app.sessions().of_signature(&signature, context, on_miss).await?;
    Ok((session, signature))
}

/// The host that the request is for, in lower case: HTTP/2's `:authority`, or `Host`.
fn authority(parts: &Parts) -> Option<String> {
    let given = parts.uri.authority().map(Authority::as_str);
    let host = || parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    given.or_else(host).filter(|text| !text.is_empty() && !text.contains('@')).map(str::to_ascii_lowercase)
}

fn bare<'a>(authority: &'a str, default_port: &str) -> &'a str {
    authority.strip_suffix(default_port).unwrap_or(authority)
}

/// Takes the signature for this one change, where nothing else keeps it from being done twice.
///
/// # Errors
/// 401 `SIGNATURE_REPLAYED`; 503 when identity is away.
pub(crate) async fn take(
    app: &App,
    route: Option<Route>,
    principal: &Principal,
    signature: &Signature,
    context: &CallContext,
) -> Result<(), Problem> {
    let Actor::ApiKey(key) = principal.actor() else { return Ok(()) };
    if route.is_none_or(|route| route.again != Again::Signature) {
        return Ok(());
    }
    let request = UseSignatureRequest {
        tenant_id: principal.tenant.to_string(),
        api_key_id: key.to_string(),
        signature: Bytes::copy_from_slice(&signature.mac),
    };
    let answer = app.api_keys(&context.clone().without_principal()).use_signature(request).await?;
    if answer.into_inner().fresh {
        return Ok(());
    }
    Err(Problem::unauthenticated(
        "SIGNATURE_REPLAYED",
        "this signature was used already: sign each change anew",
    )
    .at("Signature"))
}

/// The route that a request came by.
pub(crate) fn route(app: &App, parts: &Parts) -> Option<Route> {
    let template = parts.extensions.get::<MatchedPath>()?;
    app.routes().get(&parts.method, template.as_str())
}

impl Sessions {
    /// The session of the key that made this signature.
    async fn of_signature(
        &self,
        signature: &Signature,
        context: &CallContext,
        on_miss: impl Fn() -> Result<(), Problem>,
    ) -> Result<Arc<Session>, Problem> {
        let cache_key = key_of(&signature.keyid);
        let known = self.known(&cache_key).await;
        let left_ms =
            known.as_ref().map_or(0, |session| session.principal.expires_at_ms - self.clock().millis());
        let is_fresh = self.is_fresh();
        if let Some(session) = known.as_ref().filter(|_| is_fresh && left_ms > MARGIN_MS) {
            return match verify(session, signature) {
                Ok(()) => Ok(session.clone()),
                Err(fault) => {
                    on_miss()?;
                    Err(fault.into())
                }
            };
        }
        on_miss()?;
        let context = if known.is_some() { context.clone().within(PATIENCE) } else { context.clone() };
        // Not together with others who ask for the key: a forged signature must not fail those that are right.
        match (self.ask_for_key(signature, cache_key, &context).await, known) {
            (Ok(session), _) => {
                self.keep(cache_key, session.clone()).await;
                Ok(session)
            }
            // Identity is away: who was known goes on until the principal ends. What may not, the services refuse.
            (Err(failure), Some(session)) if is_away(failure.code) && left_ms > 0 => {
                verify(&session, signature)?;
                Ok(session)
            }
            (Err(failure), _) => Err(failure.into()),
        }
    }

    async fn ask_for_key(
        &self,
        signature: &Signature,
        cache_key: [u8; 32],
        context: &CallContext,
    ) -> Result<Arc<Session>, Failure> {
        let mut identity = ApiKeyServiceClient::new(self.peers().client("identity", context));
        let request = AuthenticateSignatureRequest {
            keyid: signature.keyid.clone(),
            base: signature.base.clone(),
            signature: Bytes::copy_from_slice(&signature.mac),
        };
        let deadline = context.deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(5));
        let answer = timeout_at(deadline, identity.authenticate_signature(request))
            .await
            .map_err(|_| Failure::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "took too long"))?
            .map_err(|status| Failure::from_status(&status))?
            .into_inner();
        let token = PrincipalToken::from_bytes(&answer.principal);
        let principal = self.access().verify_principal(&token).await.map_err(Failure::internal)?;
        let mut secret = Zeroizing::new([0; 32]);
        if answer.secret.len() != secret.len() {
            return Err(Failure::internal("identity answered no key"));
        }
        secret.copy_from_slice(&answer.secret);
        let signing = Signing { secret, requests_per_minute: answer.requests_per_minute };
        Ok(Arc::new(Session::new(principal, token, cache_key, answer.plan, Some(signing))))
    }
}

fn verify(session: &Session, signature: &Signature) -> Result<(), Fault> {
    match &session.signing {
        Some(signing) => signature::verify(&*signing.secret, &signature.base, &signature.mac),
        None => Err(Fault::KeyUnknown),
    }
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signing")
    }
}
