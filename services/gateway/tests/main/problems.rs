//! What goes wrong behind the gateway, and what a client reads of it: the whole body.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, Method, header};
use lethe_service::Failure;
use serde_json::json;
use tonic::{Code, Status};

use crate::support::{CONTACT, CONVERSATION, Edge, edge, edge_with, request};

async fn get_contact(edge: &Edge) -> crate::support::Answered {
    edge.ask(Method::GET, &format!("/v1/contacts/{CONTACT}"), "").await
}

#[tokio::test]
async fn a_problem_is_whole() {
    let edge = edge().await;
    edge.behind.fails("GetContact", Failure::not_found("contact"));
    let answer = get_contact(&edge).await;
    assert_eq!(
        answer.json(),
        json!({
            "type": "urn:lethe:problem:contact_not_found",
            "title": "Not Found",
            "status": 404,
            "detail": "there is no such contact",
            "code": "CONTACT_NOT_FOUND",
            "request_id": answer.header("x-request-id").unwrap(),
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        })
    );
    edge.behind.fails("SendMessage", Failure::invalid("text", "must be 1 to 16,384 characters"));
    let path = format!("/v1/conversations/{CONVERSATION}/messages");
    let answer = edge.ask(Method::POST, &path, r#"{"text":""}"#).await;
    assert_eq!(
        answer.json(),
        json!({
            "type": "urn:lethe:problem:field_invalid",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "must be 1 to 16,384 characters",
            "code": "FIELD_INVALID",
            "request_id": answer.header("x-request-id").unwrap(),
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "field": "text",
        })
    );
}

#[tokio::test]
async fn each_failure_has_its_status() {
    let edge = edge().await;
    for (failure, status, code, field) in [
        (Failure::invalid("profile.phone", "is no number"), 422, "FIELD_INVALID", Some("phone")),
        (Failure::invalid("page.limit", "must be between 1 and 200"), 422, "FIELD_INVALID", Some("limit")),
        (
            Failure::invalid("page.after", "is not a cursor of this list"),
            400,
            "CURSOR_INVALID",
            Some("after"),
        ),
        (Failure::invalid("idempotency.key", "is wrong"), 422, "FIELD_INVALID", Some("Idempotency-Key")),
        (Failure::key_reused(), 422, "IDEMPOTENCY_KEY_REUSED", Some("Idempotency-Key")),
        (
            Failure::precondition("VERSION_REQUIRED", "say which").at("if_version"),
            428,
            "VERSION_REQUIRED",
            Some("If-Match"),
        ),
        (Failure::version_mismatch(), 412, "VERSION_MISMATCH", Some("If-Match")),
        (Failure::too_many("webhook_endpoints"), 409, "TOO_MANY_WEBHOOK_ENDPOINTS", None),
        (Failure::not_found("contact"), 404, "CONTACT_NOT_FOUND", None),
        (Failure::new(Code::NotFound, "RESOURCE_GONE", "was erased"), 410, "RESOURCE_GONE", None),
        (Failure::conflict("EMAIL_TAKEN", "is another's"), 409, "EMAIL_TAKEN", None),
        (Failure::precondition("CONTACT_OPTED_OUT", "opted out"), 409, "CONTACT_OPTED_OUT", None),
        (Failure::permission("PERMISSION_DENIED", "not allowed"), 403, "PERMISSION_DENIED", None),
        (Failure::unauthenticated("SESSION_REVOKED", "revoked"), 401, "SESSION_REVOKED", None),
        (Failure::unauthenticated("PRINCIPAL_EXPIRED", "expired"), 401, "SESSION_INVALID", None),
        (Failure::exhausted("QUOTA_REACHED", "enough"), 429, "QUOTA_REACHED", None),
        (Failure::exhausted("TOO_MANY_CALLS", "busy"), 503, "TOO_MANY_CALLS", None),
        (Failure::unavailable("DATABASE_UNAVAILABLE", "away"), 503, "DATABASE_UNAVAILABLE", None),
        (
            Failure::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "took too long"),
            504,
            "DEADLINE_EXCEEDED",
            None,
        ),
        (Failure::new(Code::Unimplemented, "UNIMPLEMENTED", "not here"), 501, "UNIMPLEMENTED", None),
        (Failure::internal("a defect"), 500, "INTERNAL", None),
    ] {
        edge.behind.fails("GetContact", failure.clone());
        let answer = get_contact(&edge).await;
        let expected = (status, code.to_owned(), field.map(str::to_owned));
        assert_eq!(answer.problem(), expected, "{failure:?}");
        assert_eq!(answer.header("retry-after").is_some(), matches!(status, 429 | 503), "{failure:?}");
    }
}

#[tokio::test]
async fn retry_after_is_what_the_service_says_rounded_up() {
    let edge = edge().await;
    edge.behind.fails(
        "GetContact",
        Failure::exhausted("QUOTA_REACHED", "").retry_after(Duration::from_millis(2_100)),
    );
    assert_eq!(get_contact(&edge).await.header("retry-after"), Some("3"));
}

#[tokio::test]
async fn nothing_of_the_inside_gets_out() {
    let edge = edge().await;
    let secret = "connection to 10.0.0.7:5432 lost for ada@example.org";
    for status in [
        Failure::internal(secret).into(),
        Failure::unavailable("DATABASE_UNAVAILABLE", secret).into(),
        Status::unavailable(secret),
        Status::unknown(secret),
        Status::internal(secret),
        Failure::unauthenticated("SERVICE_TOKEN_EXPIRED", secret).into(),
        Failure::permission("CALLER_NOT_ALLOWED", secret).into(),
    ] as [Status; 7]
    {
        let sent = status.clone();
        edge.behind.on("GetContact", move |_| Err(sent.clone()));
        let answer = get_contact(&edge).await;
        assert!(answer.status.is_server_error(), "{status:?}");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!text.contains("10.0.0.7") && !text.contains("ada"), "{text}");
        assert!(!text.contains("SERVICE_TOKEN") && !text.contains("CALLER"), "{text}");
    }
}

#[tokio::test]
async fn a_service_that_accepts_and_gives_nothing_back_has_a_defect() {
    let edge = edge().await;
    let path = format!("/v1/conversations/{CONVERSATION}/messages");
    assert_eq!(edge.ask(Method::POST, &path, r#"{"text":"a"}"#).await.problem().0, 500);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_504_and_too_many_at_once_are_503() {
    let edge = edge_with(|config| {
        config.request_timeout_ms = 100;
        config.max_in_flight = 1;
    })
    .await;
    // A body that never ends holds the one place.
    let endless = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let (head, _) = request(Method::POST, "/v1/contacts", "{}").into_parts();
    let waiting = edge.send(http::Request::from_parts(head, endless));
    let other = async {
        tokio::task::yield_now().await;
        let refused = get_contact(&edge).await;
        let alive = edge.ask(Method::GET, "/livez", "").await;
        (refused, alive)
    };
    let (late, (refused, alive)) = tokio::join!(waiting, other);
    assert_eq!(late.problem(), (504, "DEADLINE_EXCEEDED".to_owned(), None));
    assert_eq!(refused.problem(), (503, "OVERLOADED".to_owned(), None));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(alive.status, 200);
    assert!(get_contact(&edge).await.status.is_success(), "the place is free again");
    assert_eq!(edge.behind.count("CreateContact"), 0);
}

#[tokio::test]
async fn unknown_paths_methods_and_media_types_are_problems_too() {
    let edge = edge().await;
    let contact = format!("/v1/contacts/{CONTACT}");
    assert_eq!(
        edge.ask(Method::GET, "/v1/nothing", "").await.problem(),
        (404, "ROUTE_NOT_FOUND".to_owned(), None)
    );
    assert_eq!(edge.ask(Method::GET, "/v1/contacts/", "").await.problem().1, "ROUTE_NOT_FOUND");
    assert_eq!(edge.ask(Method::GET, "/%ff%00", "").await.problem().1, "ROUTE_NOT_FOUND");
    let method = edge.ask(Method::PUT, &contact, "{}").await;
    assert_eq!(method.problem(), (405, "METHOD_NOT_ALLOWED".to_owned(), None));
    assert_eq!(method.header("allow"), Some("GET,HEAD,PATCH"));
    let mut html = request(Method::GET, &contact, "");
    html.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/html"));
    assert_eq!(
        edge.send(html).await.problem(),
        (406, "NOT_ACCEPTABLE".to_owned(), Some("Accept".to_owned()))
    );
    assert!(edge.behind.calls().is_empty());
}

#[tokio::test]
async fn every_answer_carries_its_ids_and_keeps_browsers_away() {
    let edge = edge().await;
    let answer = get_contact(&edge).await;
    let id = answer.header("x-request-id").unwrap();
    assert!(id != "request-1" && id.len() == 32, "{id}: a client's own id could name a person");
    assert!(answer.header("traceparent").unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    for (name, value) in [
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("strict-transport-security", "max-age=63072000; includeSubDomains"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    for bad in ["with space", "", "<script>", &"x".repeat(65)] {
        let mut odd = request(Method::GET, "/v1/nothing", "");
        odd.headers_mut().insert("x-request-id", HeaderValue::from_str(bad).unwrap());
        odd.headers_mut().insert("traceparent", HeaderValue::from_static("00-0-0-0"));
        let answer = edge.send(odd).await;
        let id = answer.header("x-request-id").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(answer.json()["request_id"], id);
        let trace = answer.json()["trace_id"].as_str().unwrap().to_owned();
        assert!(trace.len() == 32 && answer.header("traceparent").unwrap().contains(&trace));
    }
}
