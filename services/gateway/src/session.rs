//! Who asks. A program signs its requests (`signed.rs`); a session's token comes as bearer or in a cookie. Identity turns it into a principal of a minute, which is
//! kept, by the token's SHA-256, until ten seconds before its end or until a revocation voids it.
//!
//! The gateway decides nothing by roles: it only hands the principal on, and sends a member with a one-time password away
//! before it reads what he wants; the services refuse him too. Cookies come by themselves with requests that
//! other pages cause, so that every change by cookie must prove where it comes from.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    body::Body,
    extract::{FromRequestParts, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use lethe_access::{
    Access, Actor, Denied, Principal, PrincipalToken, Revocation, Revoked,
    signature::{self, Signature},
};
use lethe_ambient::Clock;
use lethe_ids::TenantId;
use lethe_proto::identity::{AuthenticateRequest, identity_service_client::IdentityServiceClient};
use lethe_service::{CallContext, Failure, Peers};
use moka::future::Cache;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status};

use crate::{
    App, body, cookie,
    edge::address::{Client, Peer},
    operator,
    problem::Problem,
    rate::{Left, Rate},
    request_log::Noted,
    signed::{self, Signing},
};

/// A principal with less time left is fetched anew.
pub(crate) const MARGIN_MS: i64 = 10_000;
/// How long a session that is known already waits for identity's word.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);
/// The longest token that is looked at; ours have 82 characters.
const LONGEST_TOKEN: usize = 128;

/// Somebody who was authenticated: by a session, or by a key that signs.
#[derive(Debug)]
pub(crate) struct Session {
    /// Who acts, verified.
    pub(crate) principal: Principal,
    /// With what the next signatures of the key are verified; none for a member.
    pub(crate) signing: Option<Signing>,
    /// The tenant's plan.
    plan: String,
    token: PrincipalToken,
    /// What it is kept under.
    key: [u8; 32],
}

impl Session {
    /// Of these parts.
    pub(crate) fn new(
        principal: Principal,
        token: PrincipalToken,
        key: [u8; 32],
        plan: String,
        signing: Option<Signing>,
    ) -> Self {
        Self { principal, signing, plan, token, key }
    }
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
        on_miss: impl Fn() -> Result<(), Problem>,
    ) -> Result<Arc<Session>, Problem> {
        if !token.starts_with("lth_s_") || token.len() > LONGEST_TOKEN {
            on_miss()?;
            return Err(invalid());
        }
        let key = key_of(token);
        let known = self.known(&key).await;
        let left_ms =
            known.as_ref().map_or(0, |session| session.principal.expires_at_ms - self.clock.millis());
        let is_fresh = self.is_fresh();
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
        let answer = answer.into_inner();
        let token = PrincipalToken::from_bytes(&answer.principal);
        let principal = self.access.verify_principal(&token).await.map_err(Failure::internal)?;
        Ok(Arc::new(Session::new(principal, token, key, answer.plan, None)))
    }

    /// What is kept under this, and stands.
    pub(crate) async fn known(&self, key: &[u8; 32]) -> Option<Arc<Session>> {
        self.known.get(key).await.filter(|session| self.stands(session))
    }

    /// Keeps somebody.
    pub(crate) async fn keep(&self, key: [u8; 32], session: Arc<Session>) {
        self.known.insert(key, session).await;
    }

    /// Whether revocations are heard.
    pub(crate) fn is_fresh(&self) -> bool {
        self.access.revocations().is_fresh(Instant::now())
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }
    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
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

pub(crate) fn key_of(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

pub(crate) fn is_away(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted)
}

fn invalid() -> Problem {
    Problem::unauthenticated("SESSION_INVALID", "the session is not valid; log in again")
}

/// The layer before everything that a member or a program does.
pub(crate) async fn authenticate(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let who = match identify(&app, &parts).await {
        Ok(who) => who,
        Err(problem) => return problem.into_response(),
    };
    let noted = note(&app, &parts, &who.session);
    let response = match admit(&app, parts, body, &who).await {
        Ok((request, left)) => {
            let mut response = next.run(request).await;
            left.put(response.headers_mut());
            response
        }
        Err(problem) => problem.into_response(),
    };
    if let Some(noted) = noted {
        noted.answered(response.status().as_u16());
    }
    let code = response.extensions().get::<Problem>().map(Problem::code);
    if matches!(code, Some("SESSION_REVOKED" | "SESSION_INVALID")) {
        app.sessions().refresh(&who.session).await;
    }
    response
}

/// Who asks, and by which signature if by one.
struct Identified {
    session: Arc<Session>,
    signature: Option<Signature>,
}

async fn identify(app: &App, parts: &Parts) -> Result<Identified, Problem> {
    let Parts { method, headers, extensions, .. } = parts;
    let client = *extensions.get::<Client>().ok_or_else(|| Problem::internal("the edge is missing"))?;
    let context = extensions.get::<CallContext>().ok_or_else(|| Problem::internal("the edge is missing"))?;
    let now = Instant::now();
    let on_miss = || app.windows().address.take(client.household(), now).map(|_| ());
    if signed::is_signed(headers) {
        let route = signed::route(app, parts);
        let (session, signature) = signed::identify(app, parts, route, context, on_miss).await?;
        return Ok(Identified { session, signature: Some(signature) });
    }
    let peer = extensions.get::<Peer>().copied();
    let Some(given) = credential(headers, peer)? else {
        on_miss()?;
        return Err(Problem::unauthenticated("SESSION_MISSING", "log in first"));
    };
    if matches!(given, Given::Cookie(_)) && !method.is_safe() {
        cookie::check_origin(headers, peer, &app.config().origins)?;
    }
    let session = app.sessions().identify(given.token(), context, on_miss).await?;
    Ok(Identified { session, signature: None })
}

/// Lets the request in as far as limits allow, and a signed one when its body is the one that was signed and it does not
/// come again.
async fn admit(
    app: &App,
    mut parts: Parts,
    mut body: Body,
    Identified { session, signature }: &Identified,
) -> Result<(Request, Left), Problem> {
    let (principal, windows, now) = (&session.principal, app.windows(), Instant::now());
    let plan = app.config().rates.plan(&session.plan);
    let left = match principal.actor() {
        Actor::Member(member) => windows.member.take_of(member, plan.member, now)?,
        Actor::ApiKey(key) => {
            let own = session.signing.as_ref().map_or(0, |signing| signing.requests_per_minute);
            let own = (own > 0).then_some(Rate { requests: own, per_s: 60 });
            windows.api_key.take_of(key, own.or(plan.api_key), now)?
        }
        Actor::Operator(access) => windows.member.take_of(access, plan.member, now)?,
    };
    let left = left.tighter_of(windows.tenant.take_of(principal.tenant, plan.tenant, now)?);
    if principal.must_change_password()
        && !signed::route(app, &parts).is_some_and(|route| route.rpc.before_password_change)
    {
        return Err(Status::from(Denied::PASSWORD_CHANGE_REQUIRED).into());
    }
    if let Actor::Operator(access) = principal.actor() {
        operator::record(app, &parts, principal.tenant, access).await?;
    }
    if let Some(signature) = signature {
        let bytes = body::collect(&parts.headers, body, app.body_limit(), app).await?;
        signature::check_digest(&parts.headers, &bytes)?;
        if let Some(context) = parts.extensions.get::<CallContext>() {
            signed::take(app, signed::route(app, &parts), principal, signature, context).await?;
        }
        body = Body::from(bytes);
    }
    if let Some(context) = parts.extensions.get_mut::<CallContext>() {
        context.principal = Some(session.token.clone());
    }
    parts.extensions.insert(session.clone());
    Ok((Request::from_parts(parts, body), left))
}

/// A line of the log of requests, for a key.
fn note(app: &App, parts: &Parts, session: &Session) -> Option<Noted> {
    let Actor::ApiKey(key) = session.principal.actor() else { return None };
    let context = parts.extensions.get::<CallContext>()?;
    let template = parts.extensions.get::<MatchedPath>()?.as_str();
    let rpc = signed::route(app, parts).map_or("", |route| route.rpc.rpc);
    let what = (parts.method.as_str(), template, rpc);
    Some(app.request_log().begin((session.principal.tenant, key), what, &context.request_id))
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
fn credential(headers: &HeaderMap, peer: Option<Peer>) -> Result<Option<Given<'_>>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(cookie::token(headers, peer).map(Given::Cookie)) };
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
