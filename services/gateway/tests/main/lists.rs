//! Cursors as clients see them.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use lethe_access::Role;
use lethe_ids::TenantId;
use lethe_proto::{messaging, search};
use lethe_service::Failure;
use serde_json::json;
use uuid::Uuid;

use crate::support::{CONTACT, Edge, TOKEN, edge, edge_with, who};

/// The cursor behind the first page of contacts.
async fn cursor(edge: &Edge) -> String {
    let page = messaging::ListContactsResponse { contacts: Vec::new(), next: Bytes::from_static(b"row 17") };
    edge.behind.answers("ListContacts", page);
    let answer = edge.ask(Method::GET, "/v1/contacts?limit=2", "").await;
    answer.json()["next"].as_str().expect("a cursor").to_owned()
}

#[tokio::test]
async fn a_cursor_leads_to_the_next_page_and_says_nothing() {
    let edge = edge().await;
    let cursor = cursor(&edge).await;
    let first: messaging::ListContactsRequest = edge.behind.calls()[0].read();
    assert_eq!(first.page.unwrap(), lethe_proto::request::Page { limit: 2, after: Bytes::new() });
    assert!(!cursor.contains("row"));
    edge.behind.answers("ListContacts", messaging::ListContactsResponse::default());
    let last = edge.ask(Method::GET, &format!("/v1/contacts?after={cursor}"), "").await;
    let second: messaging::ListContactsRequest = edge.behind.calls()[1].read();
    assert_eq!(
        second.page.unwrap(),
        lethe_proto::request::Page { limit: 50, after: Bytes::from_static(b"row 17") }
    );
    assert_eq!(last.json(), json!({"contacts": [], "next": null}));
}

#[tokio::test]
async fn a_cursor_of_another_tenant_list_or_filter_is_refused_and_nothing_is_called() {
    let edge = edge().await;
    let cursor = cursor(&edge).await;
    let invalid = (400, "CURSOR_INVALID".to_owned(), Some("after".to_owned()));
    for path in ["/v1/conversations", "/v1/members", "/v1/erasures", "/v1/audit-events", "/v1/sessions"] {
        let answer = edge.ask(Method::GET, &format!("{path}?after={cursor}"), "").await;
        assert_eq!(answer.problem(), invalid, "{path}");
    }
    let mut forged = cursor.clone().into_bytes();
    forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    assert_eq!(edge.ask(Method::GET, &format!("/v1/contacts?after={forged}"), "").await.problem(), invalid);
    let other = (TenantId::new(Uuid::from_u128(2)), who().1, who().2);
    edge.lets_in(TOKEN, other, &[Role::Owner]);
    edge.clock.advance(Duration::from_secs(55));
    assert_eq!(edge.ask(Method::GET, &format!("/v1/contacts?after={cursor}"), "").await.problem(), invalid);
    assert_eq!(edge.behind.calls().len(), 1);
}

#[tokio::test]
async fn filters_are_part_of_a_cursor() {
    let edge = edge().await;
    let page =
        messaging::ListConversationsResponse { conversations: Vec::new(), next: Bytes::from_static(b"17") };
    edge.behind.answers("ListConversations", page);
    let open = format!("/v1/conversations?contact_id={CONTACT}&status=open");
    let cursor = edge.ask(Method::GET, &open, "").await.json()["next"].as_str().unwrap().to_owned();
    let sent: messaging::ListConversationsRequest = edge.behind.calls()[0].read();
    assert_eq!((sent.contact_id.as_str(), sent.status()), (CONTACT, messaging::ConversationStatus::Open));
    let same = edge.ask(Method::GET, &format!("{open}&limit=7&after={cursor}"), "").await;
    assert_eq!(same.status, 200);
    let others =
        ["/v1/conversations?", "/v1/conversations?status=resolved&", "/v1/conversations?status=open&"];
    for other in others {
        let answer = edge.ask(Method::GET, &format!("{other}after={cursor}"), "").await;
        assert_eq!(answer.problem().1, "CURSOR_INVALID", "{other}");
    }
    let found = search::SearchMessagesResponse { next: Bytes::from_static(b"17"), ..Default::default() };
    edge.behind.answers("SearchMessages", found);
    let first = edge.ask(Method::POST, "/v1/search/messages", r#"{"query":"refund"}"#).await;
    let cursor = first.json()["next"].as_str().unwrap().to_owned();
    for (query, status) in [("refund", 200), ("parcel", 400)] {
        let body = json!({"query": query, "after": cursor}).to_string();
        assert_eq!(edge.ask(Method::POST, "/v1/search/messages", &body).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn a_cursor_ends_after_its_time() {
    let edge = edge_with(|config| config.cursor_life_s = 100).await;
    let cursor = cursor(&edge).await;
    let path = format!("/v1/contacts?after={cursor}");
    edge.clock.advance(Duration::from_secs(99));
    assert_eq!(edge.ask(Method::GET, &path, "").await.status, 200);
    edge.clock.advance(Duration::from_secs(1));
    let expired = (400, "CURSOR_EXPIRED".to_owned(), Some("after".to_owned()));
    assert_eq!(edge.ask(Method::GET, &path, "").await.problem(), expired);
}

#[tokio::test]
async fn gateways_with_one_key_read_each_others_cursors() {
    let key = Some(lethe_service::Secret::new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    let (one, two) = (
        edge_with(|config| config.cursor_key = key.clone()).await,
        edge_with(|config| config.cursor_key = key.clone()).await,
    );
    let cursor = cursor(&one).await;
    assert_eq!(two.ask(Method::GET, &format!("/v1/contacts?after={cursor}"), "").await.status, 200);
    let stranger = edge_with(|config| {
        config.cursor_key = Some(lethe_service::Secret::new("BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"))
    })
    .await;
    assert_eq!(
        stranger.ask(Method::GET, &format!("/v1/contacts?after={cursor}"), "").await.problem().1,
        "CURSOR_INVALID"
    );
}

#[tokio::test]
async fn a_service_that_refuses_a_cursor_is_no_error_of_a_field() {
    let edge = edge().await;
    edge.behind.fails("ListContacts", Failure::invalid("page.after", "is not a cursor of this list"));
    let expected = (400, "CURSOR_INVALID".to_owned(), Some("after".to_owned()));
    assert_eq!(edge.ask(Method::GET, "/v1/contacts", "").await.problem(), expected);
}
