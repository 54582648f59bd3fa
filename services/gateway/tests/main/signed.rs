//! Requests that a program signs (RFC 9421): what is let in, what is not and why, and what is noted of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use lethe_access::{
    PRINCIPAL, Permission, Principal, PrincipalToken, Revocation, Revoked, SigningKey, Who, signature,
};
use lethe_gateway::{Config, PlanRates, Rate};
use lethe_ids::{ApiKeyId, TenantId};
use lethe_proto::identity::{
    AuthenticateSignatureRequest, AuthenticateSignatureResponse, RecordApiRequestsRequest,
    UseSignatureRequest, UseSignatureResponse,
};
use lethe_service::Failure;
use prost::Message;
use uuid::Uuid;

use crate::support::{Answered, CONTACT, Edge, edge_with};

const HOST: &str = "api.example.com";

fn key() -> SigningKey {
    let id = Uuid::from_u128(7);
    SigningKey::new(TenantId::new(id), ApiKeyId::new(id), [9; 32].into())
}

/// A gateway whose identity knows one key that may do this, so often.
async fn edge(change: impl FnOnce(&mut Config), requests_per_minute: u32) -> Edge {
    let edge = edge_with(change).await;
    let (access, clock) = (edge.access.clone(), edge.clock.clone());
    edge.behind.on("AuthenticateSignature", move |message| {
        let asked = AuthenticateSignatureRequest::decode(message).expect("a signature");
        if asked.keyid != key().keyid() {
            return Err(Failure::unauthenticated("API_KEY_UNKNOWN", "there is none").into());
        }
        if signature::verify(key().secret(), &asked.base, &asked.signature).is_err() {
            return Err(Failure::unauthenticated("SIGNATURE_INVALID", "does not fit").into());
        }
        let (tenant, id) = lethe_access::parse_keyid(&asked.keyid).expect("a key");
        let now = clock.millis();
        let principal = Principal {
            tenant,
            who: Who::ApiKey { key: id, scopes: [Permission::ReadInbox, Permission::UserData].into() },
            issued_at_ms: now,
            expires_at_ms: now + 60_000,
        };
        let principal = access.of("identity").sign_principal(&principal).to_bytes();
        let secret = key().secret().to_vec().into();
        let plan = "tiny".to_owned();
        Ok(AuthenticateSignatureResponse { principal, secret, requests_per_minute, plan }.encode_to_vec())
    });
    let used = Arc::new(Mutex::new(Vec::new()));
    edge.behind.on("UseSignature", move |message| {
        let asked = UseSignatureRequest::decode(message).expect("a signature");
        let mut used = used.lock().unwrap();
        let fresh = !used.contains(&asked.signature);
        used.push(asked.signature);
        Ok(UseSignatureResponse { fresh }.encode_to_vec())
    });
    edge
}

/// A signed request, before something is done to it.
fn signed(edge: &Edge, method: Method, path: &str, nonce: Option<&'static str>, body: &str) -> Request<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static(HOST));
    if let Some(nonce) = nonce {
        headers.insert("idempotency-key", HeaderValue::from_static(nonce));
    }
    if !body.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let uri = format!("https://{HOST}{path}");
    let created_s = edge.clock.millis() / 1_000;
    key().sign((method.as_str(), HOST, &uri), &mut headers, body.as_bytes(), created_s).unwrap();
    let mut request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    *request.headers_mut() = headers;
    request
}

fn get(edge: &Edge) -> Request<Body> {
    signed(edge, Method::GET, &contact(), None, "")
}

fn contact() -> String {
    format!("/v1/contacts/{CONTACT}")
}

fn code(answered: &Answered) -> (u16, String) {
    let (status, code, _) = answered.problem();
    (status, code)
}

#[tokio::test]
async fn a_signed_request_is_let_in_and_identity_is_asked_once_in_a_while() {
    let edge = edge(|_| {}, 0).await;
    for _ in 0..3 {
        assert_eq!(edge.send(get(&edge)).await.status, 200);
    }
    assert_eq!(edge.behind.count("AuthenticateSignature"), 1, "then the gateway verifies by itself");
    let call = edge.behind.calls().pop().unwrap();
    let principal = PrincipalToken::from_headers(&call.headers).expect("a principal");
    let principal = edge.access.of("messaging").verify_principal(&principal).await.unwrap();
    assert_eq!(principal.actor().to_string(), ApiKeyId::new(Uuid::from_u128(7)).to_string());
    assert!(call.headers.contains_key(PRINCIPAL));

    // A body, and what only reads by POST: no nonce.
    let created = signed(&edge, Method::POST, "/v1/contacts", Some("k-1"), r#"{"name":"Grace"}"#);
    assert_eq!(edge.send(created).await.status, 201);
    let read = signed(&edge, Method::POST, "/v1/search/messages", None, r#"{"query":"refund"}"#);
    assert_eq!(edge.send(read).await.status, 200);
    assert_eq!(edge.behind.count("UseSignature"), 0, "rows of idempotency keys see to it");

    edge.clock.advance(Duration::from_secs(51));
    assert_eq!(edge.send(get(&edge)).await.status, 200);
    assert_eq!(edge.behind.count("AuthenticateSignature"), 2, "ten seconds before the principal's end");
}

#[tokio::test]
async fn a_forged_signature_gets_in_neither_at_first_nor_when_the_key_is_known() {
    let edge = edge(|_| {}, 0).await;
    for _ in 0..2 {
        let mut forged = get(&edge);
        let text = forged.headers()["signature"].to_str().unwrap().replacen(":", ":AAAA", 1);
        let text = format!("{}=:", &text[..text.len() - 6]);
        forged.headers_mut().insert("signature", HeaderValue::try_from(text).unwrap());
        assert_eq!(code(&edge.send(forged).await), (401, "SIGNATURE_INVALID".to_owned()));
        assert_eq!(edge.send(get(&edge)).await.status, 200);
    }
}

#[tokio::test]
async fn each_broken_rule_is_named_and_nothing_is_called() {
    let edge = edge(|config| config.authorities = vec![HOST.to_owned()], 0).await;
    assert_eq!(edge.send(get(&edge)).await.status, 200);
    let calls = edge.behind.calls().len();
    let change = |method, path: &str, nonce, body: &str, change: &dyn Fn(&mut Request<Body>)| {
        let mut request = signed(&edge, method, path, nonce, body);
        change(&mut request);
        request
    };
    let header = |name: &'static str, value: &'static str| {
        move |request: &mut Request<Body>| {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    };
    let input = |from: &'static str, to: &'static str| {
        move |request: &mut Request<Body>| {
            let text = request.headers()["signature-input"].to_str().unwrap().replacen(from, to, 1);
            request.headers_mut().insert("signature-input", HeaderValue::try_from(text).unwrap());
        }
    };
    let twice = |request: &mut Request<Body>| {
        for name in ["signature", "signature-input"] {
            let value = request.headers()[name].clone();
            request.headers_mut().append(name, value);
        }
    };
    let uri = |request: &mut Request<Body>| *request.uri_mut() = "/v1/contacts?limit=2".parse().unwrap();
    let body = |request: &mut Request<Body>| *request.body_mut() = Body::from(r#"{"name":"Eve"}"#);
    let no_digest = |request: &mut Request<Body>| *request.body_mut() = Body::from("{}");
    let (get, post, contacts, grace) = (Method::GET, Method::POST, "/v1/contacts", r#"{"name":"Grace"}"#);
    let read = |with: &dyn Fn(&mut Request<Body>)| change(get.clone(), contacts, None, "", with);
    let write = |with: &dyn Fn(&mut Request<Body>)| change(post.clone(), contacts, Some("k"), grace, with);
    for (what, request, wanted) in [
        ("another query", read(&uri), "SIGNATURE_INVALID"),
        ("another host", read(&header("host", "evil.example.com")), "SIGNATURE_AUTHORITY_UNKNOWN"),
        ("another body", write(&body), "CONTENT_DIGEST_INVALID"),
        ("another nonce", write(&header("idempotency-key", "other")), "SIGNATURE_INVALID"),
        ("a version put in", write(&header("if-match", "\"1\"")), "SIGNATURE_COMPONENT_MISSING"),
        ("a digest left out", read(&no_digest), "SIGNATURE_COMPONENT_MISSING"),
        ("no @method", read(&input("\"@method\"", "")), "SIGNATURE_COMPONENT_MISSING"),
        ("no created", read(&input("created=", "made=")), "SIGNATURE_NOT_CURRENT"),
        ("another algorithm", read(&input("hmac-sha256", "ed25519")), "SIGNATURE_ALGORITHM_UNSUPPORTED"),
        ("a label twice", read(&twice), "SIGNATURE_AMBIGUOUS"),
        ("a bearer too", read(&header("authorization", "Bearer x")), "SIGNATURE_AMBIGUOUS"),
        ("no signature", read(&|r| drop(r.headers_mut().remove("signature"))), "SIGNATURE_MALFORMED"),
        ("another key", read(&input("lth_k_0", "lth_k_1")), "API_KEY_UNKNOWN"),
        ("no key at all", read(&input("lth_k_0", "nobody_0")), "API_KEY_UNKNOWN"),
        ("no nonce", change(post.clone(), contacts, None, grace, &|_| {}), "SIGNATURE_NONCE_REQUIRED"),
    ] {
        let answer = edge.send(request).await;
        assert_eq!(code(&answer), (401, wanted.to_owned()), "{what}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("CQkJ") && !text.contains("lth_k_"), "{what}: {text}");
    }
    for (seconds, wanted) in [(61, "SIGNATURE_NOT_CURRENT"), (-61, "SIGNATURE_NOT_CURRENT")] {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(HOST));
        let created_s = edge.clock.millis() / 1_000 + seconds;
        let uri = format!("https://{HOST}{contacts}");
        key().sign(("GET", HOST, &uri), &mut headers, b"", created_s).unwrap();
        let mut request = Request::get(contacts).body(Body::empty()).unwrap();
        *request.headers_mut() = headers;
        assert_eq!(code(&edge.send(request).await), (401, wanted.to_owned()), "{seconds}");
    }
    assert_eq!(edge.behind.calls().len(), calls);
}

#[tokio::test]
async fn what_nothing_else_keeps_from_being_done_twice_takes_the_signature() {
    let edge = edge(|_| {}, 0).await;
    let opt_out = || signed(&edge, Method::PUT, &format!("{}/opt-out", contact()), Some("k-1"), "");
    let (first, again) = (opt_out(), opt_out());
    assert_eq!(edge.send(first).await.status, 200);
    assert_eq!(code(&edge.send(again).await), (401, "SIGNATURE_REPLAYED".to_owned()));
    edge.clock.advance(Duration::from_secs(1));
    assert_eq!(edge.send(opt_out()).await.status, 200, "signed anew");
    assert_eq!(edge.behind.count("OptOutContact"), 2);
    // While identity does not say whether it is fresh, nothing is done.
    edge.behind.fails("UseSignature", Failure::unavailable("DATABASE_UNAVAILABLE", "away"));
    let other = signed(&edge, Method::PUT, &format!("{}/opt-out", contact()), Some("k-3"), "");
    assert_eq!(edge.send(other).await.status, 503);
    assert_eq!(edge.behind.count("OptOutContact"), 2);
}

#[tokio::test]
async fn a_revoked_key_is_out_at_once() {
    let edge = edge(|_| {}, 0).await;
    assert_eq!(edge.send(get(&edge)).await.status, 200);
    edge.behind.fails("AuthenticateSignature", Failure::unauthenticated("API_KEY_UNKNOWN", "revoked"));
    assert_eq!(edge.send(get(&edge)).await.status, 200, "known");
    let id = Uuid::from_u128(7);
    let revoked = Revocation {
        tenant: TenantId::new(id),
        what: Revoked::ApiKey(ApiKeyId::new(id)),
        revoked_at_ms: edge.clock.millis(),
    };
    edge.revocations.apply(&[revoked], tokio::time::Instant::now());
    assert_eq!(code(&edge.send(get(&edge)).await), (401, "API_KEY_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn a_key_has_its_own_limit_or_its_plans_and_its_tenant_another() {
    let limits = |answer: &Answered| {
        (answer.status.as_u16(), answer.header("ratelimit-policy").unwrap_or_default().to_owned())
    };
    let own = edge(|_| {}, 2).await;
    assert_eq!(limits(&own.send(get(&own)).await), (200, "\"api_key\";q=2;w=60".to_owned()));
    assert_eq!(own.send(get(&own)).await.status, 200);
    let refused = own.send(get(&own)).await;
    assert_eq!(limits(&refused), (429, "\"api_key\";q=2;w=60".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(own.behind.count("GetContact"), 2);

    let plan = PlanRates { api_key: Some(Rate { requests: 5, per_s: 60 }), ..Default::default() };
    let by_plan = edge(|config| config.rates.plans = BTreeMap::from([("tiny".to_owned(), plan)]), 0).await;
    assert_eq!(limits(&by_plan.send(get(&by_plan)).await), (200, "\"api_key\";q=5;w=60".to_owned()));
    let plan = PlanRates { tenant: Some(Rate { requests: 1, per_s: 60 }), ..Default::default() };
    let of_tenant = edge(|config| config.rates.plans = BTreeMap::from([("tiny".to_owned(), plan)]), 0).await;
    assert_eq!(of_tenant.send(get(&of_tenant)).await.status, 200);
    assert_eq!(limits(&of_tenant.send(get(&of_tenant)).await), (429, "\"tenant\";q=1;w=60".to_owned()));
}

/// Everything that was handed over so far: requests, and how many are said to be missing.
fn recorded(taken: &Mutex<Vec<RecordApiRequestsRequest>>) -> (usize, u32) {
    let groups = taken.lock().unwrap();
    let all = groups.iter().flat_map(|group| &group.requests).filter_map(|one| one.request.as_ref());
    all.fold(
        (0, 0),
        |(requests, missed), one| {
            if one.missed > 0 { (requests, missed + one.missed) } else { (requests + 1, missed) }
        },
    )
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn what_a_key_asks_is_recorded_without_ids_and_a_gap_is_counted() {
    let edge = edge(|config| config.request_log_queue = 2, 0).await;
    let away = Arc::new(AtomicBool::new(false));
    let taken = Arc::new(Mutex::new(Vec::new()));
    let (is_away, into) = (away.clone(), taken.clone());
    edge.behind.on("RecordApiRequests", move |message| {
        if is_away.load(Ordering::Relaxed) {
            return Err(Failure::unavailable("DATABASE_UNAVAILABLE", "away").into());
        }
        into.lock().unwrap().push(RecordApiRequestsRequest::decode(message).expect("a group"));
        Ok(Vec::new())
    });
    let answer = edge.send(get(&edge)).await;
    edge.behind.fails("GetContact", Failure::not_found("contact"));
    assert_eq!(edge.send(get(&edge)).await.status, 404);
    eventually("both are recorded", || recorded(&taken) == (2, 0)).await;
    {
        let groups = taken.lock().unwrap();
        let first = groups[0].requests[0].clone();
        assert_eq!(first.tenant_id, TenantId::new(Uuid::from_u128(7)).to_string());
        let request = first.request.unwrap();
        assert_eq!(Some(request.request_id.as_str()), answer.header("x-request-id"));
        let what = (request.method.as_str(), request.route.as_str(), request.rpc.as_str(), request.status);
        assert_eq!(what, ("GET", "/v1/contacts/{contact_id}", "GetContact", 200));
        assert!(!format!("{groups:?}").contains(CONTACT));
    }
    // A member's requests are not in this log.
    edge.ask(Method::GET, &contact(), "").await;

    away.store(true, Ordering::Relaxed);
    for _ in 0..10 {
        edge.send(get(&edge)).await;
    }
    away.store(false, Ordering::Relaxed);
    let all = || {
        let (requests, missed) = recorded(&taken);
        requests + missed as usize == 12 && missed > 0
    };
    eventually("all ten are recorded or counted", all).await;
}
