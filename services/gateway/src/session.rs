//! Who asks. A session's token comes as bearer or in a cookie; identity turns it into a principal of a minute, which is
//! kept, by the token's SHA-256, until ten seconds before its end or until a revocation voids it.
//!
//! The gateway decides nothing by roles: it only hands the principal on. Cookies come by themselves with requests that
//! other pages cause, so that every change by cookie must prove where it comes from.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use lethe_access::{Access, Principal, PrincipalToken, Revocation, Revoked};
use lethe_ambient::Clock;
use lethe_ids::TenantId;
use lethe_proto::identity::{AuthenticateRequest, identity_service_client::IdentityServiceClient};
use lethe_service::{CallContext, Failure, Peers};
use moka::future::Cache;
use tokio::time::{Instant, timeout_at};
use tonic::Code;

use crate::{
    App, cookie,
    edge::address::{Client, Peer},
    problem::Problem,
    rate::Left,
};

/// A principal with less time left is fetched anew.
const MARGIN_MS: i64 = 10_000;
/// How long a session that is known already waits for identity's word.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest token that is looked at; ours have 82 characters.
const LONGEST_TOKEN: usize = 128;

/// A session that was authenticated.
#[derive(Debug)]
pub(crate) struct Session {
    /// Who acts, verified.
    pub(crate) principal: Principal,
    token: PrincipalToken,
    /// What it is kept under.
    key: [u8; 32],
}

/// The sessions in use.
pub(crate) struct Sessions {
    known: Cache<[u8; 32], Arc<Session>>,
    access: Access,
    peers: Peers,
    clock: Clock,
}

impl Sessions {
    /// Keeps `most` of them.
    pub(crate) fn new(most: u64, access: Access, peers: Peers, clock: Clock) -> Self {
        let known = Cache::builder().max_capacity(most).time_to_live(Duration::from_secs(60)).build();
        Self { known, access, peers, clock }
    }

    /// The session that has this token. `on_miss` may refuse to ask identity.
    async fn identify(
        &self,
        token: &str,
        context: &CallContext,
        on_miss: impl FnOnce() -> Result<(), Problem>,
    ) -> Result<Arc<Session>, Problem> {
        if !token.starts_with("lth_s_") || token.len() > LONGEST_TOKEN {
            on_miss()?;
            return Err(invalid());
        }
        let key = key_of(token);
        let known = self.known.get(&key).await.filter(|session| self.stands(session));
        let left_ms =
            known.as_ref().map_or(0, |session| session.principal.expires_at_ms - self.clock.millis());
        let is_fresh = self.access.revocations().is_fresh(Instant::now());
        if let Some(session) = known.as_ref().filter(|_| is_fresh && left_ms > MARGIN_MS) {
            return Ok(session.clone());
        }
        on_miss()?;
        self.known.invalidate(&key).await;
        // Who is known already does not wait long for an identity that hangs.
        let context = if known.is_some() { context.clone().within(PATIENCE) } else { context.clone() };
        let asked = self.known.try_get_with(key, self.ask(token, key, &context)).await;
        match (asked, known) {
            (Ok(session), _) => Ok(session),
            // Identity is away: who was known goes on until the principal ends. What may not, the services refuse.
            (Err(failure), Some(session)) if is_away(failure.code) && left_ms > 0 => {
                self.known.insert(key, session.clone()).await;
                Ok(session)
            }
            (Err(failure), _) => Err(Failure::clone(&failure).into()),
        }
    }

    async fn ask(&self, token: &str, key: [u8; 32], context: &CallContext) -> Result<Arc<Session>, Failure> {
        let mut identity = IdentityServiceClient::new(self.peers.client("identity", context));
        let request = AuthenticateRequest { token: token.to_owned() };
        let deadline = context.deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
        let answer = timeout_at(deadline, identity.authenticate(request))
            .await
            .map_err(|_| Failure::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "took too long"))?
            .map_err(|status| Failure::from_status(&status))?;
        let token = PrincipalToken::from_bytes(&answer.into_inner().principal);
        let principal = self.access.verify_principal(&token).await.map_err(Failure::internal)?;
        Ok(Arc::new(Session { principal, token, key }))
    }

    fn stands(&self, session: &Session) -> bool {
        !self.access.revocations().is_void(&session.principal)
    }

    /// Forgets a session whose principal says less than it may do now.
    pub(crate) async fn refresh(&self, session: &Session) {
        self.known.invalidate(&session.key).await;
    }

    /// Voids at once, here, what identity has just been told to change; the feed tells everybody else. Identity is asked
    /// again for whoever is concerned, and knows what still stands.
    pub(crate) fn revoked(&self, tenant: TenantId, what: Revoked) {
        let revocation = Revocation { tenant, what, revoked_at_ms: self.clock.millis() };
        self.access.revocations().apply(&[revocation], Instant::now());
    }
}

fn key_of(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

fn is_away(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted)
}

fn invalid() -> Problem {
    Problem::unauthenticated("SESSION_INVALID", "the session is not valid; log in again")
}

/// The layer before everything that a member does.
pub(crate) async fn authenticate(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let (session, left) = match admit(&app, &parts).await {
        Ok(admitted) => admitted,
        Err(problem) => return problem.into_response(),
    };
    if let Some(context) = parts.extensions.get_mut::<CallContext>() {
        context.principal = Some(session.token.clone());
    }
    parts.extensions.insert(session.clone());
    let mut response = next.run(Request::from_parts(parts, body)).await;
    left.put(response.headers_mut());
    let code = response.extensions().get::<Problem>().map(Problem::code);
    if matches!(code, Some("SESSION_REVOKED" | "SESSION_INVALID")) {
        app.sessions().refresh(&session).await;
    }
    response
}

async fn admit(app: &App, parts: &Parts) -> Result<(Arc<Session>, Left), Problem> {
    let Parts { method, headers, extensions, .. } = parts;
    let client = *extensions.get::<Client>().ok_or_else(|| Problem::internal("the edge is missing"))?;
    let context = extensions.get::<CallContext>().ok_or_else(|| Problem::internal("the edge is missing"))?;
    let now = Instant::now();
    let on_miss = || app.windows().address.take(client.household(), now).map(|_| ());
    let Some(given) = credential(headers)? else {
        on_miss()?;
        return Err(Problem::unauthenticated("SESSION_MISSING", "log in first"));
    };
    if matches!(given, Given::Cookie(_)) && !method.is_safe() {
        cookie::check_origin(headers, extensions.get::<Peer>().copied(), &app.config().origins)?;
    }
    let session = app.sessions().identify(given.token(), context, on_miss).await?;
    let principal = &session.principal;
    let left = app.windows().session.take(principal.actor(), now)?;
    let left = left.tighter_of(app.windows().tenant.take(principal.tenant, now)?);
    Ok((session, left))
}

/// How a token came.
enum Given<'a> {
    Bearer(&'a str),
    Cookie(&'a str),
}

impl<'a> Given<'a> {
    fn token(&self) -> &'a str {
        match self {
            Self::Bearer(token) | Self::Cookie(token) => token,
        }
    }
}

/// The bearer's token, or else the cookie's.
fn credential(headers: &HeaderMap) -> Result<Option<Given<'_>>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(cookie::token(headers).map(Given::Cookie)) };
    let bearer = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match bearer {
        Some(token) if values.next().is_none() => Ok(Some(Given::Bearer(token))),
        _ => Err(Problem::unauthenticated("SESSION_INVALID", "must be one bearer token").at("Authorization")),
    }
}

/// What a handler of a member's request has at hand.
pub(crate) struct Acting {
    pub(crate) app: App,
    pub(crate) session: Arc<Session>,
    pub(crate) context: CallContext,
}

impl FromRequestParts<App> for Acting {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let session = parts.extensions.get::<Arc<Session>>().cloned();
        let context = parts.extensions.get::<CallContext>().cloned();
        match (session, context) {
            (Some(session), Some(context)) => Ok(Self { app: app.clone(), session, context }),
            _ => Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "INTERNAL",
                "the route stands before the authentication",
            )),
        }
    }
}
