//! Sessions: log in, log out, see them, end them.

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use lethe_access::Revoked;
use lethe_ids::{MemberId, SessionId};
use lethe_proto::identity::{
    self as proto, ListSessionsRequest, LogInRequest, LogOutRequest, RevokeSessionRequest,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::{Anyone, members::Member};
use crate::{
    App,
    body::{Json, NoBody, Reply},
    cookie,
    edge::address::Peer,
    json::{PageLimit, Text, instant, present},
    path::Id,
    problem::Problem,
    query::Query,
    rate::Left,
    session::Acting,
};

/// The longest User-Agent that is handed on, in characters.
const LONGEST_USER_AGENT: usize = 512;

/// Who wants to log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tenant": "acme", "email": "ada@acme.example", "password": "correct horse battery"}))]
pub(crate) struct LogIn {
    /// The tenant's slug.
    #[schema(value_type = String)]
    tenant: Text,
    /// The member's e-mail address.
    #[schema(value_type = String)]
    email: Text,
    /// The member's password.
    #[schema(value_type = String, format = Password)]
    password: Text,
}

/// A new session.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    /// For `Authorization: Bearer`. Shown once; the cookie holds the same.
    #[schema(example = "lth_s_01998f2ac3e47b0f8a5d2f60b1c9e7aa_9jN1…")]
    token: String,
    session: Session,
    member: Member,
    /// The password was a one-time one: until it is changed (`PUT /v1/self/password`) hardly anything is allowed.
    must_change_password: bool,
}

/// A member's session.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    #[schema(example = "ses_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    session_id: String,
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    member_id: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Option<String>,
    /// By the User-Agent at log-in.
    #[schema(example = "Firefox")]
    browser: Option<String>,
    #[schema(example = "Linux")]
    os: Option<String>,
    /// The session that asks.
    current: bool,
}

impl From<proto::Session> for Session {
    fn from(session: proto::Session) -> Self {
        Self {
            session_id: session.session_id,
            member_id: session.member_id,
            created_at: instant(session.created_at),
            last_seen_at: instant(session.last_seen_at),
            expires_at: instant(session.expires_at),
            browser: present(session.browser),
            os: present(session.os),
            current: session.current,
        }
    }
}

/// Somebody who wants to log in, counted by address before the body is read: slow ones would else hold places without a limit.
pub(crate) struct Knocking(Anyone, Left);

impl FromRequestParts<App> for Knocking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let anyone = Anyone::from_request_parts(parts, app).await?;
        let left = app.windows().log_in_address.take(anyone.client.household(), Instant::now())?;
        Ok(Self(anyone, left))
    }
}

/// Logs in: e-mail address and password become a session.
///
/// The token comes in the body and in an `HttpOnly` cookie. Unknown tenants, members and wrong passwords answer alike.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions",
    responses((status = 201, body = LoggedIn, headers(("Set-Cookie" = String, description = "The session's cookie: HttpOnly, Secure, SameSite=Strict.")))),
    extensions(("x-lethe-rpc" = json!("LogIn"))))]
pub(crate) async fn log_in(
    Knocking(anyone, left): Knocking,
    headers: HeaderMap,
    Json(body): Json<LogIn>,
) -> Result<Response, Problem> {
    let Anyone { app, context, client, peer } = anyone;
    cookie::check_log_in(&headers, peer, &app.config().origins)?;
    let (tenant, email) = (body.tenant.0, body.email.0);
    // By address too: others' guesses do not keep a member out.
    let member = (tenant.trim().to_lowercase(), email.trim().to_lowercase(), client.household());
    let left = left.tighter_of(app.windows().log_in_member.take(member, Instant::now())?);
    let user_agent = headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let request = LogInRequest {
        tenant_slug: tenant,
        email,
        password: body.password.0,
        ip: client.0.to_string(),
        user_agent: user_agent.unwrap_or_default().chars().take(LONGEST_USER_AGENT).collect(),
    };
    let answer = app.identity(&context).log_in(request).await?.into_inner();
    let (Some(session), Some(member)) = (answer.session, answer.member) else {
        return Err(Problem::internal("identity logged in without a session or a member"));
    };
    let location = format_args!("/v1/sessions/{}", session.session_id).to_string();
    let cookie = cookie::set(&answer.token, peer, &headers);
    let body = LoggedIn {
        token: answer.token,
        session: session.into(),
        member: member.into(),
        must_change_password: answer.must_change_password,
    };
    let mut response = Reply::created(body, location).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    left.put(response.headers_mut());
    Ok(response)
}

/// Logs out: ends the session that asks.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "sessions",
    responses((status = 204, description = "The session has ended.")),
    extensions(("x-lethe-rpc" = json!("LogOut"))))]
pub(crate) async fn log_out(
    acting: Acting,
    peer: Option<axum::Extension<Peer>>,
    headers: HeaderMap,
    _body: NoBody,
) -> Result<Response, Problem> {
    acting.identity().log_out(LogOutRequest {}).await?;
    let principal = &acting.session.principal;
    if let Some(session) = principal.session() {
        acting.app.sessions().revoked(principal.tenant, Revoked::Session(session));
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = cookie::clear(peer.map(|peer| peer.0), &headers) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Whose sessions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhoseSessions {
    /// Another member's, for those who manage members; absent: one's own.
    #[param(value_type = Option<String>, example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    member_id: Option<MemberId>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// A page of sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionPage {
    sessions: Vec<Session>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the sessions of a member.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", params(WhoseSessions),
    responses((status = 200, body = SessionPage)),
    extensions(("x-lethe-rpc" = json!("ListSessions"))))]
pub(crate) async fn list_sessions(
    acting: Acting,
    Query(query): Query<WhoseSessions>,
) -> Result<Reply<SessionPage>, Problem> {
    let member_id = query.member_id.map(|member| member.to_string()).unwrap_or_default();
    let list = acting.list("ListSessions", &member_id);
    let page = list.page(query.limit, query.after.as_ref().map(|after| after.0.as_str()))?;
    let request = ListSessionsRequest { member_id: member_id.clone(), page };
    let answer = acting.identity().list_sessions(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(SessionPage { sessions: answer.sessions.into_iter().map(Session::from).collect(), next }))
}

/// Ends a session, at once and everywhere.
///
/// One's own; another member's for those who manage members.
#[utoipa::path(delete, path = "/v1/sessions/{session_id}", tag = "sessions",
    params(("session_id" = String, Path, description = "The session's id.", example = "ses_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 204, description = "The session has ended.")),
    extensions(("x-lethe-rpc" = json!("RevokeSession"))))]
pub(crate) async fn revoke_session(
    acting: Acting,
    Id(session): Id<SessionId>,
    _body: NoBody,
) -> Result<StatusCode, Problem> {
    acting.identity().revoke_session(RevokeSessionRequest { session_id: session.to_string() }).await?;
    acting.app.sessions().revoked(acting.session.principal.tenant, Revoked::Session(session));
    Ok(StatusCode::NO_CONTENT)
}
