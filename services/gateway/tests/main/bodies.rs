//! Bodies: what is refused before anything is called, and what arrives at the services.

use axum::body::Body;
use http::{HeaderValue, Method, header};
use lethe_proto::messaging::{
    self, CreateContactRequest, SendMessageRequest, UpdateContactRequest, UpdateConversationRequest,
};
use lethe_proto::{identity, retention, search};
use serde_json::json;

use crate::support::{CONTACT, CONVERSATION, ERASURE, MEMBER, MESSAGE, edge, edge_with, request};

fn messages() -> String {
    format!("/v1/conversations/{CONVERSATION}/messages")
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let edge = edge().await;
    for (body, status, code, field) in [
        (&b"{\"text\":\"\xff\xfe\"}"[..], 400, "BODY_NOT_UTF8", None),
        (b"{\"text\":\"\xed\xa0\x80\"}", 400, "BODY_NOT_UTF8", None),
        (b"\xef\xbb\xbf{\"text\":\"a\"}", 400, "JSON_MALFORMED", None),
        (b"{\"text\":\"\\ud800\"}", 400, "JSON_MALFORMED", None),
        (b"{\"text\":\"a\\u0000b\"}", 422, "FIELD_INVALID", Some("text")),
        (b"{\"text\":\"a\x00b\"}", 400, "JSON_MALFORMED", None),
        (b"{\"text\":\"a\"}{}", 400, "JSON_MALFORMED", None),
        (b"{\"text\":\"a\",}", 400, "JSON_MALFORMED", None),
        (b"{\"text\":\"a\",\"text\":\"b\"}", 422, "FIELD_DUPLICATE", Some("text")),
        (b"{\"text\":null}", 422, "FIELD_INVALID", Some("text")),
        (b"{\"Text\":\"a\"}", 422, "FIELD_UNKNOWN", Some("Text")),
        (b"{\"text\":1e999}", 400, "JSON_MALFORMED", None),
        (b"", 400, "JSON_MALFORMED", None),
        (b" ", 400, "JSON_MALFORMED", None),
    ] {
        let (mut head, _) = request(Method::POST, &messages(), "x").into_parts();
        head.headers.remove(header::CONTENT_LENGTH);
        let answer = edge.send(http::Request::from_parts(head, Body::from(body.to_vec()))).await;
        let expected = (status, code.to_owned(), field.map(str::to_owned));
        assert_eq!(answer.problem(), expected, "{}", String::from_utf8_lossy(body));
    }
    assert!(edge.behind.calls().is_empty());
}

#[tokio::test]
async fn a_body_may_be_as_long_as_configured_and_no_longer() {
    let edge = edge_with(|config| config.body_limit_bytes = 1_000).await;
    let body = |length: usize| format!(r#"{{"text":"{}"}}"#, "x".repeat(length - 11));
    let exact = edge.ask(Method::POST, &messages(), &body(1_000)).await;
    assert_eq!(edge.behind.count("SendMessage"), 1, "{exact:?}");
    let announced = {
        let mut request = request(Method::POST, &messages(), &body(1_001));
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("1001"));
        edge.send(request).await
    };
    let streamed = {
        let (head, _) = request(Method::POST, &messages(), "x").into_parts();
        let pieces = futures::stream::iter((0..3).map(|_| Ok::<_, std::io::Error>("x".repeat(400))));
        edge.send(http::Request::from_parts(head, Body::from_stream(pieces))).await
    };
    for refused in [announced, streamed] {
        assert_eq!(refused.problem(), (413, "BODY_TOO_LARGE".to_owned(), None));
        assert_eq!(refused.header("connection"), Some("close"));
    }
    assert_eq!(edge.behind.count("SendMessage"), 1);
}

#[tokio::test]
async fn the_longest_message_fits_however_it_is_written() {
    let edge = edge().await;
    let text = "\\ud83d\\ude00".repeat(16_384);
    edge.ask(Method::POST, &messages(), &format!(r#"{{"text":"{text}"}}"#)).await;
    let sent: SendMessageRequest = edge.behind.calls()[0].read();
    assert_eq!(sent.text, "😀".repeat(16_384));
}

#[tokio::test]
async fn wrong_fields_are_named_by_their_path() {
    let edge = edge().await;
    for (path, body, code, field) in [
        ("/v1/contacts", json!({"tags": ["a", 5]}), "FIELD_INVALID", "tags[1]"),
        ("/v1/contacts", json!({"custom_fields": {"card": 5}}), "FIELD_INVALID", "custom_fields.card"),
        ("/v1/contacts", json!({"custom_fields": []}), "FIELD_INVALID", "custom_fields"),
        ("/v1/contacts", json!({"profile": {"name": "Ada"}}), "FIELD_UNKNOWN", "profile"),
        ("/v1/conversations", json!({"contact_id": CONTACT, "channel": "fax"}), "FIELD_INVALID", "channel"),
        (
            "/v1/conversations",
            json!({"contact_id": CONTACT, "channel": {"sms": null}}),
            "FIELD_INVALID",
            "channel",
        ),
        (
            "/v1/conversations",
            json!({"contact_id": MESSAGE, "channel": "sms"}),
            "FIELD_INVALID",
            "contact_id",
        ),
        ("/v1/conversations", json!({"channel": "sms"}), "FIELD_MISSING", "contact_id"),
        (
            "/v1/members",
            json!({"name": "A", "email": "a@b.c", "roles": ["owner", "root"]}),
            "FIELD_INVALID",
            "roles[1]",
        ),
        (
            "/v1/search/messages",
            json!({"query": "a", "wait_for": {"contact_id": CONTACT, "seq": -1}}),
            "FIELD_INVALID",
            "wait_for.seq",
        ),
        (
            "/v1/search/messages",
            json!({"query": "a", "wait_for": {"contact_id": CONTACT}}),
            "FIELD_MISSING",
            "wait_for.seq",
        ),
        ("/v1/search/messages", json!({"query": "a", "wait_for": [CONTACT, 1]}), "FIELD_INVALID", "wait_for"),
        ("/v1/search/messages", json!({"query": "a", "from": "yesterday"}), "FIELD_INVALID", "from"),
        ("/v1/search/messages", json!({"query": "a", "limit": 201}), "FIELD_INVALID", "limit"),
        ("/v1/contacts/look-up", json!({}), "FIELD_MISSING", "email"),
        ("/v1/contacts/look-up", json!({"phone": "+1", "email": "a@b.c"}), "FIELD_INVALID", "email"),
    ] {
        let answer = edge.ask(Method::POST, path, &body.to_string()).await;
        assert_eq!(answer.problem(), (422, code.to_owned(), Some(field.to_owned())), "{path} {body}");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!text.contains("yesterday") && !text.contains("root") && !text.contains("fax"), "{text}");
    }
    assert!(edge.behind.calls().is_empty());
}

#[tokio::test]
async fn a_contact_arrives_and_comes_back() {
    let edge = edge().await;
    let profile = messaging::Profile {
        name: "Grace".to_owned(),
        phone: "+12025550123".to_owned(),
        tags: vec!["navy".to_owned()],
        custom_fields: [("card".to_owned(), "1906".to_owned())].into(),
        ..Default::default()
    };
    edge.behind.answers(
        "CreateContact",
        messaging::Contact {
            contact_id: CONTACT.to_owned(),
            profile: Some(profile.clone()),
            created_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 250_000_000 }),
            updated_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 250_000_000 }),
            version: 1,
            seq: 1,
            ..Default::default()
        },
    );
    let body = json!({"name": "Grace", "phone": "+12025550123", "tags": ["navy"], "custom_fields": {"card": "1906"}});
    let answer = edge.ask(Method::POST, "/v1/contacts", &body.to_string()).await;
    let sent: CreateContactRequest = edge.behind.calls()[0].read();
    assert_eq!(sent.profile, Some(profile));
    assert_eq!(sent.idempotency.unwrap().key, "key-1");
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some(format!("/v1/contacts/{CONTACT}").as_str()));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(
        answer.json(),
        json!({
            "contact_id": CONTACT, "name": "Grace", "phone": "+12025550123", "email": null, "company": null, "address": null,
            "tags": ["navy"], "custom_fields": {"card": "1906"}, "restricted": false, "opted_out": false,
            "label_ids": [], "lifecycle_stage": null, "lead_score": null, "other_phones": [], "other_emails": [], "has_picture": false, "banned": false, "created_at": "2023-11-14T22:13:20.25Z",
            "updated_at": "2023-11-14T22:13:20.25Z", "version": 1, "seq": 1,
        })
    );
}

#[tokio::test]
async fn changes_tell_absent_from_null_from_a_value() {
    let edge = edge().await;
    let path = format!("/v1/contacts/{CONTACT}");
    let body =
        json!({"name": "Ada", "phone": null, "tags": null, "custom_fields": {"card": null, "size": "L"}});
    edge.ask(Method::PATCH, &path, &body.to_string()).await;
    let sent: UpdateContactRequest = edge.behind.calls()[0].read();
    assert_eq!(
        sent,
        UpdateContactRequest {
            contact_id: CONTACT.to_owned(),
            name: Some("Ada".to_owned()),
            phone: Some(String::new()),
            tags: Some(messaging::Tags::default()),
            custom_fields: [("card".to_owned(), String::new()), ("size".to_owned(), "L".to_owned())].into(),
            if_version: 3,
            ..Default::default()
        }
    );
    let path = format!("/v1/conversations/{CONVERSATION}");
    for (body, assigned) in [
        (json!({"status": "resolved"}), None),
        (json!({"status": "resolved", "assigned_member_id": null}), Some(String::new())),
        (json!({"status": "resolved", "assigned_member_id": MEMBER}), Some(MEMBER.to_owned())),
    ] {
        edge.ask(Method::PATCH, &path, &body.to_string()).await;
        let sent: UpdateConversationRequest = edge.behind.calls().last().unwrap().read();
        assert_eq!(
            (sent.status(), sent.assigned_member_id),
            (messaging::ConversationStatus::Resolved, assigned)
        );
    }
}

#[tokio::test]
async fn a_message_is_created_once_and_shown_again_in_a_replay() {
    let edge = edge().await;
    let mut accepted = messaging::AcceptedMessage {
        message: Some(messaging::Message {
            message_id: MESSAGE.to_owned(),
            conversation_id: CONVERSATION.to_owned(),
            contact_id: CONTACT.to_owned(),
            channel: messaging::Channel::LiveChat.into(),
            direction: messaging::Direction::Outbound.into(),
            member_id: MEMBER.to_owned(),
            text: "Guten Tag".to_owned(),
            created_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            version: 1,
            seq: 7,
            ..Default::default()
        }),
        replayed: false,
    };
    edge.behind.answers("SendMessage", accepted.clone());
    let first = edge.ask(Method::POST, &messages(), r#"{"text":"Guten Tag"}"#).await;
    assert_eq!(
        first.json(),
        json!({
            "message_id": MESSAGE, "conversation_id": CONVERSATION, "contact_id": CONTACT, "channel": "live_chat",
            "direction": "outbound", "member_id": MEMBER, "text": "Guten Tag", "created_at": "2023-11-14T22:13:20Z",
            "delivery": null, "sent_at": null, "delivered_at": null, "read_at": null, "failed_at": null, "failure": null,
            "edited_at": null, "deleted_at": null, "version": 1, "seq": 7,
        })
    );
    accepted.replayed = true;
    edge.behind.answers("SendMessage", accepted);
    let again = edge.ask(Method::POST, &messages(), r#"{"text":"Guten Tag"}"#).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.json(), again.json());
    assert_eq!(again.header("location"), Some(format!("/v1/messages/{MESSAGE}").as_str()));
}

#[tokio::test]
async fn a_value_from_a_newer_service_is_unknown_and_not_wrong() {
    let edge = edge().await;
    edge.behind.answers("GetMessage", messaging::Message { channel: 99, ..Default::default() });
    assert_eq!(
        edge.ask(Method::GET, &format!("/v1/messages/{MESSAGE}"), "").await.json()["channel"],
        "unknown"
    );
}

#[tokio::test]
async fn a_search_arrives_with_its_filters() {
    let edge = edge().await;
    edge.behind.answers(
        "SearchMessages",
        search::SearchMessagesResponse {
            hits: vec![search::SearchHit {
                message: Some(messaging::Message { text: "a refund".to_owned(), ..Default::default() }),
                highlights: vec![search::Highlight { start: 2, end: 8 }],
            }],
            next: bytes::Bytes::new(),
            caught_up: true,
        },
    );
    let body = json!({
        "query": "refund", "channel": "whatsapp", "contact_id": CONTACT, "member_id": MEMBER, "from": "2025-10-01T00:00:00Z",
        "order": "relevance", "wait_for": {"contact_id": CONTACT, "seq": 17}, "limit": 20,
    });
    let answer = edge.ask(Method::POST, "/v1/search/messages", &body.to_string()).await;
    let sent: search::SearchMessagesRequest = edge.behind.calls()[0].read();
    assert_eq!(sent.query, "refund");
    assert_eq!(sent.channel(), messaging::Channel::Whatsapp);
    assert_eq!(sent.order(), search::SearchOrder::Relevance);
    assert_eq!(
        (sent.contact_id.as_str(), sent.conversation_id.as_str(), sent.member_id.as_str()),
        (CONTACT, "", MEMBER)
    );
    assert_eq!(sent.from.unwrap().seconds, 1_759_276_800);
    assert_eq!(sent.wait_for, Some(search::WaitFor { contact_id: CONTACT.to_owned(), seq: 17 }));
    assert_eq!(sent.page.unwrap().limit, 20);
    let json = answer.json();
    assert_eq!((&json["caught_up"], &json["next"]), (&json!(true), &json!(null)));
    assert_eq!(json["hits"][0]["highlights"], json!([{"start": 2, "end": 8}]));
    assert_eq!(json["hits"][0]["message"]["text"], "a refund");
}

#[tokio::test]
async fn a_certificate_can_be_saved_as_it_was_signed_and_the_nonce_comes_beside_it() {
    let edge = edge().await;
    let envelope = "{ \"payloadType\":\"x\" ,\"payload\":\"eyJ9\",\"signatures\":[ ]}";
    let path = format!("/v1/erasures/{ERASURE}/certificate");
    for (nonce, header) in [("bm9uY2U", Some("bm9uY2U")), ("", None)] {
        edge.behind.answers(
            "GetCertificate",
            retention::GetCertificateResponse { envelope: envelope.into(), subject_nonce: nonce.to_owned() },
        );
        let answer = edge.ask(Method::GET, &path, "").await;
        assert_eq!(answer.body, envelope);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("lethe-subject-nonce"), header);
    }
}

#[tokio::test]
async fn an_erasure_is_requested_then_confirmed_and_followed() {
    let edge = edge().await;
    let erasure = retention::Erasure {
        erasure_id: ERASURE.to_owned(),
        contact_id: CONTACT.to_owned(),
        state: retention::ErasureState::Requested.into(),
        participants: vec![retention::ParticipantState {
            participant: "search".to_owned(),
            attempts: 2,
            waits_for: "UNAVAILABLE".to_owned(),
            ..Default::default()
        }],
        version: 4,
        ..Default::default()
    };
    edge.behind.answers(
        "RequestErasure",
        retention::RequestErasureResponse {
            erasure: Some(erasure.clone()),
            confirmation_token: "token".to_owned(),
        },
    );
    let body = json!({"contact_id": CONTACT, "received_at": "2026-11-01T09:00:00+01:00"});
    let requested = edge.ask(Method::POST, "/v1/erasures", &body.to_string()).await;
    let sent: retention::RequestErasureRequest = edge.behind.calls()[0].read();
    assert_eq!(sent.received_at.unwrap().seconds, 1_793_520_000);
    assert_eq!((requested.status.as_u16(), &requested.json()["confirmation_token"]), (201, &json!("token")));
    let participant = &requested.json()["erasure"]["participants"][0];
    assert_eq!((&participant["waits_for"], &participant["attempts"]), (&json!("UNAVAILABLE"), &json!(2)));
    edge.behind.answers(
        "RequestErasure",
        retention::RequestErasureResponse {
            erasure: Some(erasure.clone()),
            confirmation_token: String::new(),
        },
    );
    let replayed = edge.ask(Method::POST, "/v1/erasures", &body.to_string()).await;
    assert_eq!((replayed.status.as_u16(), &replayed.json()["confirmation_token"]), (201, &json!(null)));
    edge.behind.answers(
        "ConfirmErasure",
        retention::Erasure { state: retention::ErasureState::Confirmed.into(), ..erasure },
    );
    let path = format!("/v1/erasures/{ERASURE}/confirm");
    let confirmed = edge.ask(Method::POST, &path, r#"{"confirmation_token":"token"}"#).await;
    assert_eq!((confirmed.status.as_u16(), &confirmed.json()["state"]), (202, &json!("confirmed")));
    assert_eq!(confirmed.header("location"), Some(format!("/v1/erasures/{ERASURE}").as_str()));
}

#[tokio::test]
async fn a_head_does_not_use_up_the_nonce() {
    let edge = edge().await;
    edge.behind.answers(
        "GetCertificate",
        retention::GetCertificateResponse { envelope: "{}".into(), subject_nonce: "bm9uY2U".to_owned() },
    );
    let path = format!("/v1/erasures/{ERASURE}/certificate");
    assert_eq!(edge.ask(Method::HEAD, &path, "").await.status.as_u16(), 405);
    assert_eq!(edge.behind.calls().iter().filter(|call| call.rpc == "GetCertificate").count(), 0);
    assert_eq!(edge.ask(Method::GET, &path, "").await.header("lethe-subject-nonce"), Some("bm9uY2U"));
}

#[tokio::test]
async fn a_member_gets_a_one_time_password_once() {
    let edge = edge().await;
    let member = identity::Member {
        member_id: MEMBER.to_owned(),
        roles: vec![3, 4],
        version: 1,
        ..Default::default()
    };
    let body = json!({"name": "Ada", "email": "ada@acme.example", "roles": ["agent", "privacy_officer"]})
        .to_string();
    for (password, status, shown) in [("once", 201, json!("once")), ("", 201, json!(null))] {
        edge.behind.answers(
            "CreateMember",
            identity::CreateMemberResponse {
                member: Some(member.clone()),
                one_time_password: password.to_owned(),
                password_expires_at: (!password.is_empty())
                    .then_some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            },
        );
        let answer = edge.ask(Method::POST, "/v1/members", &body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["one_time_password"]), (status, &shown));
        let expires_at = if password.is_empty() { json!(null) } else { json!("1970-01-01T00:00:00Z") };
        assert_eq!(answer.json()["password_expires_at"], expires_at);
        assert_eq!(answer.json()["member"]["roles"], json!(["agent", "privacy_officer"]));
    }
}
