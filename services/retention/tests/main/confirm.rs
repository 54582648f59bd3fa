//! Requesting, confirming, cancelling: before anything moves.

use std::time::Duration;

use lethe_access::Role;
use lethe_ids::{ContactId, TenantId};
use lethe_proto::{
    request::{Idempotency, Page},
    retention::{
        CancelErasureRequest, ErasureState, GetErasureRequest, ListErasuresRequest, RequestErasureRequest,
    },
};
use lethe_service::timestamp;
use time::macros::datetime;

use crate::fixture::{Fixture, NOW, reason, refusal};

const QUARTER: Duration = Duration::from_secs(15 * 60);

async fn cancel(fixture: &Fixture, id: &str) -> Result<lethe_proto::retention::Erasure, tonic::Status> {
    let request = CancelErasureRequest { erasure_id: id.to_owned() };
    fixture.client().cancel_erasure(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn request_erasure_counts_the_month_from_receipt() {
    let fixture = Fixture::new().await;
    let request = |received_at, key: &str| RequestErasureRequest {
        contact_id: ContactId::new(fixture.world.entropy.uuid7(&fixture.world.clock)).to_string(),
        received_at: Some(timestamp(received_at)),
        idempotency: Some(Idempotency { key: key.to_owned() }),
        ..RequestErasureRequest::default()
    };
    let answer =
        fixture.client().request_erasure(request(datetime!(2025-12-31 9:00 UTC), "a")).await.unwrap();
    let due = answer.into_inner().erasure.unwrap().due_at.unwrap();
    // 31 January 2026 is a Saturday.
    assert_eq!(due, timestamp(datetime!(2026-02-02 23:59:59 UTC)));
    let refused =
        fixture.client().request_erasure(request(NOW + Duration::from_millis(1), "b")).await.unwrap_err();
    let failure = lethe_service::Failure::from_status(&refused);
    assert_eq!(failure.field.as_deref(), Some("received_at"));
}

#[tokio::test]
async fn request_erasure_names_the_field_that_does_not_fit() {
    let fixture = Fixture::new().await;
    let contact = fixture.contact().to_string();
    let long = "k".repeat(65);
    for (contact_id, key, field) in [
        ("msg_0", "k", "contact_id"),
        (contact.as_str(), "", "idempotency.key"),
        (contact.as_str(), "a b", "idempotency.key"),
        (contact.as_str(), &long, "idempotency.key"),
    ] {
        let request = RequestErasureRequest {
            contact_id: contact_id.to_owned(),
            received_at: None,
            idempotency: Some(Idempotency { key: key.to_owned() }),
            ..RequestErasureRequest::default()
        };
        let refused = fixture.client().request_erasure(request).await.unwrap_err();
        assert_eq!(lethe_service::Failure::from_status(&refused).field.as_deref(), Some(field));
    }
    assert_eq!(fixture.asked(), [""; 0], "nobody was asked to count");
    fixture.request(fixture.contact(), &"k".repeat(64)).await.unwrap();
}

#[tokio::test]
async fn request_erasure_of_nobody_is_not_found() {
    let fixture = Fixture::new().await;
    fixture.fake("messaging").part().known = false;
    assert_eq!(reason(fixture.request(fixture.contact(), "k").await), "CONTACT_NOT_FOUND");
    fixture.fake("messaging").part().known = true;
    fixture.fake("search").part().refusals.push_back(refusal("INDEX_AWAY"));
    assert_eq!(reason(fixture.request(fixture.contact(), "k").await), "PARTICIPANT_UNAVAILABLE");
    let list = fixture.client().list_erasures(ListErasuresRequest::default()).await.unwrap().into_inner();
    assert_eq!(list.erasures.len(), 0, "nothing was registered");
}

#[tokio::test]
async fn request_erasure_again_answers_the_same_erasure() {
    let fixture = Fixture::new().await;
    let contact = fixture.contact();
    let first = fixture.request(contact, "k").await.unwrap();
    let again = fixture.request(contact, "k").await.unwrap();
    assert_eq!(again.erasure, first.erasure);
    assert_eq!(again.confirmation_token, "", "a token is handed out once");
    assert_eq!(reason(fixture.request(fixture.contact(), "k").await), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(reason(fixture.request(contact, "other").await), "ERASURE_ALREADY_OPEN");
    // Another contact is not in its way.
    fixture.request(fixture.contact(), "third").await.unwrap();
}

#[tokio::test]
async fn two_requests_at_once_make_one_erasure() {
    let fixture = Fixture::new().await;
    let contact = fixture.contact();
    let (a, b) = tokio::join!(fixture.request(contact, "a"), fixture.request(contact, "b"));
    assert_eq!([&a, &b].iter().filter(|answer| answer.is_ok()).count(), 1);
    let refused = if a.is_err() { a } else { b };
    assert_eq!(reason(refused), "ERASURE_ALREADY_OPEN");
}

#[tokio::test]
async fn confirm_erasure_wants_the_token_in_time() {
    let fixture = Fixture::new().await;
    let contact = fixture.contact();
    let answer = fixture.request(contact, "k").await.unwrap();
    let (id, token) = (answer.erasure.unwrap().erasure_id, answer.confirmation_token);
    for wrong in ["", "x", &token[1..], &token.to_lowercase()] {
        assert_eq!(reason(fixture.confirm(&id, wrong).await), "CONFIRMATION_TOKEN_WRONG");
    }
    fixture.world.clock.advance(QUARTER);
    assert_eq!(reason(fixture.confirm(&id, &token).await), "CONFIRMATION_TOKEN_EXPIRED");

    // Counted anew: another token, and the first receipt still counts.
    fixture.fake("messaging").part().messages = 4;
    let anew = fixture.request(contact, "k-2").await.unwrap();
    let erasure = anew.erasure.unwrap();
    assert_eq!(erasure.erasure_id, id);
    assert_eq!(erasure.received_at, Some(timestamp(NOW)));
    assert_eq!(erasure.tallies.iter().find(|tally| tally.kind == "messages").unwrap().count, 10);
    assert_eq!(reason(fixture.confirm(&id, &token).await), "CONFIRMATION_TOKEN_WRONG", "of other counts");
    fixture.world.clock.advance(QUARTER - Duration::from_millis(1));
    let confirmed = fixture.confirm(&id, &anew.confirmation_token).await.unwrap();
    assert_eq!(confirmed.state(), ErasureState::Confirmed);
    // The answer got lost: again, even later.
    fixture.world.clock.advance(QUARTER);
    assert_eq!(fixture.confirm(&id, &anew.confirmation_token).await.unwrap().version, confirmed.version);
    assert_eq!(reason(fixture.confirm(&id, &token).await), "CONFIRMATION_TOKEN_WRONG");
}

#[tokio::test]
async fn cancel_erasure_is_possible_until_the_fence() {
    let fixture = Fixture::new().await;
    // Requested.
    let contact = fixture.contact();
    let answer = fixture.request(contact, "a").await.unwrap();
    let id = answer.erasure.unwrap().erasure_id;
    assert_eq!(cancel(&fixture, &id).await.unwrap().state(), ErasureState::Cancelled);
    assert_eq!(cancel(&fixture, &id).await.unwrap().state(), ErasureState::Cancelled, "twice");
    assert_eq!(reason(fixture.confirm(&id, &answer.confirmation_token).await), "ERASURE_CANCELLED");
    // The contact may be asked for again.
    fixture.request(contact, "b").await.unwrap();

    // Confirmed, and claimed by a process that has not fenced anybody yet.
    let (id, _) = fixture.confirmed().await;
    let lease = fixture.claim(id).await;
    assert_eq!(cancel(&fixture, &id.to_string()).await.unwrap().state(), ErasureState::Cancelled);
    assert_eq!(fixture.advance(lease).await, lethe_retention::saga::Advanced::Lost);
    assert_eq!(fixture.asked(), [""; 0], "nobody was fenced");
    assert!(fixture.saga.due().await.unwrap().is_empty());

    // Past the point of no return, before the first fence.
    let (id, _) = fixture.confirmed().await;
    let lease = fixture.claim(id).await;
    fixture.advance(lease).await;
    assert_eq!(fixture.asked(), [""; 0]);
    assert_eq!(reason(cancel(&fixture, &id.to_string()).await), "ERASURE_FENCED");
    let story = {
        fixture.saga.release(lease, Some(fixture.world.clock.now())).await.unwrap();
        fixture.run(id).await
    };
    assert_eq!(story.last().unwrap(), "waits");
    assert_eq!(reason(cancel(&fixture, &id.to_string()).await), "ERASURE_FENCED");
}

#[tokio::test]
async fn list_erasures_is_paged_and_filtered() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for key in ["a", "b", "c"] {
        ids.push(fixture.request(fixture.contact(), key).await.unwrap().erasure.unwrap().erasure_id);
        fixture.world.clock.advance(Duration::from_secs(1));
    }
    cancel(&fixture, &ids[1]).await.unwrap();
    ids.reverse();
    let list = async |state: ErasureState, limit, after| {
        let request = ListErasuresRequest { state: state.into(), page: Some(Page { limit, after }) };
        fixture.client().list_erasures(request).await.map(tonic::Response::into_inner)
    };
    let of = |answer: &lethe_proto::retention::ListErasuresResponse| {
        answer.erasures.iter().map(|erasure| erasure.erasure_id.clone()).collect::<Vec<_>>()
    };
    let first = list(ErasureState::Unspecified, 2, Default::default()).await.unwrap();
    assert_eq!(of(&first), ids[..2]);
    let second = list(ErasureState::Unspecified, 2, first.next).await.unwrap();
    assert_eq!((of(&second), second.next.is_empty()), (ids[2..].to_vec(), true));
    let cancelled = list(ErasureState::Cancelled, 0, Default::default()).await.unwrap();
    assert_eq!(of(&cancelled), [ids[1].clone()]);
    assert_eq!(reason(list(ErasureState::Unspecified, 201, Default::default()).await), "FIELD_INVALID");
    let tampered = list(ErasureState::Unspecified, 1, vec![1, 2, 3].into()).await;
    assert_eq!(reason(tampered), "FIELD_INVALID");
}

#[tokio::test]
async fn another_tenant_and_another_role_see_nothing() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    let request = || GetErasureRequest { erasure_id: id.to_string() };
    let stranger = fixture
        .client_of(TenantId::new(fixture.world.entropy.uuid4()), &[Role::Owner])
        .get_erasure(request())
        .await;
    assert_eq!(reason(stranger), "ERASURE_NOT_FOUND");
    let agent = fixture.client_of(fixture.tenant, &[Role::Agent]).get_erasure(request()).await;
    assert_eq!(reason(agent), "PERMISSION_DENIED");
    let auditor = fixture.client_of(fixture.tenant, &[Role::Auditor]);
    auditor.clone().get_erasure(request()).await.unwrap();
    let cancelled = auditor.clone().cancel_erasure(CancelErasureRequest { erasure_id: id.to_string() }).await;
    assert_eq!(reason(cancelled), "PERMISSION_DENIED");
}
