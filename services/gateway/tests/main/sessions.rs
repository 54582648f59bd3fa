//! Who asks: tokens, cookies, the cache of principals and its end, and how often one may ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use lethe_access::{PRINCIPAL, PrincipalToken, Revocation, Revocations, Revoked, Role};
use lethe_gateway::{Peer, Rate};
use lethe_proto::identity;
use lethe_service::Failure;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{CONTACT, Edge, MEMBER, TOKEN, edge, edge_with, request, who};

fn contact() -> String {
    format!("/v1/contacts/{CONTACT}")
}

async fn get(edge: &Edge) -> u16 {
    edge.ask(Method::GET, &contact(), "").await.status.as_u16()
}

#[tokio::test]
async fn a_principal_is_kept_until_shortly_before_its_end() {
    let edge = edge().await;
    for _ in 0..3 {
        assert_eq!(get(&edge).await, 200);
    }
    assert_eq!(edge.behind.count("Authenticate"), 1);
    edge.clock.advance(Duration::from_secs(49));
    assert_eq!(get(&edge).await, 200);
    assert_eq!(edge.behind.count("Authenticate"), 1);
    edge.clock.advance(Duration::from_secs(1));
    assert_eq!(get(&edge).await, 200);
    assert_eq!(edge.behind.count("Authenticate"), 2, "ten seconds before the end it is fetched anew");
}

#[tokio::test]
async fn the_principal_that_is_handed_on_is_identitys() {
    let edge = edge().await;
    get(&edge).await;
    let handed = PrincipalToken::from_headers(&edge.behind.calls()[0].headers).expect("a principal");
    let principal = edge.access.of("messaging").verify_principal(&handed).await.expect("verified");
    assert_eq!(
        (
            principal.tenant,
            principal.actor().member().expect("a member"),
            principal.session().expect("a session")
        ),
        who()
    );
    // One that was not signed by identity is not even kept.
    let forged = edge.access.of("messaging").sign_principal(&principal).to_bytes();
    edge.behind
        .answers("Authenticate", identity::AuthenticateResponse { principal: forged, plan: String::new() });
    edge.clock.advance(Duration::from_secs(55));
    assert_eq!(get(&edge).await, 500);
}

#[tokio::test]
async fn a_revocation_ends_what_was_kept() {
    let (tenant, member, session) = who();
    for what in [Revoked::Session(session), Revoked::Member(member), Revoked::Tenant] {
        let edge = edge().await;
        assert_eq!(get(&edge).await, 200);
        edge.behind.fails("Authenticate", Failure::unauthenticated("SESSION_INVALID", "it has ended"));
        assert_eq!(get(&edge).await, 200, "still kept");
        edge.clock.advance(Duration::from_millis(1));
        let revocation = Revocation { tenant, what, revoked_at_ms: edge.clock.millis() };
        edge.revocations.apply(&[revocation], Instant::now());
        let answer = edge.ask(Method::GET, &contact(), "").await;
        assert_eq!(answer.problem(), (401, "SESSION_INVALID".to_owned(), None), "{what:?}");
        assert_eq!(edge.behind.count("GetContact"), 2);
    }
}

#[tokio::test]
async fn a_service_that_knows_of_a_revocation_first_ends_what_was_kept() {
    let edge = edge().await;
    edge.behind.fails("GetContact", Failure::unauthenticated("SESSION_REVOKED", "revoked"));
    assert_eq!(get(&edge).await, 401);
    get(&edge).await;
    assert_eq!(edge.behind.count("Authenticate"), 2);
}

#[tokio::test]
async fn revoking_here_works_here_at_once() {
    let (_, member, session) = who();
    for (method, path, body) in [
        (Method::DELETE, "/v1/sessions/current".to_owned(), ""),
        (Method::DELETE, format!("/v1/sessions/{session}"), ""),
        (Method::POST, format!("/v1/members/{member}/deactivate"), ""),
        (Method::POST, format!("/v1/members/{member}/reset-password"), ""),
        (Method::DELETE, format!("/v1/members/{member}/roles/admin"), ""),
        (Method::PUT, format!("/v1/members/{member}/roles/admin"), ""),
        (Method::PUT, "/v1/self/password".to_owned(), r#"{"current_password":"a","new_password":"b"}"#),
    ] {
        let edge = edge().await;
        assert_eq!(get(&edge).await, 200);
        edge.clock.advance(Duration::from_millis(1));
        let answer = edge.ask(method.clone(), &path, body).await;
        assert!(answer.status.is_success(), "{path} {answer:?}");
        let authenticated = edge.behind.count("Authenticate");
        get(&edge).await;
        assert_eq!(edge.behind.count("Authenticate"), authenticated + 1, "{method} {path}");
    }
}

#[tokio::test]
async fn while_revocations_are_silent_identity_is_asked_each_time_and_may_be_away() {
    let edge = edge().await;
    assert_eq!(get(&edge).await, 200);
    // The feed of this gateway falls silent: a new world of the same keys whose revocations were never heard.
    let silent = crate::support::edge_with_revocations(Revocations::new()).await;
    for _ in 0..3 {
        assert_eq!(get(&silent).await, 200);
    }
    assert_eq!(silent.behind.count("Authenticate"), 3);
    silent.behind.fails("Authenticate", Failure::unavailable("DATABASE_UNAVAILABLE", "away"));
    assert_eq!(get(&silent).await, 200, "whoever is known goes on");
    silent.clock.advance(Duration::from_secs(60));
    assert_eq!(get(&silent).await, 503, "until the principal ends");
}

#[tokio::test]
async fn credentials_that_are_none_are_refused() {
    let edge = edge().await;
    let long = format!("Bearer lth_s_{}", "x".repeat(200));
    for (value, asked) in [
        ("Bearer nonsense", 0),
        ("Basic bHRoX3M=", 0),
        ("Bearer", 0),
        (TOKEN, 0),
        (long.as_str(), 0),
        ("Bearer lth_s_00000000000000000000000000000009_unknown", 1),
    ] {
        let before = edge.behind.count("Authenticate");
        let mut request = request(Method::GET, &contact(), "");
        request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        let answer = edge.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().1.as_str()),
            (401, "SESSION_INVALID"),
            "{value}"
        );
        assert_eq!(edge.behind.count("Authenticate") - before, asked, "{value}");
    }
    let mut two = request(Method::GET, &contact(), "");
    two.headers_mut().append(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    assert_eq!(edge.send(two).await.status, 401);
    assert!(edge.behind.calls().is_empty());
}

/// A request with the session in a cookie.
fn by_cookie(method: Method, path: &str, headers: &[(&'static str, &'static str)]) -> Request<Body> {
    let mut request = request(method, path, "");
    request.headers_mut().remove(header::AUTHORIZATION);
    let cookie = format!("theme=dark; __Host-lethe_session={TOKEN}");
    request.headers_mut().insert(header::COOKIE, HeaderValue::from_str(&cookie).unwrap());
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    request
}

#[tokio::test]
async fn changes_by_cookie_must_come_from_a_page_of_ours() {
    let edge = edge_with(|config| config.origins = vec!["https://inbox.example.com".to_owned()]).await;
    let ours = [("origin", "https://api.example.com"), ("sec-fetch-site", "same-origin")];
    assert_eq!(
        edge.send(by_cookie(Method::GET, &contact(), &[])).await.status,
        200,
        "reading changes nothing"
    );
    let opt_out = format!("{}/opt-out", contact());
    assert_eq!(edge.send(by_cookie(Method::PUT, &opt_out, &ours)).await.status, 200);
    let friend = [("origin", "https://inbox.example.com"), ("sec-fetch-site", "same-site")];
    assert_eq!(edge.send(by_cookie(Method::PUT, &opt_out, &friend)).await.status, 200);
    let before = edge.behind.calls().len();
    for headers in [
        &[][..],
        &ours[..1],
        &ours[1..],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "https://api.example.com"), ("sec-fetch-site", "cross-site")],
        &[("origin", "null"), ("sec-fetch-site", "same-origin")],
        &[("origin", "https://api.example.com.evil.example"), ("sec-fetch-site", "same-origin")],
    ] {
        for method in [Method::PUT, Method::DELETE] {
            let answer = edge.send(by_cookie(method, &opt_out, headers)).await;
            assert_eq!(
                (answer.status.as_u16(), answer.problem().1.as_str()),
                (403, "ORIGIN_REFUSED"),
                "{headers:?}"
            );
        }
    }
    assert_eq!(edge.behind.calls().len(), before);
}

fn log_in(peer: &str, host: &'static str) -> Request<Body> {
    let body = json!({"tenant": "acme", "email": "ada@acme.example", "password": "correct horse battery"})
        .to_string();
    let mut request = request(Method::POST, "/v1/sessions", &body);
    request.headers_mut().remove(header::AUTHORIZATION);
    request.headers_mut().insert(header::HOST, HeaderValue::from_static(host));
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("Firefox"));
    request.extensions_mut().insert(Peer::plain(peer.parse().unwrap()));
    request
}

fn logs_in(edge: &Edge) {
    edge.behind.answers(
        "LogIn",
        identity::LogInResponse {
            token: TOKEN.to_owned(),
            session: Some(identity::Session {
                session_id: who().2.to_string(),
                current: true,
                ..Default::default()
            }),
            member: Some(identity::Member { member_id: MEMBER.to_owned(), ..Default::default() }),
            must_change_password: true,
        },
    );
}

#[tokio::test]
async fn a_log_in_answers_a_token_and_a_cookie() {
    let edge = edge_with(|config| config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]).await;
    logs_in(&edge);
    let mut request = log_in("10.0.0.9:1", "api.example.com");
    request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("198.51.100.3"));
    let answer = edge.send(request).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some(format!("/v1/sessions/{}", who().2).as_str()));
    let cookie = format!("__Host-lethe_session={TOKEN}; Path=/; HttpOnly; SameSite=Strict; Secure");
    assert_eq!(answer.header("set-cookie"), Some(cookie.as_str()));
    let json = answer.json();
    assert_eq!((&json["token"], &json["must_change_password"]), (&json!(TOKEN), &json!(true)));
    let call = &edge.behind.calls()[0];
    assert!(!call.headers.contains_key(PRINCIPAL));
    let sent: identity::LogInRequest = call.read();
    assert_eq!(
        sent,
        identity::LogInRequest {
            tenant_slug: "acme".to_owned(),
            email: "ada@acme.example".to_owned(),
            password: "correct horse battery".to_owned(),
            ip: "198.51.100.3".to_owned(),
            user_agent: "Firefox".to_owned(),
        }
    );
    let local = edge.send(log_in("127.0.0.1:1", "127.0.0.1:8080")).await;
    let cookie = format!("lethe_session={TOKEN}; Path=/; HttpOnly; SameSite=Strict");
    assert_eq!(local.header("set-cookie"), Some(cookie.as_str()));
}

#[tokio::test]
async fn a_page_of_elsewhere_cannot_log_anybody_in() {
    let edge = edge().await;
    logs_in(&edge);
    let mut request = log_in("203.0.113.7:1", "api.example.com");
    request.headers_mut().insert("origin", HeaderValue::from_static("https://evil.example"));
    request.headers_mut().insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
    assert_eq!(edge.send(request).await.problem().1, "ORIGIN_REFUSED");
    assert_eq!(edge.behind.count("LogIn"), 0);
}

#[tokio::test]
async fn logging_out_takes_the_cookie_away() {
    let edge = edge().await;
    let headers = [("origin", "https://api.example.com"), ("sec-fetch-site", "same-origin")];
    let answer = edge.send(by_cookie(Method::DELETE, "/v1/sessions/current", &headers)).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    let cookie = "__Host-lethe_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0; Secure";
    assert_eq!(answer.header("set-cookie"), Some(cookie));
}

#[tokio::test]
async fn how_often_is_limited_by_session_member_and_address() {
    let edge = edge_with(|config| {
        config.rates.member = Rate { requests: 3, per_s: 60 };
        config.rates.log_in_member = Rate { requests: 2, per_s: 60 };
        config.rates.log_in_address = Rate { requests: 3, per_s: 60 };
        config.rates.address = Rate { requests: 2, per_s: 60 };
    })
    .await;
    let first = edge.ask(Method::GET, &contact(), "").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"member\";q=3;w=60"));
    assert_eq!(first.header("ratelimit"), Some("\"member\";r=2;t=20"));
    assert_eq!((get(&edge).await, get(&edge).await), (200, 200));
    let refused = edge.ask(Method::GET, &contact(), "").await;
    assert_eq!(refused.problem(), (429, "RATE_LIMITED".to_owned(), None));
    assert_eq!(refused.header("retry-after"), Some("20"));
    assert!(refused.header("ratelimit").unwrap().starts_with("\"member\";r=0;"));
    assert_eq!(edge.behind.count("GetContact"), 3);

    logs_in(&edge);
    let host = "api.example.com";
    assert_eq!(edge.send(log_in("203.0.113.1:1", host)).await.status, 201);
    assert_eq!(edge.send(log_in("203.0.113.1:2", host)).await.status, 201);
    let third = edge.send(log_in("203.0.113.1:3", host)).await;
    assert_eq!(third.status, 429, "one member");
    assert!(third.header("ratelimit-policy").unwrap().starts_with("\"log_in_member\""));
    assert_eq!(edge.send(log_in("203.0.113.2:1", host)).await.status, 201, "others lock nobody out");
    // The address counts before the body is read.
    let mut endless = log_in("203.0.113.1:4", host);
    *endless.body_mut() = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let refused = tokio::time::timeout(Duration::from_secs(1), edge.send(endless)).await.unwrap();
    assert_eq!(refused.status, 429);
    assert!(refused.header("ratelimit-policy").unwrap().starts_with("\"log_in_address\""));

    let stranger = || {
        let mut request = request(Method::GET, &contact(), "");
        request.headers_mut().remove(header::AUTHORIZATION);
        request.extensions_mut().insert(Peer::plain("203.0.113.200:1".parse().unwrap()));
        request
    };
    for status in [401, 401, 429] {
        assert_eq!(edge.send(stranger()).await.status, status);
    }
}

#[tokio::test]
async fn many_at_once_authenticate_once() {
    let edge = edge().await;
    let entered = Arc::new(AtomicBool::new(false));
    let seen = entered.clone();
    edge.lets_in(TOKEN, who(), &[Role::Agent]);
    edge.behind.on("GetContact", move |_| {
        seen.store(true, Ordering::SeqCst);
        Ok(Vec::new())
    });
    let answers = futures::future::join_all((0..20).map(|_| get(&edge))).await;
    assert!(answers.iter().all(|status| *status == 200) && entered.load(Ordering::SeqCst));
    assert_eq!(edge.behind.count("Authenticate"), 1);
}
